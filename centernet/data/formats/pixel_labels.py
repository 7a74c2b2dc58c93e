"""YOLO labels in pixels instead of fractions of the image."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

_MIN_BOXES = 5  # fewer are no evidence
_LARGE = 2.0  # larger numbers are no fractions, which may exceed 1 by rounding
_EDGE = 1.0  # pixels by which a box may exceed its image


def read_pixels(
    annotations: Sequence[dict[str, Any]], sizes: Mapping[int, tuple[int, int]]
) -> str | None:
    """Repair boxes that were read as fractions, but are in pixels.

    Args:
        annotations: annotations with ``bbox``, which is replaced.
        sizes: width and height of the images by id.

    Returns:
        What was repaired, or what cannot be; None if the boxes are fractions.
    """
    chosen = [a for a in annotations if "segmentation" not in a]
    if len(chosen) < _MIN_BOXES:
        return None
    boxes = np.array([a["bbox"] for a in chosen], float)
    size = np.array([sizes[a["image_id"]] for a in chosen], float)
    with np.errstate(all="ignore"):
        first, second = (boxes[:, :2] + boxes[:, 2:] / 2) / size, boxes[:, 2:] / size
        values = np.hstack([first, second])
        if not (np.isfinite(values).all() and (values.max(1) > _LARGE).all()):
            return None
    choices = {
        "center, width and height": (first - second / 2, second),
        "two corners": (first, second - first),
        "corner, width and height": (first, second),
    }
    fitting = {
        name: np.hstack(choice) for name, choice in choices.items() if _is_inside(*choice, size)
    }
    what = f"{len(chosen)} labels are in pixels, not fractions of the image"
    if not fitting or (len(fitting) > 1 and "two corners" in fitting):
        return f"{what}: divide them by the image's width and height"
    name, found = next(iter(fitting.items()))
    for annotation, box in zip(chosen, found.tolist(), strict=True):
        annotation["bbox"], annotation["area"] = box, box[2] * box[3]
    return f"{what}, and are read as {name}"


def _is_inside(low: np.ndarray, extent: np.ndarray, size: np.ndarray) -> bool:
    return bool(((low >= -_EDGE) & (extent > 0) & (low + extent <= size + _EDGE)).all())
