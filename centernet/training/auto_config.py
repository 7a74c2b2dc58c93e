"""Settings chosen from the data: input size, number of epochs, detections per image.

Rules of thumb for detectors that are trained on one machine. Each choice comes with its reason.
"""

import math
from bisect import bisect_left
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from centernet.data.annotations import DatasetSplit, read_coco
from centernet.data.entries import image_sides
from centernet.data.images import image_size
from centernet.data.points import extend_points
from centernet.decode import DEFAULT_TOP_K, MAX_TOP_K
from centernet.errors import InputError
from centernet.models.base import DetectionModel
from centernet.sizes import format_size

DEFAULT_IMAGE_SIZE = 512
DEFAULT_BATCH_SIZE = 16

# Width in cells of the typical object of the smallest class.
_CELLS = 6
_MIN_SIDE, _MAX_SIDE = 256, 640
# Side of the tiles that training takes where whole images would be larger than _MAX_SIDE: if the
# objects need inputs that are this much larger, up to the second number in pixels.
_TILE = 512
_WORTH_TILES, _MAX_TILED_SIDE = 1.25, 2048
# Classes with a smaller fraction of the boxes are ignored: they have too few samples.
_RARE = 0.01
# Fraction of the objects that may share a cell with another one of their class, of those that the
# largest input separates.
_MAX_SHARED = 0.01
_MIN_STEPS, _MIN_EPOCHS = 1000, 12
# Detections per object of the densest training image; others may be denser, and some are wrong.
_DETECTIONS_PER_OBJECT = 1.5


class InputChoice(NamedTuple):
    """The input that suits a dataset.

    Attributes:
        size: (height, width) in pixels that images are scaled to fit.
        tile: side of the tiles that training takes; None if it takes whole images.
        reason: why, in one sentence.
    """

    size: tuple[int, int]
    tile: int | None
    reason: str


def input_for_data(
    images: Path,
    annotations: Path | DatasetSplit,
    tile: int | str | None = None,
    point_size: float | None = None,
) -> InputChoice:
    """The input for training images; see :func:`choose_input`.

    Args:
        images: folder of the images, which is read if the annotations lack image sizes.
        annotations: COCO JSON or a split.
        tile: as for :func:`choose_input`.
        point_size: as for :func:`.choose_point_sizes`.
    """
    coco = extend_points(read_coco(annotations), point_size)
    sized = coco | {"images": [_with_size(image, images) for image in coco["images"]]}
    return choose_input(sized, tile)


def choose_input(
    coco: Mapping[str, Sequence[dict[str, Any]]], tile: int | str | None
) -> InputChoice:
    """The input that training chooses, and that ``check`` recommends.

    Args:
        coco: content of an annotation file; images without width and height are ignored.
        tile: side of the tiles in training; None for whole images; ``auto`` for tiles of 512 pixels
            if the objects need inputs that are 1.25 times as large as the largest whole image. With
            tiles the longer side of the input may have 2048 pixels, see :func:`input_size_for`.
    """
    size, reason = input_size_for(coco)
    if tile is None:
        return InputChoice(size, None, reason)
    large, why = input_size_for(coco, max_side=_MAX_TILED_SIDE)
    if tile == "auto":
        tile = tile_for(large)
    if tile is None:
        return InputChoice(size, None, reason)
    return InputChoice(large, int(tile), f"{why}; training takes tiles of {tile} pixels")


def tile_for(size: Sequence[int]) -> int | None:
    """The side of the tiles that go with an automatic input size; None for whole images.

    Args:
        size: (height, width) in pixels.
    """
    return _TILE if max(size) >= _WORTH_TILES * _MAX_SIDE else None


