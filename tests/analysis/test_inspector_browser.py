"""The inspector's page in a real browser: Chromium, where this machine has it and its driver."""

import os
import re
from pathlib import Path

import cv2
import numpy as np
import pytest
from browser import Page
from fakes import COLORS, picture, spot_detector
from selenium.webdriver import ActionChains, Keys
from selenium.webdriver.support.wait import WebDriverWait

from centernet import Detector
from centernet.analysis.inspector import (
    Example,
    InspectorPage,
    analyze_image,
    dataset_examples,
)
from centernet.data.dataset import DetectionDataset

pytestmark = pytest.mark.guard


class Open(Page):
    """The inspector's page."""

    def __init__(self, browser, page: Path) -> None:
        super().__init__(browser, page, ready="maps !== null")

    def hover(self, element):
        ActionChains(self.browser).move_to_element(element).perform()
        self.settle()
        return self.text("#tip")

    def heat(self):
        """The picture of the heat, (h, w, 4)."""
        values, width, height = self.browser.execute_script(
            "const {width, height} = heat;"
            "const copy = new OffscreenCanvas(width, height)"
            ".getContext('2d', {willReadFrequently: true});"
            "copy.drawImage(heat, 0, 0);"
            "return [[...copy.getImageData(0, 0, width, height).data], width, height]"
        )
        return np.array(values).reshape(height, width, 4)


@pytest.fixture(scope="module")
def drawn(tmp_path_factory) -> Path:
    """Two images; boxes are 16 x 8 pixels around spots, and what is annotated differs a little."""
    folder = tmp_path_factory.mktemp("page")
    image = picture(("red", 40, 60), ("blue", 80, 20), ("white", 20, 100))
    image[100:104, 100:104] = (140, 0, 0)  # a faint red spot: score 0.73
    cv2.imwrite(str(folder / "worse.png"), image[..., ::-1])
    cv2.imwrite(str(folder / "fine.png"), picture(("red", 40, 60))[..., ::-1])
    red, faint, nothing, wrong = (
        (34, 58, 50, 66), (94, 98, 110, 106), (4, 4, 30, 30), (74, 18, 90, 26),
    )  # fmt: skip
    page = InspectorPage(tuple(COLORS), title="spots")
    for name, boxes, labels in (
        ("fine.png", [red], [0]),
        ("worse.png", [red, faint, nothing, wrong], [0, 0, 1, 0]),
    ):
        truth = np.array(boxes, np.float32), np.array(labels, np.int64)
        page.add(*analyze_image(spot_detector(), Example(folder / name, name, *truth)))
    page.save(folder / "page.html")
    return folder / "page.html"


@pytest.fixture
def page(browser, drawn):
    opened = Open(browser, drawn)
    yield opened
    assert opened.errors() == [] and opened.requests() == []


def test_the_worst_image_comes_first_with_its_faults_in_words(page):
    assert page.text("#name") == "worse.png"
    assert [b.text for b in page.all("#images b")] == ["worse.png", "fine.png"]
    assert page.text("#summary") == "2 images: 5 objects, 3 detected, 2 missed; 2 false positives"
    said = page.text("#problems")
    assert re.search(r"Missed blue: no peak\n.* 0\.00 at its center", said)
    assert re.search(r"Missed red: wrong class\n.* blue .* 1\.00", said)
    assert re.search(r"False positive blue 1\.00: wrong class\n.* red;", said)
    assert "False positive white 1.00: background" in said


def test_the_threshold_moves_the_boxes(page):
    assert len(page.all("#marks .box")) == 4
    page.slide("#threshold", 0.9)
    assert len(page.all("#marks .box")) == 3 and len(page.all("#marks .faint")) == 1
    assert "2 detected, 3 missed" in page.text("#summary")
    assert re.search(r"below threshold\n.* 0\.73, .* 0\.90", page.text("#problems"))
    page.press("]")
    assert page.text("#threshold-value") == "0.91"


def test_the_opacity_fades_the_heat(page):
    page.slide("#opacity", 0.25)
    assert page.one("#heat").value_of_css_property("opacity") == "0.25"


def test_layers_show_prediction_target_and_difference(page):
    hot, cold = page.heat()[15, 10], page.heat()[0, 31]
    assert hot[3] == 255 and hot[0] > 200 and cold[:3].max() < 10
    page.press("t")
    assert page.heat()[4, 4, 0] > 200  # an object that was missed
    page.press("d")
    missed, false = page.heat()[4, 4], page.heat()[25, 5]
    assert missed[2] > 200 > missed[0] and false[0] > 200 > false[2]
    page.press("i")
    assert not page.one("#heat").is_displayed()


