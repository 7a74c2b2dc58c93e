"""The pages of the server in a browser, at the sizes of a desktop and of a phone."""

import time

import pytest
from browser import Page
from detector_page import Detector as DetectorPage
from detector_page import assert_same, coarse, require_runtime, write
from http_server import running
from spot_model import write_model

from centernet.inference.detector import Detector

pytestmark = pytest.mark.guard
SIZES = {"desktop": (1300, 900), "phone": (390, 844)}


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    require_runtime()
    return write_model(tmp_path_factory.mktemp("model") / "spots.onnx")


@pytest.fixture(scope="module")
def url(model):
    with running(Detector.load(model), weights=model) as server:
        while server.get("/").status == 202:
            time.sleep(0.1)
        yield f"http://127.0.0.1:{server.port}/"


def is_narrow(page: Page) -> bool:
    """Whether nothing is wider than the window."""
    return page.script("document.documentElement.scrollWidth <= innerWidth")


@pytest.mark.parametrize("size", SIZES)
def test_the_page_detects(browser, url, model, tmp_path, size):
    page = DetectorPage(browser, url)
    browser.set_window_size(*SIZES[size])
    image = write(tmp_path / "a.png", coarse(200, 150))
    page.open(image)
    (item,) = page.items()
    assert_same(item["found"], image, Detector.load(model))
    assert page.rows() and is_narrow(page)
    assert page.errors() == [] and page.requests() == []


@pytest.mark.parametrize("size", SIZES)
def test_the_documentation(browser, url, size):
    page = Page(browser, f"{url}docs", ready="document.readyState == 'complete'")
    browser.set_window_size(*SIZES[size])
    assert page.text("h1") == "spots" and is_narrow(page)
    assert len(page.all("section")) >= 8
    assert page.errors() == [] and page.requests() == []


def test_the_first_visitor_waits_for_the_page(browser, model):
    with running(Detector.load(model), weights=model) as server:
        url = f"http://127.0.0.1:{server.port}/"
        page = Page(browser, url, ready="document.readyState == 'complete'")
        page.wait("document.body.classList.contains('ready')")
        assert page.errors() == [] and page.requests() == []
