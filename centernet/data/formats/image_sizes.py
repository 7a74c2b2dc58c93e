"""Image sizes in the annotations that differ from those of the image files.

The boxes tell which of three faults it is: the sizes alone are wrong, the images were scaled after
they were labeled, or the boxes are those of the stored image, before its EXIF orientation.
"""

import math
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from tqdm import tqdm

from centernet.data.annotations import DatasetSplit
from centernet.data.entries import image_sides, is_file_name
from centernet.data.formats.coco_repair import finite_numbers
from centernet.data.images import image_size
from centernet.errors import InputError
from centernet.sizes import format_size

_OTHER_SIZE = "are of another size than annotated"
REMEDY = "`centernet convert SOURCE OUT --repair` repairs it"

_SAMPLE = 1000  # images whose sizes are read to decide whether to read all
_EDGE = 1.0  # pixels by which a box may exceed its image
_ROUNDING = 0.05  # relative difference of a size that does not matter
_MIN_BOXES = 10  # fewer are no evidence that they end where the annotated image ends
_FILLED = 0.8  # part of the annotated sides that boxes reach
_ORIENTATION, _TURNED = 0x0112, (5, 6, 7, 8)  # EXIF tag, and values that exchange the sides
Points = NDArray[np.float64]  # (n, 2)


@dataclass(frozen=True)
class _Image:
    """An image of another size than annotated; sizes are (width, height)."""

    entry: dict[str, Any]
    path: Path
    annotated: tuple[float, float]
    own: tuple[int, int]
    annotations: list[dict[str, Any]]

    def __str__(self) -> str:
        sides = [format_size(size[::-1]) for size in (self.annotated, self.own)]
        return f"{self.entry['file_name']}, annotated as {sides[0]}, file is {sides[1]}"


def repair_sizes(split: DatasetSplit, *, apply: bool) -> list[str]:
    """Find sizes that differ from those of the image files.

    Sizes that no box contradicts are replaced by those of the files.

    Args:
        split: a split, which is changed in place.
        apply: also scale boxes to scaled images, and turn those of rotated images.

    Returns:
        One line for each fault.
    """
    images = _differing(split)
    turned = [image for image in images if image.annotated == image.own[::-1]]
    others = [image for image in images if image.annotated != image.own[::-1]]
    similar = [image for image in others if _is_rounded(image)]
    scaled = [image for image in others if not _is_rounded(image)]
    lines = [_turned(turned, apply=apply)] if turned else []
    lines += [_use_own(similar, _OTHER_SIZE)] if similar else []
    lines += [_scaled(scaled, apply=apply)] if scaled else []
    return [f"{split.source}: {line}" for line in lines]