def test_a_class_is_switched_off_everywhere(page):
    white = page.one("#classes label:nth-of-type(3) input")
    before = page.heat()[25, 5, 0]
    white.click()
    page.settle()
    assert len(page.all("#marks .box")) == 3 and "white" not in page.text("#problems")
    assert before > 200 > page.heat()[25, 5, 0]
    page.press("3")
    assert white.is_selected() and len(page.all("#marks .box")) == 4


def test_hovering_a_peak_tells_score_and_place(page):
    peak = page.one("#marks .peak.right")
    assert "red 1.00" in page.hover(peak)
    assert "peak at (42, 62), cell (10, 15)" in page.text("#tip")
    assert page.text("#readout").startswith("cell (10, 15): prediction 1.00, target 1.00")


def test_hovering_a_missed_object_tells_why(page):
    assert "Missed blue: no peak" in page.hover(page.one("#marks .cross:nth-of-type(1)"))


def test_ground_truth_boxes_and_peaks_can_be_hidden(page):
    for key, selector in (("g", ".missed"), ("b", ".box"), ("e", ".peak")):
        assert page.all(f"#marks {selector}")
        page.press(key)
        assert not page.all(f"#marks {selector}")


def test_zoom_pan_and_the_way_to_a_problem(page):
    def width():
        return page.one("#world").size["width"]

    fitted, stage = width(), page.one("#stage")
    stage.send_keys("+")
    assert width() > 1.4 * fitted
    left = page.one("#world").location["x"]
    ActionChains(page.browser).drag_and_drop_by_offset(stage, 30, 0).perform()
    assert page.one("#world").location["x"] == pytest.approx(left + 30, abs=2)
    stage.send_keys(Keys.ARROW_RIGHT)
    assert page.one("#world").location["x"] == pytest.approx(left - 30, abs=2)
    stage.send_keys("0")
    assert width() == fitted
    page.press("n")
    assert width() > fitted and page.all("#marks .lit")


def test_zoom_stays_when_sizes_change(page):
    def width():
        return page.one("#world").size["width"]

    page.browser.set_window_size(970, 900)
    page.settle()
    stage, fitted = page.one("#stage"), width()
    stage.send_keys("+++")
    zoomed, height = width(), stage.size["height"]
    page.hover(stage)
    assert page.text("#readout") and stage.size["height"] == height
    assert width() == zoomed > 3 * fitted
    middle = "return (stage.clientWidth / 2 - view.x) / view.scale"
    before = page.browser.execute_script(middle)
    page.browser.set_window_size(1100, 800)
    page.settle()
    assert width() == zoomed and page.browser.execute_script(middle) == pytest.approx(before)
    stage.send_keys("0")
    fitted = width()
    page.browser.set_window_size(1300, 900)
    page.settle()
    assert width() > fitted  # what is fitted stays so


def test_images_are_walked_through_sorted_and_chosen_by_error(page):
    page.press("j")
    assert page.text("#name") == "fine.png" and page.text("#problems") == "No errors."
    page.press("k")
    assert page.text("#name") == "worse.png"
    page.one("#sort").send_keys("by name")
    assert [b.text for b in page.all("#images b")] == ["fine.png", "worse.png"]
    page.one("#errors button").click()
    assert [b.text for b in page.all("#images b")] == ["worse.png"]


def test_a_link_leads_to_an_object(browser, drawn):
    browser.get("about:blank")
    browser.get(f"{drawn.as_uri()}#image=1&object=2")
    WebDriverWait(browser, 20).until(lambda b: b.find_elements("css selector", "#marks .lit"))
    assert browser.find_element("id", "name").text == "worse.png"
    assert "missed" in browser.find_element("css selector", "#marks .lit").get_attribute("class")
    # Also after the browser has told the size of the picture for the first time.
    browser.execute_async_script("requestAnimationFrame(() => setTimeout(arguments[0], 100))")
    assert browser.execute_script("return view.scale > view.fitted")


