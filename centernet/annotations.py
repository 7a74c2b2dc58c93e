"""COCO annotation files: read, checked, and made regular, so that all else can trust them."""

import json
import logging
import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pycocotools import mask as coco_mask

from centernet.errors import InputError

log = logging.getLogger(__name__)

# What every entry must have, and of what type.
_NEEDED = {
    "images": {"id": int | str, "file_name": str},
    "categories": {"id": int, "name": int | str},
    "annotations": {"image_id": int | str, "category_id": int},
}


@dataclass(frozen=True)
class Split:
    """One part of a dataset in COCO's terms, whatever format it came in; not yet made regular.

    Attributes:
        name: ``"train"``, ``"val"``, ``"test"``, ... as the source calls it ("valid" is "val").
        images: folder that every ``file_name`` is relative to.
        coco: ``images``, ``annotations`` and ``categories`` as of a COCO file. What is broken in
            the source is still in it, as far as COCO can hold it.
        source: the file or folder that it was read from.
        notes: what the reader had to change, skip or guess, one line each, with the file.
    """

    name: str
    images: Path
    coco: dict[str, Any] = field(repr=False)
    source: Path
    notes: list[str] = field(default_factory=list)

    def __str__(self) -> str:
        return str(self.source)


def read_coco(source: str | Path | Split) -> dict[str, list[dict[str, Any]]]:
    """Read an annotation file in COCO's format, or what was read from another one.

    Boxes that nothing can learn from (NaN, zero-size, outside their image) are dropped, and counted
    in one log line. Afterwards every annotation has ``id`` (from 1), ``bbox`` (xywh floats),
    ``area``, and ``iscrowd``, which is 1 also for annotations marked ``"ignore": 1``: both are
    regions, neither object nor background.

    Args:
        source: COCO JSON, or a split of a dataset of any format, which stays as it is.

    Returns:
        The file's ``images``, ``categories`` (by ascending id) and ``annotations``.

    Raises:
        InputError: the file is missing or no JSON, is not COCO, holds no images or categories, uses
            an id twice, or has an annotation without a box or of an unknown image or category.
    """
    is_split = isinstance(source, Split)
    path = source.source if is_split else source
    content = source.coco if is_split else load_json(path)
    coco = check_coco(path, content)
    coco["categories"] = sorted(coco["categories"], key=lambda category: category["id"])
    coco["annotations"] = _regular(path, coco)
    return coco


def check_coco(path: str | Path, content: Any) -> dict[str, list[dict[str, Any]]]:
    """The three lists of a COCO file's content, if they are sound but for the boxes.

    Args:
        path: of the file, for messages.
        content: of the file.

    Raises:
        InputError: it is not COCO, holds no images or categories, uses an id twice, or has an
            annotation of an unknown image or category.
    """
    coco = {part: entries(path, content, part) for part in _NEEDED}
    _check_references(path, coco)
    return coco


def load_json(path: str | Path) -> Any:
    """The content of a JSON file.

    Raises:
        InputError: the file cannot be read or is no JSON.
    """
    try:
        with open(path, encoding="utf-8-sig") as file:
            return json.load(file)
    except OSError as error:
        raise InputError(f"cannot read annotation file {path}: {error.strerror or error}") from None
    except ValueError as error:
        raise InputError(f"annotation file {path} is not valid JSON: {error}") from None


def names_by_label(coco: dict[str, list[dict[str, Any]]]) -> tuple[str, ...]:
    """Names of the classes by label; labels follow ascending category ids."""
    return tuple(str(category["name"]) for category in coco["categories"])


def category_labels(
    path: str | Path, coco: dict[str, list[dict[str, Any]]], names: Sequence[str]
) -> dict[int, int]:
    """Label of each category id, found by name among ``names``.

    Raises:
        InputError: the file has a category that is not among ``names``.
    """
    label = {name: i for i, name in enumerate(names)}
    unknown = [name for name in names_by_label(coco) if name not in label]
    if unknown:
        raise InputError(
            f"{path} has {len(coco['categories'])} classes, and {unknown[0]!r} is not one of the "
            f"{len(names)} that the model knows "
            f"({shortened(names)}): use weights trained on these classes, or train anew"
        )
    return {category["id"]: label[str(category["name"])] for category in coco["categories"]}


def region_mask(annotation: dict[str, Any], image_size: tuple[int, int]) -> NDArray[np.uint8]:
    """The region of an annotation as a mask: its segmentation (RLE or polygons) or else its box.

    Returns:
        (H, W) uint8, non-zero inside; for an RLE of another size, that size.
    """
    height, width = image_size
    shape = annotation.get("segmentation")
    if isinstance(shape, dict) and isinstance(shape["counts"], list):
        shape = coco_mask.frPyObjects(shape, *shape["size"])
    elif isinstance(shape, list) and shape:
        shape = coco_mask.merge(coco_mask.frPyObjects(shape, height, width))
    if shape:
        return coco_mask.decode(shape)
    mask = np.zeros(image_size, np.uint8)
    x, y, w, h = annotation["bbox"]
    # A pixel belongs to the box when its centre does.
    rows, columns = (
        [max(0, round(low)), max(0, round(low + length))] for low, length in ((y, h), (x, w))
    )
    mask[slice(*rows), slice(*columns)] = 1
    return mask


def entries(path: str | Path, content: Any, part: str) -> list[dict[str, Any]]:
    """One of the lists of a COCO file's content, if each entry has what it needs.

    Args:
        path: of the file, for messages.
        content: of the file.
        part: ``"images"``, ``"categories"`` or ``"annotations"``.

    Raises:
        InputError: it is no such list.
    """
    found = content.get(part) if isinstance(content, dict) else None
    if not isinstance(found, list):
        raise InputError(f"{path} is not in COCO's format: it has no list {part!r}")
    if not found and part != "annotations":
        raise InputError(f"{path} is empty: it lists no {part}")
    for number, entry in enumerate(found):
        if fault := entry_fault(part, entry):
            raise InputError(f"{path} is not in COCO's format: entry {number} of {part!r} {fault}")
    return found