def input_size_for(
    coco: Mapping[str, Sequence[dict[str, Any]]],
    *,
    max_side: int = _MAX_SIDE,
    stride: int = DetectionModel.stride,
    multiple: int = DetectionModel.size_multiple,
) -> tuple[tuple[int, int], str]:
    """The input size at which the objects of a dataset are large enough to be detected.

    The typical box (median square root of the area) of the class with the smallest boxes becomes 6
    cells wide; then a box that is half a cell wrong on one side has an IoU of 0.9. The input is
    larger if more than 1 % of the objects share a cell with another one of their class, and would
    not on a larger input. It has the aspect ratio of the images, rounded up to multiples of 32. Its
    longer side is 256 to ``max_side`` pixels, and above 256 not larger than that of the images.

    Args:
        coco: content of an annotation file; images without width and height are ignored.
        max_side: largest number of pixels of the longer side.
        stride: input pixels per cell.
        multiple: the sides are multiples of this.

    Returns:
        (height, width), and the reason.
    """
    objects = _read_objects(coco)
    if objects is None:
        return (DEFAULT_IMAGE_SIZE, DEFAULT_IMAGE_SIZE), "the annotations have no image sizes"
    image = objects.typical_image
    name, part = objects.smallest_class()
    wanted = _CELLS * stride / part if part else 0
    limit = min(max_side, max(*image, _MIN_SIDE))

    def size_at(side: float) -> tuple[int, int]:
        scale = side / max(image) / multiple
        height, width = (multiple * max(1, math.ceil(n * scale - 0.01)) for n in image)
        return height, width

    smallest = min(max(wanted, _MIN_SIDE), limit)
    steps = range(multiple * (int(smallest) // multiple + 1), math.ceil(limit), multiple)
    sides = [smallest, *steps, limit]
    most = objects.shared(size_at(limit), stride) + _MAX_SHARED
    side = sides[bisect_left(sides, True, key=lambda n: objects.shared(size_at(n), stride) <= most)]

    size = size_at(side)
    reason = f"images are typically {format_size(image)}"
    if not part:
        return size, f"{reason}, and there are no boxes"
    cells = part * max(image) * min(size[0] / image[0], size[1] / image[1]) / stride
    reason += (
        f", and the smallest class, {name}, has objects of typically {part:.1%} of the longer "
        f"side, here {cells:.1f} cells (target: {_CELLS})"
    )
    return size, reason + _bound(wanted, smallest, side, min(limit, max(image)), max_side)


def _bound(wanted: float, smallest: float, side: float, limit: float, max_side: int) -> str:
    """The rest of the reason, if the longer side is not as wanted for the smallest class."""
    if side > smallest:
        return (
            f"; at a smaller size more than {_MAX_SHARED:.0%} of the objects would be in one cell "
            "with another object of their class"
        )
    if wanted < smallest:
        return f"; the longer side has at least {_MIN_SIDE} pixels"
    if wanted > smallest:
        if limit < max_side:
            return "; a larger size has no more detail of such small images"
        return f"; the longer side has at most {max_side} pixels"
    return ""


def _with_size(image: dict[str, Any], folder: Path) -> dict[str, Any]:
    """An entry of ``images``, with the size of the image file if the entry has none."""
    if math.isfinite(sum(image_sides(image))):
        return image
    try:
        height, width = image_size(folder / image["file_name"])
    except InputError:
        return image
    return image | {"height": height, "width": width}


@dataclass(frozen=True)
class _Objects:
    """The n objects of the images whose size is known.

    Attributes:
        typical_image: (height, width) of the median longer side and the median aspect ratio.
        class_names: names of the categories by index.
        image: (n,) index of the image.
        category: (n,) index of the category.
        center: (n, 2) row and column in image pixels.
        side: (n,) square root of the area in image pixels.
        size: (n, 2) height and width of the image.
    """

    typical_image: tuple[float, float]
    class_names: list[str]
    image: NDArray[np.int64]
    category: NDArray[np.int64]
    center: NDArray[np.float64]
    side: NDArray[np.float64]
    size: NDArray[np.float64]

    def smallest_class(self) -> tuple[str | None, float]:
        """The class with the smallest boxes; their size as a fraction of the longer image side."""
        parts = self.side / self.size.max(1)
        classes, counts = np.unique(self.category, return_counts=True)
        common = {
            index: float(np.median(parts[self.category == index]))
            for index in classes[counts >= _RARE * len(parts)].tolist()
        }
        if not common:
            return None, 0.0
        smallest = min(common, key=common.__getitem__)
        return self.class_names[smallest], common[smallest]

    def shared(self, input_size: tuple[int, int], stride: int) -> float:
        """Fraction of the objects that are in the cell of another object of their class."""
        if not len(self.image):
            return 0.0
        scale = (np.array(input_size) / self.size).min(1, keepdims=True)
        margin = (input_size - self.size * scale) / 2
        cell = ((self.center * scale + margin) // stride).astype(np.int64)
        rows, columns = (side // stride for side in input_size)
        row, column = cell[:, 0].clip(0, rows - 1), cell[:, 1].clip(0, columns - 1)
        class_map = self.image * len(self.class_names) + self.category
        return 1 - len(np.unique((class_map * rows + row) * columns + column)) / len(self.image)


def _read_objects(coco: Mapping[str, Sequence[dict[str, Any]]]) -> _Objects | None:
    """The objects of a dataset; None if no image has a size."""
    sizes = {image["id"]: image_sides(image)[::-1] for image in coco["images"]}
    sizes = {key: size for key, size in sizes.items() if math.isfinite(sum(size))}
    if not sizes:
        return None
    image_index = {key: i for i, key in enumerate(sizes)}
    class_index = {category["id"]: i for i, category in enumerate(coco["categories"])}
    used = [a for a in coco["annotations"] if not a["iscrowd"] and a["image_id"] in sizes]
    boxes = np.array([a["bbox"] for a in used], np.float64).reshape(-1, 4)
    known = np.array(list(sizes.values()))
    longer, tallness = np.median(known.max(1)), np.median(known[:, 0] / known[:, 1])
    typical = np.array([tallness, 1.0]) * longer / max(tallness, 1.0)
    return _Objects(
        typical_image=(float(typical[0]), float(typical[1])),
        class_names=[category["name"] for category in coco["categories"]],
        image=np.array([image_index[a["image_id"]] for a in used], np.int64),
        category=np.array([class_index[a["category_id"]] for a in used], np.int64),
        center=(boxes[:, :2] + boxes[:, 2:] / 2)[:, ::-1],
        side=np.sqrt(boxes[:, 2] * boxes[:, 3]),
        size=np.array([sizes[a["image_id"]] for a in used], np.float64).reshape(-1, 2),
    )


def epochs_for(samples: int, batch_size: int) -> tuple[int, str]:
    """The number of epochs for a training set.

    850 / sqrt(n) for n samples, so that four times the samples take twice the time; at least 1000
    steps, because small datasets would finish during the warm-up; and at least 12 epochs.

    Args:
        samples: number of training images, or of tiles.
        batch_size: samples per optimizer step.

    Returns:
        The number of epochs, and the reason.
    """
    steps = max(1, samples // batch_size)
    by_number = 850 / math.sqrt(samples)
    reasons = {
        f"850 / sqrt({samples} samples)": by_number,
        f"fewer would be less than {_MIN_STEPS} steps": _MIN_STEPS / steps,
        f"at least {_MIN_EPOCHS}": float(_MIN_EPOCHS),
    }
    reason = max(reasons, key=reasons.__getitem__)
    epochs = math.ceil(reasons[reason] - 0.01)
    return epochs, f"{reason}; {epochs * steps} steps of {min(samples, batch_size)} samples"


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