def test_the_page_finds_images_as_bad_as_they_were_found_when_it_was_made(browser, drawn, tmp_path):
    page, found = InspectorPage(tuple(COLORS)), []
    for boxes in ([], [(34, 58, 50, 66), (94, 98, 110, 106), (4, 4, 30, 30)]):
        truth = np.array(boxes, np.float32).reshape(-1, 4), np.zeros(len(boxes), np.int64)
        seen = analyze_image(
            spot_detector(), Example(drawn.parent / "worse.png", "worse.png", *truth)
        )
        page.add(*seen)
        found.append(seen[0])
    page.save(tmp_path / "two.html")
    Open(browser, tmp_path / "two.html")
    for threshold in (0, 0.3, 0.9, 1):  # one of the boxes scores 0.73
        shown = browser.execute_script(
            "state.threshold = arguments[0]; return about.images.map(errorScore)", threshold
        )
        assert shown == pytest.approx(
            [f.error_score(np.full(3, threshold)) for f in found], abs=1e-6
        )


def test_it_fits_a_phone(page):
    page.browser.execute_cdp_cmd(
        "Emulation.setDeviceMetricsOverride",
        {"width": 390, "height": 844, "deviceScaleFactor": 2, "mobile": True},
    )
    try:
        page.settle()
        wide = page.browser.execute_script("return document.documentElement.scrollWidth")
        assert wide == 390 and page.one("#stage").size["width"] > 350
    finally:
        page.browser.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})


def test_images_without_annotations_have_no_targets(browser, drawn, tmp_path):
    page = InspectorPage(tuple(COLORS))
    page.add(*analyze_image(spot_detector(), Example(drawn.parent / "worse.png", "worse.png")))
    page.save(tmp_path / "plain.html")
    opened = Open(browser, tmp_path / "plain.html")
    assert [layer.text for layer in opened.all("#layers label")] == ["Image", "Prediction"]
    assert opened.text("#summary") == "1 image: 4 boxes"
    assert not opened.one("#here").is_displayed()
    assert "red 1.00" in opened.hover(opened.one("#marks .peak"))
    assert opened.errors() == [] and opened.requests() == []


def test_the_page_of_a_trained_model(browser, test_data_root, tmp_path):
    """On BCCD, with a checkpoint trained on it that CENTERNET_TEST_WEIGHTS names."""
    if "CENTERNET_TEST_WEIGHTS" not in os.environ:
        pytest.skip("CENTERNET_TEST_WEIGHTS names no checkpoint trained on BCCD")
    root = test_data_root / "bccd"
    detector = Detector.load(os.environ["CENTERNET_TEST_WEIGHTS"], device="cpu")
    dataset = DetectionDataset(
        root / "images", root / "annotations/instances_val.json", class_names=detector.class_names
    )
    page = InspectorPage(detector.class_names)
    for example in list(dataset_examples(dataset))[:8]:
        page.add(*analyze_image(detector, example))
    page.save(tmp_path / "bccd.html")
    opened = Open(browser, tmp_path / "bccd.html")
    boxes = len(opened.all("#marks .box"))
    opened.slide("#threshold", 0.6)
    assert len(opened.all("#marks .box")) < boxes
    assert "below threshold" in opened.text("#problems")
    opened.slide("#opacity", 0.5)
    before = len(opened.all("#marks .peak"))
    opened.one("#classes input").click()
    assert len(opened.all("#marks .peak")) < before
    opened.one("#classes input").click()
    assert "peak at (" in opened.hover(opened.all("#marks .peak")[-1])
    assert opened.errors() == [] and opened.requests() == []
    assert (tmp_path / "bccd.html").stat().st_size < 8 * 500_000


def test_names_of_many_false_positives_are_thinned_and_the_list_is_limited(browser, tmp_path):
    spots = [("red", x, y) for y in range(4, 508, 32) for x in range(4, 508, 32)]
    cv2.imwrite(str(tmp_path / "many.png"), picture(*spots, size=(512, 512))[..., ::-1])
    page = InspectorPage(tuple(COLORS), title="many")
    nothing = np.zeros((0, 4), np.float32), np.zeros(0, np.int64)
    detector = spot_detector(image_size=(512, 512), top_k=300)
    page.add(*analyze_image(detector, Example(tmp_path / "many.png", "many.png", *nothing)))
    page.save(tmp_path / "page.html")
    opened = Open(browser, tmp_path / "page.html")
    assert "256 false positives" in opened.text("#summary")
    assert "many" in opened.one("#marks").get_attribute("class")
    listed = opened.all("#problems li")
    assert len(listed) == 201 and "56 more" in listed[-1].text
    few = len(opened.all("#marks text"))
    assert 5 < few < 120
    opened.script("zoomBy(4), null")
    opened.settle()
    assert few < len(opened.all("#marks text")) <= 256  # there is more room
    assert opened.errors() == []