def entry_fault(part: str, entry: Any) -> str | None:
    """What an entry of ``images``, ``categories`` or ``annotations`` lacks; None for nothing."""
    for key, kind in _NEEDED[part].items():
        if not isinstance(entry, dict) or key not in entry:
            return f"has no {key!r}"
        if not isinstance(entry[key], kind):
            return f"has {key} {entry[key]!r}, which should be {getattr(kind, '__name__', kind)}"
    return None


def _check_references(path: str | Path, coco: dict[str, list[dict[str, Any]]]) -> None:
    for part, key in (("images", "id"), ("categories", "id"), ("categories", "name")):
        value, count = Counter(entry[key] for entry in coco[part]).most_common(1)[0]
        if count > 1:
            raise InputError(f"{path}: {count} {part} have the same {key} {value!r}")
    for key, part in (("image_id", "images"), ("category_id", "categories")):
        known = {entry["id"] for entry in coco[part]}
        for annotation in coco["annotations"]:
            if annotation[key] not in known:
                raise InputError(
                    f"{path}: annotation {annotation.get('id', '?')} has {key} "
                    f"{annotation[key]!r}, but no entry of {part!r} has that id"
                )


def _regular(path: str | Path, coco: dict[str, list[dict[str, Any]]]) -> list[dict[str, Any]]:
    size = {image["id"]: image_sides(image) for image in coco["images"]}
    kept, dropped = [], Counter()
    for annotation in coco["annotations"]:
        box = annotation_box(path, annotation)
        fault = box_fault(box, size[annotation["image_id"]])
        if fault:
            dropped[fault] += 1
            continue
        region = bool(annotation.get("iscrowd") or annotation.get("ignore"))
        kept.append(
            {
                "id": len(kept) + 1,
                "image_id": annotation["image_id"],
                "category_id": annotation["category_id"],
                "bbox": box,
                "area": annotation_area(annotation, box),
                "iscrowd": int(region),
            }
            | ({"segmentation": annotation_region(path, annotation)} if region else {})
        )
    if dropped:
        reasons = ", ".join(f"{count} {fault}" for fault, count in dropped.items())
        count = f"{dropped.total()} of {len(coco['annotations'])}"
        _warn_once(f"{path}: dropped {count} boxes: {reasons}")
    return kept


@cache
def _warn_once(message: str) -> None:
    """Each evaluation reads the same file again."""
    log.warning("%s", message)


def annotation_box(path: str | Path, annotation: dict[str, Any]) -> list[float]:
    """The box of an annotation, xywh; a crowd may have but a region in RLE.

    Raises:
        InputError: it has none, or not four numbers.
    """
    box, segmentation = annotation.get("bbox"), annotation.get("segmentation")
    if box is None and annotation.get("iscrowd") and _is_rle(segmentation):
        if isinstance(segmentation["counts"], list):
            segmentation = coco_mask.frPyObjects(segmentation, *segmentation["size"])
        box = coco_mask.toBbox(segmentation)
    try:
        if isinstance(box, str):
            raise TypeError
        x, y, w, h = (np.nan if value is None else float(value) for value in box)
    except (TypeError, ValueError):
        raise InputError(
            f"{path}: annotation {annotation.get('id', '?')} has bbox {box!r}, "
            "not four numbers [x, y, width, height]"
        ) from None
    return [x, y, w, h]


def annotation_area(annotation: dict[str, Any], box: Sequence[float]) -> float:
    """The area of an annotation in pixels; that of its box where it gives no positive number."""
    area = annotation.get("area")
    is_area = isinstance(area, int | float) and math.isfinite(area) and area > 0
    return area if is_area else box[2] * box[3]


def annotation_region(path: str | Path, annotation: dict[str, Any]) -> dict | list | None:
    """The segmentation of an ignore region: an RLE or polygons; None where its box stands for it.

    Raises:
        InputError: it is neither.
    """
    shape = annotation.get("segmentation") or None
    is_polygons = isinstance(shape, list) and all(
        isinstance(polygon, list) and len(polygon) >= 6 for polygon in shape
    )
    if not (shape is None or _is_rle(shape) or is_polygons):
        raise InputError(
            f"{path}: the region of annotation {annotation.get('id', '?')} is neither an RLE with "
            "counts and size nor a list of polygons of three points or more"
        )
    return shape


def _is_rle(shape: Any) -> bool:
    return isinstance(shape, dict) and {"counts", "size"} <= shape.keys()


def image_sides(image: dict[str, Any]) -> tuple[float, float]:
    """Width and height of an entry of ``images``; infinite where it does not say."""
    width, height = (
        side if isinstance(side, int | float) and side > 0 else np.inf
        for side in (image.get("width"), image.get("height"))
    )
    return width, height


def box_fault(box: Sequence[float], sides: tuple[float, float]) -> str | None:
    """Why nothing can be learned from a box: not finite, of zero size, outside; None if it can.

    Args:
        box: xywh.
        sides: width and height of the image.
    """
    x, y, w, h = box
    if not all(map(math.isfinite, box)):
        return "not finite"
    if w <= 0 or h <= 0:
        return "of zero size"
    if x >= sides[0] or y >= sides[1] or x + w <= 0 or y + h <= 0:
        return "outside the image"
    return None


def shortened(names: Sequence[str], most: int = 5) -> str:
    """The first few names, for messages."""
    return ", ".join(names[:most]) + (", ..." if len(names) > most else "")
