import json
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import cv2
import numpy as np
import pytest
from fakes import BCCD

from centernet.data.shapes import make_shapes


class CocoFiles(NamedTuple):
    images: Path
    annotations: Path


@pytest.fixture
def tiny_coco(tmp_path: Path) -> Callable[..., CocoFiles]:
    """Writes images of coarse noise, ids 10, 20, ..., and a COCO file with sparse category ids.

    An annotation needs no more than its bbox: it is of image 10 and of category 3, unless it says.
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
    """The drawn shapes: 10 images for training, 3 for validation; not to be changed."""
    root = tmp_path_factory.mktemp("data") / "shapes"
    make_shapes(root, train=10, val=3, size=64)
    return root


@pytest.fixture(scope="session")
def test_data_root() -> Path:
    """Real images and annotations, where this machine has them."""
    if "CENTERNET_TEST_DATA" not in os.environ:
        pytest.skip("CENTERNET_TEST_DATA does not name a folder of real data")
    return Path(os.environ["CENTERNET_TEST_DATA"])
