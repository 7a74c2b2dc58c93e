"""Settings chosen from the data: input size, number of epochs, detections per image.

Rules of thumb for detectors that are trained on one machine. Each choice comes with its reason.
"""

import math
from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import median
from typing import Any

from centernet.data.annotations import DatasetSplit, read_coco
from centernet.data.entries import image_sides
from centernet.data.images import image_size
from centernet.decode import DEFAULT_TOP_K, MAX_TOP_K
from centernet.errors import InputError
from centernet.models.base import DetectionModel

DEFAULT_IMAGE_SIZE = 512
DEFAULT_BATCH_SIZE = 16

# Width in cells of the typical object of the smallest class.
_CELLS = 6
_MIN_SIDE, _MAX_SIDE = 256, 640
# Classes with a smaller fraction of the boxes are ignored: they have too few samples.
_RARE = 0.01
_MIN_STEPS, _MIN_EPOCHS = 1000, 12
# Detections per object of the densest training image: other images may be denser, and some of the
# best detections are false positives.
_DETECTIONS_PER_OBJECT = 1.5


def input_size_of_data(
    images: Path, annotations: Path | DatasetSplit
) -> tuple[tuple[int, int], str]:
    """The input size for training images; see :func:`input_size_for`.

    Args:
        images: folder of the images, which is read if the annotations lack image sizes.
        annotations: COCO JSON or a split.

    Returns:
        (height, width), and the reason.
    """
    coco = read_coco(annotations)
    return input_size_for(coco | {"images": [_with_size(i, images) for i in coco["images"]]})


def input_size_for(
    coco: Mapping[str, Sequence[dict[str, Any]]],
    *,
    stride: int = DetectionModel.stride,
    multiple: int = DetectionModel.size_multiple,
) -> tuple[tuple[int, int], str]:
    """The input size at which the objects of a dataset are large enough to be detected.

    The typical box (median square root of the area) of the class with the smallest boxes becomes 6
    cells wide; then a box that is half a cell wrong on one side has an IoU of 0.9. The input has
    the aspect ratio of the images, rounded up to multiples of 32. Its longer side is 256 to 640
    pixels, and above 256 not larger than that of the images.

    Args:
        coco: content of an annotation file; images without width and height are ignored.
        stride: input pixels per cell.
        multiple: the sides are multiples of this.

    Returns:
        (height, width), and the reason.
    """
    size_of = {
        image["id"]: (height, width)
        for image in coco["images"]
        for width, height in [image_sides(image)]
        if math.isfinite(width + height)
    }
    if not size_of:
        side = DEFAULT_IMAGE_SIZE
        return (side, side), "the annotations have no image sizes"
    height, width = (median(size[axis] for size in size_of.values()) for axis in range(2))
    name, part = _smallest_class(coco, size_of)
    wanted = _CELLS * stride / part if part else 0
    longest = min(max(wanted, _MIN_SIDE), _MAX_SIDE, max(height, width, _MIN_SIDE))
    scale = longest / max(height, width)

    def rounded(side: float) -> int:
        return multiple * max(1, math.ceil(side * scale / multiple - 0.01))

    size = rounded(height), rounded(width)
    typical = f"images are typically {width:g}x{height:g}"
    if not part:
        return size, f"{typical}, and there are no boxes"
    cells = part * max(height, width) * scale / stride
    return size, (
        f"{typical}, and the smallest class, {name}, has boxes of typically {part:.1%} of the "
        f"longer side, here {cells:.1f} cells (target: {_CELLS}, with {_MIN_SIDE} to {_MAX_SIDE} "
        f"pixels, above {_MIN_SIDE} not larger than the images)"
    )


def _with_size(image: dict[str, Any], folder: Path) -> dict[str, Any]:
    """An entry of ``images``, with the size of the image file if the entry has none."""
    if math.isfinite(sum(image_sides(image))):
        return image
    try:
        height, width = image_size(folder / image["file_name"])
    except InputError:
        return image
    return image | {"height": height, "width": width}


def _smallest_class(
    coco: Mapping[str, Sequence[dict[str, Any]]], size_of: Mapping[Any, tuple[float, float]]
) -> tuple[str | None, float]:
    """The class with the smallest boxes, and their size as a fraction of the longer image side."""
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
    smallest = min(common, key=common.__getitem__)
    return next(c["name"] for c in coco["categories"] if c["id"] == smallest), common[smallest]


def epochs_for(images: int, batch_size: int) -> tuple[int, str]:
    """The number of epochs for a training set.

    850 / sqrt(n) for n images, so that four times the images take twice the time; at least 1000
    steps, because small datasets would finish during the warm-up; and at least 12 epochs.

    Args:
        images: number of training images.
        batch_size: images per optimizer step.

    Returns:
        The number of epochs, and the reason.
    """
    steps = max(1, images // batch_size)
    by_images = 850 / math.sqrt(images)
    reasons = {
        f"about {by_images:.0f} epochs for {images} images": by_images,
        f"fewer would be less than {_MIN_STEPS} steps": _MIN_STEPS / steps,
        f"at least {_MIN_EPOCHS}": float(_MIN_EPOCHS),
    }
    reason = max(reasons, key=reasons.__getitem__)
    epochs = math.ceil(reasons[reason] - 0.01)
    return epochs, f"{reason}; {epochs * steps} steps of {min(images, batch_size)} images"


def top_k_for(densest: int) -> int:
    """Detections per image for a dataset.

    COCO's 100 if no training image has more objects, else 1.5 times the objects of the densest
    image, rounded up to hundreds.

    Args:
        densest: number of objects in the densest training image.
    """
    if densest <= DEFAULT_TOP_K:
        return DEFAULT_TOP_K
    wanted = _DETECTIONS_PER_OBJECT * densest / DEFAULT_TOP_K
    return min(MAX_TOP_K, DEFAULT_TOP_K * math.ceil(wanted))
