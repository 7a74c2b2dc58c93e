import json
import os
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

# One thread for each of pytest-xdist's workers; must be set before PyTorch is imported.
os.environ.setdefault("OMP_NUM_THREADS", "1")

import cv2
import numpy as np
import pytest

from centernet.data.shapes import make_shapes

if TYPE_CHECKING:
    from selenium import webdriver


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Start the longest tests first, so that no worker ends with one."""
    items.sort(key=lambda item: item.get_closest_marker("guard") is None)


class CocoFiles(NamedTuple):
    images: Path
    annotations: Path


@pytest.fixture
def tiny_coco(tmp_path: Path) -> Callable[..., CocoFiles]:
    """Writes images of coarse noise, ids 10, 20, ..., and a COCO file with sparse category ids.

    An annotation needs only a bbox: its image is 10 and its category 3 by default.
    """

    def write(
        annotations: Sequence[dict[str, Any]] = (),
        *,
        sizes: Sequence[tuple[int, int]] = ((40, 60),),
        categories: dict[int, str] | None = None,
        name: str = "instances.json",
    ) -> CocoFiles:
        folder = tmp_path / "images"
        folder.mkdir(exist_ok=True)
        content = {
            "images": [
                {"id": 10 * i, "file_name": f"{i}.png", "height": height, "width": width}
                for i, (height, width) in enumerate(sizes, 1)
            ],
            "categories": [
                {"id": i, "name": n} for i, n in (categories or {7: "dog", 3: "cat"}).items()
            ],
            "annotations": [
                {"id": i, "image_id": 10, "category_id": 3} | annotation
                for i, annotation in enumerate(annotations, 1)
            ],
        }
        rng = np.random.default_rng(0)
        for image in content["images"]:
            noise = rng.integers(0, 256, (5, 7, 3), dtype=np.uint8)
            pixels = cv2.resize(noise, (image["width"], image["height"]))
            cv2.imwrite(str(folder / image["file_name"]), pixels)
        (tmp_path / name).write_text(json.dumps(content))
        return CocoFiles(folder, tmp_path / name)

    return write


@pytest.fixture(scope="session")
def shapes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The shapes dataset, 10 training and 3 validation images; tests must not change it."""
    root = tmp_path_factory.mktemp("data") / "shapes"
    make_shapes(root, train=10, val=3, size=64)
    return root


@pytest.fixture(scope="session")
def test_data_root() -> Path:
    """The folder of larger real datasets, if CENTERNET_TEST_DATA names one."""
    if "CENTERNET_TEST_DATA" not in os.environ:
        pytest.skip("CENTERNET_TEST_DATA does not name a folder of real data")
    return Path(os.environ["CENTERNET_TEST_DATA"])


@pytest.fixture(scope="module")
def browser() -> Iterator["webdriver.Chrome"]:
    """Headless Chromium, see browser.py."""
    from browser import start_browser  # imports selenium

    driver = start_browser()
    yield driver
    driver.quit()
