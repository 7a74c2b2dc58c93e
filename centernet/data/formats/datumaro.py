"""Datumaro: ``annotations/SUBSET.json`` and ``images/SUBSET``.

Specification: https://docs.cvat.ai/docs/dataset_management/formats/format-datumaro and
https://openvinotoolkit.github.io/datumaro/latest/docs/data-formats/datumaro_format.html. Numbers
are in pixels. CVAT writes the angle of a box in degrees as its attribute ``rotation``.
"""

from pathlib import Path
from typing import Any

from centernet.data.annotations import DatasetSplit, load_json
from centernet.data.entries import is_integer
from centernet.data.formats.annotation_files import has_json, json_files
from centernet.data.formats.base import Format
from centernet.data.formats.collection import Collection
from centernet.data.formats.outlines import box_of_points, box_of_rotated_box, numbers
from centernet.data.formats.split_collector import CollectedImage, SplitCollector, class_name
from centernet.errors import InputError

_KEYS = ("categories", "items")
_OUTLINES = ("polygon", "polyline", "ellipse")  # an ellipse has the corners of its box


def read(source: Path) -> list[DatasetSplit]:
    """Read the Datumaro files of a folder, or one file; the file names are the splits.

    Raises:
        InputError: a file is not Datumaro's, or an image matches several files.
    """
    files = json_files(source, _KEYS)
    collection = Collection("Datumaro JSON", source, files)
    all_names: list[str] = []
    for path in files:
        items, names = _load(path)
        all_names += [name for name in names if name]
        split = collection.split(path)
        for item in items:
            item = item if isinstance(item, dict) else {}
            media = item.get("image") or item.get("media")
            media = media if isinstance(media, dict) else {}
            sides = numbers(media.get("size"), 2) or (None, None)  # height, width
            name = media.get("path") or item.get("id")
            image = split.image(name, (sides[1], sides[0]), path, class_name(item.get("id")))
            if image is not None:
                _read_annotations(item, names, image, path, split)
    return collection.results(all_names)


def _load(path: Path) -> tuple[list[Any], list[str]]:
    """The items and the names of the labels of a file."""
    content: Any = load_json(path)
    items = content.get("items") if isinstance(content, dict) else None
    labels = content.get("categories") if isinstance(content, dict) else None
    for key in ("label", "labels"):
        labels = labels.get(key) if isinstance(labels, dict) else None
    if not isinstance(items, list) or not isinstance(labels, list):
        raise InputError(f"{path} is not Datumaro JSON: it has no items or no list of labels")
    return items, [
        class_name(label.get("name") if isinstance(label, dict) else None) for label in labels
    ]


def _read_annotations(
    item: dict[str, Any],
    names: list[str],
    image: CollectedImage,
    path: Path,
    split: SplitCollector,
) -> None:
    annotations = item.get("annotations")
    for number, entry in enumerate(annotations if isinstance(annotations, list) else [], 1):
        entry = entry if isinstance(entry, dict) else {}
        where = f"annotation {number} of {image.name} in {path}"
        kind = entry.get("type")
        attributes = entry.get("attributes")
        attributes = attributes if isinstance(attributes, dict) else {}
        if kind == "bbox":
            box = numbers(entry.get("bbox"), 4)
            angle = numbers([attributes.get("rotation", 0)])
            if box and angle and angle[0]:
                split.remark("rotated boxes read as their enclosing boxes", where)
                box = box_of_rotated_box(box, angle[0])
        elif kind == "points":
            point = numbers(entry.get("points"), 2)
            split.add_point(image, _name(names, entry.get("label_id")), point, where)
            continue
        elif kind in _OUTLINES:
            split.remark("outlines read as their enclosing boxes", where)
            box = _box_of_list(entry.get("points"))
        else:
            split.remark("annotations that are neither boxes nor outlines, left out", where)
            continue
        ignore = attributes.get("is_crowd") is True
        split.add(image, _name(names, entry.get("label_id")), box, where, ignore=ignore)


def _name(names: list[str], number: Any) -> str | None:
    """The name of a label; None if there is no such label."""
    return names[number] if is_integer(number) and 0 <= number < len(names) else None


def _box_of_list(values: Any) -> list[float] | None:
    """The box of a list x1, y1, x2, y2, ...; None if it is malformed."""
    found = numbers(values)
    if not found or len(found) % 2:
        return None
    return box_of_points(list(zip(found[::2], found[1::2], strict=True)))


FORMAT = Format(
    name="datumaro",
    files="Datumaro JSON",
    detect=lambda source: has_json(source, _KEYS),
    read=read,
    is_tool=True,
)
