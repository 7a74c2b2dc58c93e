"""Settings of a training, derived from the data: image size, epochs, detections per image.

Rules of thumb for detectors that are trained on one machine, each with its reason in words.
"""

import math
from collections import defaultdict
from collections.abc import Mapping, Sequence
from statistics import median
from typing import Any

from centernet.data.entries import image_sides
from centernet.decode import DEFAULT_TOP_K, MAX_TOP_K
from centernet.targets import DEFAULT_STRIDE

# Cells that the typical object of the smallest class shall be wide.
_CELLS = 6
_LEAST_SIDE, _LARGEST_SIDE = 256, 640
# A class of fewer boxes than this part of all says too little of how small objects are.
_RARE = 0.01
_LEAST_STEPS = 1000
# Room beyond the densest training image: for denser images, and for false positives among the best.
_MORE_DETECTIONS = 1.5
_LEAST_EPOCHS = 12


def input_size_for(
    coco: Mapping[str, Sequence[Mapping[str, Any]]],
    *,
    stride: int = DEFAULT_STRIDE,
    multiple: int = 32,
) -> tuple[tuple[int, int], str]:
    """The canvas on which the objects of a dataset are large enough to be found.

    The typical box (by the median of the square root of its area) of the class with the smallest
    ones shall be 6 cells wide, which leaves a box that is half a cell wrong on one side an IoU of
    0.9. The canvas has the images' proportions, up to multiples of 32, and a longer side of 256 to
    640 pixels, but not above the images' own, where that is more than 256.

    Args:
        coco: content of an annotation file; images without width and height are not asked.
        stride: canvas pixels per cell.
        multiple: the sides are multiples of this.

    Returns:
        (height, width), and the reasons in a sentence.
    """
    size_of = {
        image["id"]: (height, width)
        for image in coco["images"]
        for width, height in [image_sides(image)]
        if math.isfinite(width + height)
    }
    if not size_of:
        side = 512
        return (side, side), "the annotations do not say how large the images are"
    height, width = (median(size[axis] for size in size_of.values()) for axis in range(2))
    name, part = _smallest_class(coco, size_of)
    wanted = _CELLS * stride / part if part else 0
    longest = min(max(wanted, _LEAST_SIDE), _LARGEST_SIDE, max(height, width, _LEAST_SIDE))
    scale = longest / max(height, width)
    canvas = tuple(
        multiple * max(1, math.ceil(side * scale / multiple - 0.01)) for side in (height, width)
    )
    shown = f"images are typically {width:g}x{height:g}"
    if not part:
        return canvas, f"{shown}, and there are no boxes to go by"
    cells = part * max(height, width) * scale / stride
    return canvas, (
        f"{shown}, and the smallest class, {name}, has boxes of typically {part:.1%} of the longer "
        f"side, here {cells:.1f} cells (wanted: {_CELLS}, with {_LEAST_SIDE} to {_LARGEST_SIDE} "
        f"pixels, above {_LEAST_SIDE} no more than the images have)"
    )


def _smallest_class(
    coco: Mapping[str, Sequence[Mapping[str, Any]]], size_of: Mapping[Any, tuple[float, float]]
) -> tuple[str | None, float]:
    """Of the class with the smallest boxes: its name, and their part of the image's longer side."""
    parts = defaultdict(list)
    for annotation in coco["annotations"]:
        if not annotation["iscrowd"] and annotation["image_id"] in size_of:
            _, _, width, height = annotation["bbox"]
            side = math.sqrt(width * height)
            parts[annotation["category_id"]].append(side / max(size_of[annotation["image_id"]]))
    total = sum(map(len, parts.values()))
    common = {c: median(found) for c, found in parts.items() if len(found) >= _RARE * total}
    if not common:
        return None, 0.0
    smallest = min(common, key=common.get)
    return next(c["name"] for c in coco["categories"] if c["id"] == smallest), common[smallest]


def epochs_for(images: int, batch_size: int) -> tuple[int, str]:
    """How often a detector should see so many training images.

    850 / sqrt(n) times, so that four times the images take twice the time; at least 1000 steps, for
    tens of images would else be over before the learning rate is warm, and at least 12 epochs.

    Args:
        images: of the training set.
        batch_size: images per step of the optimiser.

    Returns:
        The number of epochs, and the reasons in a sentence.
    """
    steps = max(1, images // batch_size)
    worth = 850 / math.sqrt(images)
    reasons = {
        f"{images} images are worth about {worth:.0f} epochs": worth,
        f"fewer would be less than {_LEAST_STEPS} steps": _LEAST_STEPS / steps,
        f"at least {_LEAST_EPOCHS}": _LEAST_EPOCHS,
    }
    reason = max(reasons, key=reasons.get)
    epochs = math.ceil(reasons[reason] - 0.01)
    return epochs, f"{reason}; {epochs * steps} steps of {min(images, batch_size)} images"


def top_k_for(densest: int) -> int:
    """Detections per image that a dataset asks for.

    COCO's 100 where no training image has more objects; else half as many again as the densest one
    has, in hundreds.

    Args:
        densest: objects in the training image that has most.
    """
    if densest <= DEFAULT_TOP_K:
        return DEFAULT_TOP_K
    return min(MAX_TOP_K, DEFAULT_TOP_K * math.ceil(_MORE_DETECTIONS * densest / DEFAULT_TOP_K))
