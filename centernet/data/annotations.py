"""COCO annotations: read, validate and normalize them."""

import gc
import json
import logging
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import cache
from pathlib import Path
from typing import Any

from centernet.data.boxes import annotation_box, annotation_region, name_annotation
from centernet.data.entries import (
    annotation_area,
    box_error,
    entry_error,
    image_sides,
    short,
)
from centernet.data.points import is_point, point_entry
from centernet.errors import InputError
from centernet.files import read_text

log = logging.getLogger(__name__)

MAX_JSON = 2**31  # bytes; parsed, they take ten times as much memory
_PARTS = ("images", "categories", "annotations")


@dataclass(frozen=True)
class DatasetSplit:
    """One split of a dataset of any format, as COCO content that is not validated yet.

    Attributes:
        name: ``"train"``, ``"val"``, ``"test"`` or another name of the source ("valid" is "val").
        images: folder that every ``file_name`` is relative to.
        coco: ``images``, ``annotations`` and ``categories`` of a COCO file. Errors of the source
            are kept as far as COCO can represent them.
        source: the file or folder that the split was read from.
        notes: what the reader changed, skipped or guessed, one line each, with the file.
        is_normalized: whether ``coco`` is a result of :func:`read_coco`.
    """

    name: str
    images: Path
    coco: dict[str, Any] = field(repr=False)
    source: Path
    notes: list[str] = field(default_factory=list)
    is_normalized: bool = False

    def __str__(self) -> str:
        return str(self.source)


def read_coco(source: str | Path | DatasetSplit) -> dict[str, list[dict[str, Any]]]:
    """Read, validate and normalize COCO annotations.

    Unusable boxes (NaN, zero size, outside the image) are dropped, and one log line counts them.
    Points are kept, see :mod:`centernet.data.points`. A placeholder class is dropped, see
    :func:`placeholder_category`. Every remaining annotation has ``id`` (from 1), ``bbox`` (xywh
    floats), ``area``, and ``iscrowd``, which is also 1 for annotations marked ``"ignore": 1``: both
    are ignore regions, neither object nor background. Those also have ``region``, a
    :class:`~centernet.data.regions.Region`.

    Args:
        source: COCO JSON file, or a split of a dataset of any format, which is not modified.

    Returns:
        ``images``, ``categories`` (by ascending id) and ``annotations``.

    Raises:
        InputError: the file cannot be read, is not COCO JSON, has no images or categories, has
            duplicate ids, or has an annotation without a box or of an unknown image or category.
    """
    if isinstance(source, DatasetSplit):
        if source.is_normalized:
            return source.coco
        path, content = source.source, source.coco
    else:
        path, content = Path(source), load_json(source)
    coco = check_coco(path, content)
    coco["categories"] = sorted(coco["categories"], key=lambda category: category["id"])
    if group := placeholder_category(coco):
        coco["categories"].remove(group)
        _warn_once(f"{path}: dropped class {group['name']!r}, {PLACEHOLDER}")
    with without_collection():
        coco["annotations"] = _normalized(path, coco)
    return coco


def normalize(split: DatasetSplit) -> DatasetSplit:
    """A split with the content that :func:`read_coco` returns, which is then not computed again."""
    return replace(split, coco=read_coco(split), is_normalized=True)


def check_coco(path: str | Path, content: Any) -> dict[str, list[dict[str, Any]]]:
    """Validate the content of a COCO file except the boxes; return its three lists.

    Args:
        path: path of the file, for messages.
        content: content of the file.

    Raises:
        InputError: it is not COCO, has no images or categories, has duplicate ids, or has an
            annotation of an unknown image or category.
    """
    coco = {part: entries(path, content, part) for part in _PARTS}
    _check_references(path, coco)
    return coco


def load_json(path: str | Path, *, object_hook: Callable[[dict], dict] | None = None) -> Any:
    """Read a JSON file.

    Args:
        path: the file.
        object_hook: called with each object as soon as it is parsed; its result is used instead.

    Raises:
        InputError: the file cannot be read or is not valid JSON.
    """
    try:
        with without_collection():
            return json.loads(read_text(path, most=MAX_JSON), object_hook=object_hook)
    except OSError as error:
        raise InputError(f"cannot read annotation file {path}: {error.strerror or error}") from None
    except ValueError as error:
        raise InputError(f"annotation file {path} is not valid JSON: {error}") from None
    except RecursionError:
        raise InputError(f"annotation file {path} is nested too deeply") from None


@contextmanager
def without_collection() -> Iterator[None]:
    """Suspend the garbage collector, which would traverse millions of new objects repeatedly."""
    is_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if is_enabled:
            gc.enable()


PLACEHOLDER = "the parent of all other classes, which has no annotations"


