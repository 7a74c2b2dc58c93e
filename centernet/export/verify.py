"""Check an exported file: run it in ONNX Runtime at several sizes, and compare with PyTorch."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from centernet.errors import InputError
from centernet.inference.engines.base import Engine, EngineInfo
from centernet.inference.engines.exported import OnnxRuntimeEngine
from centernet.inference.probabilities import sigmoid

# Two detections are the same object if label and box agree and scores differ by less than this.
_SAME_SCORE = 0.01
_SAME_BOX = 1.0  # input pixels
# Detections whose score is nearly that of the last one may be missing in the other list. Relative,
# because all scores of a well-trained network may be tiny in the test images.
_RANK_TOLERANCE = 1e-4
_BATCH_SIZES = (1, 3, 1)  # of each input size


@dataclass(frozen=True)
class Difference:
    """Largest difference between the detections of two engines.

    Attributes:
        boxes: of the coordinates of boxes, in input pixels.
        scores: of the scores.
        heatmaps: of the probabilities; None without heatmaps.
        compared: number of detections compared.
        missing: number of detections that only the first engine has. Rounding moves a peak where
            neighboring cells are equal.
    """

    boxes: float
    scores: float
    heatmaps: float | None
    compared: int
    missing: int

    def __str__(self) -> str:
        heat = "" if self.heatmaps is None else f", heatmaps {self.heatmaps:.1e}"
        missing = f", {self.missing} missing" if self.missing else ""
        return (
            f"boxes {self.boxes:.1e} px, scores {self.scores:.1e}{heat} "
            f"({self.compared} detections{missing})"
        )


def verify(path: str | Path, reference: Engine) -> Difference:
    """Check the file with the ONNX checker, and compare it with the network it was exported from.

    It runs at three sizes, with one and with three images.

    Args:
        path: the exported file.
        reference: engine of the network.

    Raises:
        InputError: the checker refuses the file, or ONNX Runtime cannot run it.
    """
    import onnx

    try:
        onnx.checker.check_model(str(path), full_check=True)
    except Exception as error:
        raise InputError(f"the ONNX checker refuses the exported network: {error}") from error
    exported = OnnxRuntimeEngine(path, device="cpu")
    sizes = _input_sizes(reference.info)
    images = [sample_images(*each) for each in zip(_BATCH_SIZES, sizes, strict=True)]
    return compare_engines(reference, exported, images)


def _input_sizes(info: EngineInfo) -> list[tuple[int, int]]:
    """Three input sizes (height, width): the smallest, one that is wide, the training size."""
    multiple = info.size_multiple
    height, width = info.image_size or (256, 256)
    training = tuple(multiple * max(1, -(-side // multiple)) for side in (height, width))
    return [(multiple, multiple), (2 * multiple, 3 * multiple), (training[0], training[1])]


def sample_images(count: int, size: tuple[int, int], seed: int = 0) -> NDArray[np.uint8]:
    """Images (count, H, W, 3) uint8 of smooth random colors."""
    generator = np.random.default_rng(seed)
    coarse = generator.integers(0, 256, (count, 12, 12, 3), np.uint8)
    images = [cv2.resize(image, size[::-1], interpolation=cv2.INTER_CUBIC) for image in coarse]
    return np.stack(images).astype(np.uint8, copy=False)


def compare_engines(
    reference: Engine, other: Engine, batches: Sequence[NDArray[np.uint8]]
) -> Difference:
    """The largest differences between the detections of two engines.

    Args:
        reference: the engine whose detections are looked for.
        other: the engine that should find them.
        batches: batches (B, H, W, 3) uint8 RGB.
    """
    boxes = scores = heat = 0.0
    compared = missing = 0
    maps = reference.info.has_heatmaps and other.info.has_heatmaps
    for images in batches:
        ours, theirs = (engine.run(images, heatmaps=maps) for engine in (reference, other))
        for first, second in zip(ours.detections, theirs.detections, strict=True):
            found, lost = _match(first, second)
            missing += lost
            compared += len(found)
            boxes = max(boxes, *(box for box, _ in found), 0.0)
            scores = max(scores, *(score for _, score in found), 0.0)
        if ours.heatmaps is not None and theirs.heatmaps is not None:
            difference = np.abs(sigmoid(ours.heatmaps) - sigmoid(theirs.heatmaps))
            heat = float(np.maximum(heat, difference.max()))  # unlike max, keeps NaN
    return Difference(boxes, scores, heat if maps else None, compared, missing)


def _match(
    first: Mapping[str, NDArray], second: Mapping[str, NDArray]
) -> tuple[list[tuple[float, float]], int]:
    """Differences of box and score of each detection in both lists, and the number in one only."""
    floor = first["scores"].min(initial=1.0) * (1 + _RANK_TOLERANCE)
    found, missing = [], 0
    for index in np.flatnonzero((first["scores"] > floor) & (first["scores"] > 0)):
        scores = np.abs(second["scores"] - first["scores"][index])
        boxes = np.abs(second["boxes"] - first["boxes"][index]).max(1)
        same = (second["labels"] == first["labels"][index]) & (scores < _SAME_SCORE)
        same &= boxes < _SAME_BOX
        if same.any():
            best = np.flatnonzero(same)[boxes[same].argmin()]
            found.append((float(boxes[best]), float(scores[best])))
        else:
            missing += 1
    return found, missing