def _differing(split: DatasetSplit) -> list[_Image]:
    """The images of another size than annotated; empty if there is none in a sample."""
    entries = [
        entry
        for entry in split.coco["images"]
        if isinstance(entry, dict)
        and is_file_name(entry.get("file_name"))
        and all(map(math.isfinite, image_sides(entry)))
    ]
    sample = entries[:: max(1, len(entries) // _SAMPLE)]
    if all(_own_size(split, entry) in (None, image_sides(entry)) for entry in sample):
        return []
    objects: defaultdict[str, list[dict[str, Any]]] = defaultdict(list)
    for annotation in split.coco["annotations"]:
        if isinstance(annotation, dict) and _corners(annotation) is not None:
            objects[str(annotation.get("image_id"))].append(annotation)
    found = []
    for entry in tqdm(entries, "reading sizes", delay=1, disable=None, leave=False):
        sides, own = image_sides(entry), _own_size(split, entry)
        if own is not None and own != sides:
            path, own_objects = split.images / entry["file_name"], objects[str(entry.get("id"))]
            found.append(_Image(entry, path, sides, own, own_objects))
    return found


def _own_size(split: DatasetSplit, entry: dict[str, Any]) -> tuple[int, int] | None:
    try:
        height, width = image_size(split.images / entry["file_name"])
    except InputError:
        return None
    return width, height


def _turned(images: Sequence[_Image], *, apply: bool) -> str:
    """Repair images whose width and height are exchanged."""
    fits_own, fits_annotated = _fits(images, annotated=False), _fits(images, annotated=True)
    orientations = [_orientation(image.path) for image in images]
    is_rotated = all(orientation in _TURNED for orientation in orientations)
    if fits_own and not (fits_annotated and is_rotated):
        return _use_own(images, "have width and height exchanged")
    if fits_annotated and not fits_own and is_rotated:
        for image, orientation in zip(images, orientations, strict=True) if apply else ():
            _move(image, partial(_turn, size=image.annotated, orientation=orientation))
        outcome = "repaired" if apply else REMEDY
        return _line(images, f"have boxes that ignore their EXIF orientation: {outcome}")
    return _line(
        images,
        "have width and height exchanged; whether they were rotated before or after labeling is "
        "unknown, so nothing is changed: compare boxes and images, and correct the sizes",
    )


def _scaled(images: Sequence[_Image], *, apply: bool) -> str:
    """Repair images that were scaled, or whose sizes are wrong."""
    factors = np.array([np.divide(image.own, image.annotated) for image in images])
    fits_own, fits_annotated = _fits(images, annotated=False), _fits(images, annotated=True)
    if fits_own and not fits_annotated:
        return _use_own(images, _OTHER_SIZE)
    is_enlarged = (factors > 1).all()
    if fits_annotated and (is_enlarged or not fits_own) and _fill_annotated(images):
        for image, factor in zip(images, factors, strict=True) if apply else ():
            _move(image, partial(np.multiply, factor))
        low, high = f"{factors.min():.3g}", f"{factors.max():.3g}"
        by = low if low == high else f"{low} to {high}"
        outcome = "repaired" if apply else REMEDY
        return _line(images, f"were scaled by {by} after labeling, their boxes not: {outcome}")
    return _line(
        images,
        f"{_OTHER_SIZE}; whether the boxes fit the files is unknown, so nothing is changed: "
        "compare boxes and images, and correct the sizes",
    )


def _line(images: Sequence[_Image], what: str) -> str:
    return f"{len(images)} images {what}; the first is {images[0]}"


def _use_own(images: Sequence[_Image], what: str) -> str:
    """Replace the annotated sizes; return what was wrong."""
    for image in images:
        image.entry["width"], image.entry["height"] = image.own
    return _line(images, f"{what}: the sizes of the files are used")


def _is_rounded(image: _Image) -> bool:
    """Whether the sizes differ by so little that the boxes fit both."""
    return bool((abs(np.divide(image.own, image.annotated) - 1) <= _ROUNDING).all())


def _fits(images: Sequence[_Image], *, annotated: bool) -> bool:
    """Whether all boxes lie in images of the annotated sizes, or of those of the files."""
    for image in images:
        sides = image.annotated if annotated else image.own
        for annotation in image.annotations:
            corners = _corners(annotation)
            if (
                corners is not None
                and not ((corners >= -_EDGE) & (corners <= np.add(sides, _EDGE))).all()
            ):
                return False
    return True


def _fill_annotated(images: Sequence[_Image]) -> bool:
    """Whether many boxes together reach to about the end of the annotated images."""
    ends = [
        corners.max(0) / image.annotated
        for image in images
        for annotation in image.annotations
        if (corners := _corners(annotation)) is not None
    ]
    return len(ends) >= _MIN_BOXES and bool((np.max(ends, axis=0) >= _FILLED).all())


def _corners(annotation: dict[str, Any]) -> Points | None:
    """The corners (2, 2) of a box; None if it is malformed."""
    box = annotation.get("bbox")
    numbers = finite_numbers(box) if isinstance(box, list) and len(box) == 4 else None
    if numbers is None:
        return None
    x, y, width, height = numbers
    return np.array([[x, y], [x + width, y + height]])


def _move(image: _Image, change: Callable[[Points], Points]) -> None:
    """Move the boxes and polygons of an image, and use the size of its file."""
    image.entry["width"], image.entry["height"] = image.own
    for annotation in image.annotations:
        corners = _corners(annotation)
        assert corners is not None  # others are not listed
        moved = change(corners)
        low, high = moved.min(0), moved.max(0)
        annotation["bbox"] = [*low.tolist(), *(high - low).tolist()]
        annotation.pop("area", None)
        polygons = annotation.get("segmentation")
        if not polygons:
            continue
        try:
            points = [np.array(polygon, float).reshape(-1, 2) for polygon in polygons]
        except (TypeError, ValueError, OverflowError):  # a mask, which cannot be moved
            annotation.pop("segmentation")
            continue
        annotation["segmentation"] = [change(polygon).ravel().tolist() for polygon in points]


def _orientation(path: Path) -> int:
    """The EXIF orientation of an image file; 1 if there is none."""
    try:
        with Image.open(path) as image:
            value = image.getexif().get(_ORIENTATION, 1)
    except (OSError, ValueError, SyntaxError):
        return 1
    return value if isinstance(value, int) else 1


def _turn(points: Points, *, size: tuple[float, float], orientation: int) -> Points:
    """Points of the stored image of a (width, height) in the image as it is displayed."""
    across, down = points.T
    if orientation in (7, 8):
        across = size[0] - across
    if orientation in (6, 7):
        down = size[1] - down
    return np.column_stack([down, across])
