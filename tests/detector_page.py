"""The exported HTML page of a network of colored spots, in a browser."""

import base64
import os
from pathlib import Path

import cv2
import numpy as np
import pytest
from browser import Page
from PIL import Image
from spot_model import spot_onnx

from centernet.errors import InputError
from centernet.export.page import write_page
from centernet.export.runtime import load_runtime
from centernet.inference.engines.base import EngineInfo

NAMES = ("red", "</script><b>blue", "לבן 🩸")

COARSE = np.random.default_rng(0).integers(0, 256, (9, 12, 3), dtype=np.uint8)


def require_runtime() -> None:
    """Skip the test, or fail it in CI, without ONNX Runtime Web."""
    try:
        load_runtime()
    except InputError as error:
        missing = pytest.fail if "CENTERNET_REQUIRE_BROWSER" in os.environ else pytest.skip
        missing(str(error))


def spot_page(path: Path, *, names=NAMES, maps=True, thresholds=None, size=(128, 128)) -> Path:
    require_runtime()
    info = EngineInfo(names, thresholds, 4, 32, size, 100, maps)
    write_page(spot_onnx(maps=maps), info, path, title="spots <b>")
    return path


class Detector(Page):
    """The page, ready to detect."""

    def __init__(self, browser, page: Path | str) -> None:
        super().__init__(browser, page, ready="document.body.classList.contains('ready')")

    def open(self, *paths: Path, field="files"):
        """Choose files, and wait until they are analyzed."""
        before = self.script("state.items.length")
        self.one(f"#{field}").send_keys("\n".join(map(str, paths)))
        self.wait(f"(state.items.length > {before} || !$('message').hidden) && !queue.running")
        self.settle()

    def items(self):
        return self.script("state.items.map(({name, status, error, width, height, found}) =>"
                           " ({name, status, error, width, height, found}))")  # fmt: skip

    def pixels(self):
        """The canvas, (h, w, 3)."""
        encoded = self.script("canvas.toDataURL().split(',')[1]")
        return cv2.imdecode(np.frombuffer(base64.b64decode(encoded), np.uint8), 1)[..., ::-1]

    def rows(self):
        return [row.text for row in self.all("#rows tr")]


def write(path: Path, image: np.ndarray, **options) -> Path:
    Image.fromarray(image).save(path, **options)
    return path


def coarse(width: int, height: int, channels: int = 3) -> np.ndarray:
    """Colored patches with smooth borders: peaks of all scores."""
    return cv2.resize(COARSE, (width, height), interpolation=cv2.INTER_LINEAR)[..., :channels]


def wide_profile() -> bytes:
    """A color profile, which OpenCV ignores: the space LAB."""
    from PIL import ImageCms

    return ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()


def assert_same(found, path: Path, detector) -> None:
    """Detections of the page and of the Detector: within 0.1 pixels and 0.005 score."""
    expected = detector(path, threshold=0.01)
    mine = [one for one in found if one["score"] >= 0.02]
    assert len(expected) or not mine, path
    boxes, scores = np.array([one["box"] for one in found]), [one["score"] for one in found]
    labels = np.array([one["label"] for one in found])
    for box, score, label in zip(
        expected.xyxy, expected.confidence, expected.class_id, strict=True
    ):
        distance = np.where(labels == label, np.abs(boxes - box).max(1), np.inf)
        assert distance.min() < 0.1, (path.name, box, score)
        assert scores[distance.argmin()] == pytest.approx(score, abs=0.005), path.name
    assert len(mine) <= len(expected) <= len(found)