def placeholder_category(coco: dict[str, Any]) -> dict[str, Any] | None:
    """The category that Roboflow adds as the parent of all classes, or None.

    It is the ``supercategory`` of all others and has no annotations. Malformed entries are
    ignored.
    """
    categories = coco["categories"]
    if len(categories) < 2 or any(entry_error("categories", c) for c in categories):
        return None
    children = Counter(p for c in categories if isinstance(p := c.get("supercategory"), str))
    for group in categories:
        own = group.get("supercategory") == group["name"]
        if children[group["name"]] - own == len(categories) - 1:
            valid = (a for a in coco["annotations"] if not entry_error("annotations", a))
            if not any(a["category_id"] == group["id"] for a in valid):
                return group
    return None


def names_by_label(coco: dict[str, list[dict[str, Any]]]) -> tuple[str, ...]:
    """Class names by label; labels follow ascending category ids."""
    return tuple(str(category["name"]) for category in coco["categories"])


def category_labels(
    path: str | Path, coco: dict[str, list[dict[str, Any]]], names: Sequence[str]
) -> dict[int, int]:
    """The label of each category id: the position of its name in ``names``.

    Raises:
        InputError: the file has a category that is not in ``names``.
    """
    label = {name: i for i, name in enumerate(names)}
    unknown = [name for name in names_by_label(coco) if name not in label]
    if unknown:
        raise InputError(
            f"{path} has {len(coco['categories'])} classes, and {unknown[0]!r} is not one of the "
            f"{len(names)} expected classes ({truncate_list(names)}): select classes with "
            "--data.classes, or use weights trained on these classes"
        )
    return {category["id"]: label[str(category["name"])] for category in coco["categories"]}


def entries(path: str | Path, content: Any, part: str) -> list[dict[str, Any]]:
    """One list of a COCO file's content, with each entry validated.

    Args:
        path: path of the file, for messages.
        content: content of the file.
        part: ``"images"``, ``"categories"`` or ``"annotations"``.

    Raises:
        InputError: the list or an entry is missing or malformed.
    """
    found = content.get(part) if isinstance(content, dict) else None
    if not isinstance(found, list):
        raise InputError(f"{path} is not COCO JSON: it has no list {part!r}")
    if not found and part != "annotations":
        raise InputError(f"{path} is empty: it lists no {part}")
    for number, entry in enumerate(found):
        if error := entry_error(part, entry):
            raise InputError(f"{path} is not COCO JSON: entry {number} of {part!r} {error}")
    return found


def _check_references(path: str | Path, coco: dict[str, list[dict[str, Any]]]) -> None:
    """Raise InputError for duplicate ids or names, and for unknown images or categories."""
    for part, key in (("images", "id"), ("categories", "id"), ("categories", "name")):
        # Compared as text: 1 and "1" are easily confused.
        text, count = Counter(str(entry[key]) for entry in coco[part]).most_common(1)[0]
        if count > 1:
            first = next(entry[key] for entry in coco[part] if str(entry[key]) == text)
            raise InputError(f"{path}: {count} {part} have the same {key} {short(first)}")
    for key, part in (("image_id", "images"), ("category_id", "categories")):
        known = {entry["id"] for entry in coco[part]}
        for annotation in coco["annotations"]:
            if annotation[key] not in known:
                raise InputError(
                    f"{name_annotation(path, annotation)} has {key} {short(annotation[key])}, "
                    f"but no entry of {part!r} has that id"
                )


def _normalized(path: Path, coco: dict[str, list[dict[str, Any]]]) -> list[dict[str, Any]]:
    """The usable annotations, as :func:`read_coco` describes them."""
    sides_of = {image["id"]: image_sides(image) for image in coco["images"]}
    kept: list[dict[str, Any]] = []
    dropped: Counter[str] = Counter()
    for annotation in coco["annotations"]:
        sides = sides_of[annotation["image_id"]]
        box = annotation_box(path, annotation, sides)
        region = annotation_region(path, annotation, sides)
        is_center = is_point(annotation) and not region
        if error := box_error(box, sides, is_point=is_center):
            dropped[error] += 1
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
            | (point_entry(*box[:2]) if is_center else {})
            | ({"region": region} if region else {})
        )
    if dropped:
        reasons = ", ".join(f"{count} {error}" for error, count in dropped.items())
        count = f"{dropped.total()} of {len(coco['annotations'])}"
        _warn_once(f"{path}: dropped {count} boxes: {reasons}")
    return kept


@cache
def _warn_once(message: str) -> None:
    """Log a warning; repeated reads of a file repeat nothing."""
    log.warning("%s", message)


def truncate_list(names: Sequence[str], most: int = 5) -> str:
    """The first ``most`` names, separated by commas, for messages."""
    return ", ".join(names[:most]) + (", ..." if len(names) > most else "")
