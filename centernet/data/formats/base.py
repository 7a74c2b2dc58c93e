"""Interface of a dataset format, and helpers for writers.

A new format is one module with a :class:`Format`, and one line in
:data:`centernet.data.formats.detect.FORMATS`.
"""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from centernet import geometry
from centernet.data.annotations import DatasetSplit
from centernet.data.entries import is_ignore_region
from centernet.data.points import is_point

# Pixels. Smaller differences are the limited digits of a format, not a change.
TOLERANCE = 0.01


@dataclass(frozen=True)
class Format:
    """Reader and, for some formats, writer of a dataset format.

    Attributes:
        name: as in ``centernet convert --format``.
        files: what a dataset of the format contains, for messages.
        detect: whether a file or folder is a dataset of the format.
        read: reads the splits of such a file or folder.
        read_boxes: the same without the outlines of objects, if that takes less memory.
        write: writes the annotations of splits to a folder, and returns one line for each kind of
            content that the format cannot represent. None for a format that is only read.
        image_folder: where ``write`` expects the images of a split; ``{}`` stands for the split's
            name.
        has_ignore_regions: whether the format can represent ignore regions.
        has_points: whether the format can represent points; ``write`` never gets them otherwise.
        any_image_paths: whether annotations can refer to images anywhere, so that names are kept
            when no images are written.
        reserved_folders: names of folders that may not occur below ``image_folder``.
        is_tool: whether it is the format of an annotation tool, whose files often lie beside an
            export in another format.
    """

    name: str
    files: str
    detect: Callable[[Path], bool]
    read: Callable[[Path], list[DatasetSplit]]
    read_boxes: Callable[[Path], list[DatasetSplit]] | None = None
    write: Callable[[Sequence[DatasetSplit], Path], list[str]] | None = None
    image_folder: str = ""
    has_ignore_regions: bool = True
    has_points: bool = False
    any_image_paths: bool = False
    reserved_folders: tuple[str, ...] = ()
    is_tool: bool = False


def class_names(splits: Sequence[DatasetSplit]) -> list[str]:
    """The class names of all splits, by ascending id within each split."""
    return list(
        dict.fromkeys(
            str(category["name"])
            for split in splits
            for category in sorted(split.coco["categories"], key=lambda c: c["id"])
        )
    )


def annotations_by_image(
    split: DatasetSplit,
) -> Iterator[tuple[dict[str, Any], list[dict[str, Any]]]]:
    """Each image with its annotations."""
    of_image: dict[Any, list[dict[str, Any]]] = {i["id"]: [] for i in split.coco["images"]}
    for annotation in split.coco["annotations"]:
        of_image[annotation["image_id"]].append(annotation)
    for image in split.coco["images"]:
        yield image, of_image[image["id"]]


def clip_to_image(
    annotations: Sequence[dict[str, Any]], image: dict[str, Any]
) -> tuple[NDArray[np.float64], int]:
    """Clip the boxes of an image's annotations.

    Returns:
        (n, 4) xyxy in image pixels, and how many boxes the clipping changed.
    """
    boxes = np.array([a["bbox"] for a in annotations], np.float64).reshape(-1, 4)
    corners = geometry.xywh_to_xyxy(boxes)
    clipped = corners.clip(0, [image["width"], image["height"]] * 2)
    return clipped, int((np.abs(clipped - corners) > TOLERANCE).any(1).sum())


class WrittenObject(NamedTuple):
    """An object of an image; ``corners`` are xyxy in image pixels, inside of the image.

    The corners of a point are equal.
    """

    name: str
    corners: list[float]
    is_region: bool
    is_point: bool = False


def objects_by_image(
    split: DatasetSplit, lost: Counter[str], *, with_regions: bool = False
) -> Iterator[tuple[dict[str, Any], list[WrittenObject]]]:
    """Each image with its objects, for a format of boxes and points.

    Args:
        split: a clean split.
        lost: what the format cannot represent, which is counted.
        with_regions: also yield ignore regions.
    """
    name_of = {c["id"]: str(c["name"]) for c in split.coco["categories"]}
    for image, annotations in annotations_by_image(split):
        chosen = [a for a in annotations if with_regions or not is_ignore_region(a)]
        boxes, changed = clip_to_image(chosen, image)
        lost["crowd or ignore regions left out: they become background"] += len(annotations) - len(
            chosen
        )
        lost["segmentations left out, their boxes remain"] += sum(
            bool(a.get("segmentation")) for a in chosen
        )
        lost["boxes clipped to their image"] += changed
        yield (
            image,
            [
                WrittenObject(name_of[a["category_id"]], corners, is_ignore_region(a), is_point(a))
                for a, corners in zip(chosen, boxes.tolist(), strict=True)
            ],
        )


def counted(counts: Mapping[str, int]) -> list[str]:
    """One line for each count that is not zero.

    >>> counted({"boxes rounded": 2, "boxes clipped": 0})
    ['2 boxes rounded']
    """
    return [f"{count} {what}" for what, count in counts.items() if count]
