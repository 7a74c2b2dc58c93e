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

from centernet.data.entries import (
    annotation_area,
    as_number,
    box_error,
    entry_error,
    image_sides,
    is_ignore_region,
    short,
)
from centernet.data.regions import Box, Region, parse_segmentation
from centernet.errors import InputError
from centernet.files import read_text

log = logging.getLogger(__name__)

MAX_JSON = 2**31  # bytes; the values take ten times as many in memory
_PARTS = ("images", "categories", "annotations")


@dataclass(frozen=True)
class DatasetSplit:
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


def read_coco(source: str | Path | DatasetSplit) -> dict[str, list[dict[str, Any]]]:
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
    is_split = isinstance(source, DatasetSplit)
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
    coco = {part: entries(path, content, part) for part in _PARTS}
    _check_references(path, coco)
    return coco


def load_json(path: str | Path) -> Any:
    """The content of a JSON file.

    Raises:
        InputError: the file cannot be read or is no JSON.
    """
    try:
        return json.loads(read_text(path, most=MAX_JSON))
    except OSError as error:
        raise InputError(f"cannot read annotation file {path}: {error.strerror or error}") from None
    except ValueError as error:
        raise InputError(f"annotation file {path} is not valid JSON: {error}") from None
    except RecursionError:
        raise InputError(f"annotation file {path} is nested too deeply to be read") from None


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
            f"{len(names)} that are expected ({truncate_list(names)}): select classes with "
            "--data.classes, or use weights trained on these classes"
        )
    return {category["id"]: label[str(category["name"])] for category in coco["categories"]}


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
        if fault := entry_error(part, entry):
            raise InputError(f"{path} is not in COCO's format: entry {number} of {part!r} {fault}")
    return found


def _check_references(path: str | Path, coco: dict[str, list[dict[str, Any]]]) -> None:
    for part, key in (("images", "id"), ("categories", "id"), ("categories", "name")):
        # 1 and "1" would be mistaken for each other.
        text, count = Counter(str(entry[key]) for entry in coco[part]).most_common(1)[0]
        if count > 1:
            first = next(entry[key] for entry in coco[part] if str(entry[key]) == text)
            raise InputError(f"{path}: {count} {part} have the same {key} {short(first)}")
    for key, part in (("image_id", "images"), ("category_id", "categories")):
        known = {entry["id"] for entry in coco[part]}
        for annotation in coco["annotations"]:
            if annotation[key] not in known:
                raise InputError(
                    f"{_place(path, annotation)} has {key} {short(annotation[key])}, but no entry "
                    f"of {part!r} has that id"
                )


def _place(path: str | Path, annotation: dict[str, Any]) -> str:
    return f"{path}: annotation {annotation.get('id', '?')}"


def _regular(path: str | Path, coco: dict[str, list[dict[str, Any]]]) -> list[dict[str, Any]]:
    size = {image["id"]: image_sides(image) for image in coco["images"]}
    kept, dropped = [], Counter()
    for annotation in coco["annotations"]:
        box, region = annotation_box(path, annotation), annotation_region(path, annotation)
        fault = box_error(box, size[annotation["image_id"]])
        if fault:
            dropped[fault] += 1
            continue
        kept.append(
            {
                "id": len(kept) + 1,
                "image_id": annotation["image_id"],
                "category_id": annotation["category_id"],
                "bbox": box,
                "area": annotation_area(annotation, box),
                "iscrowd": int(region is not None),
            }
            | ({"region": region} if region else {})
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
    """The box of an annotation, xywh; an ignore region may have a segmentation alone.

    Raises:
        InputError: it has none, or not four numbers.
    """
    box = annotation.get("bbox")
    if box is None and is_ignore_region(annotation):
        region = _segmentation(path, annotation)
        box = region and region.enclosing_box()
    values = [_coordinate(value) for value in box] if isinstance(box, list | tuple) else []
    if len(values) != 4 or None in values:
        raise InputError(
            f"{_place(path, annotation)} has bbox {short(box)}, "
            "not four numbers [x, y, width, height]"
        )
    return values


def _coordinate(value: Any) -> float | None:
    """A number, also as text; NaN for null, None for all else."""
    if value is None:
        return math.nan
    if isinstance(value, str):
        try:
            return float(value)
        except ValueError:
            return None
    return as_number(value)


def annotation_region(path: str | Path, annotation: dict[str, Any]) -> Region | None:
    """The region of an annotation that is an ignore region, its box by default; None for others.

    Raises:
        InputError: its segmentation is malformed, or it has neither that nor a box.
    """
    if not is_ignore_region(annotation):
        return None
    region = _segmentation(path, annotation)
    return Box(annotation_box(path, annotation)) if region is None else region


def _segmentation(path: str | Path, annotation: dict[str, Any]) -> Region | None:
    try:
        return parse_segmentation(annotation.get("segmentation"))
    except InputError as error:
        raise InputError(f"{_place(path, annotation)} has {error}") from None


def truncate_list(names: Sequence[str], most: int = 5) -> str:
    """The first few names, for messages."""
    return ", ".join(names[:most]) + (", ..." if len(names) > most else "")
