"""VGG Image Annotator (VIA): the regions of its files, see :mod:`.via_files`.

Lengths are in pixels and angles in radians. The class of a region is one of its attributes.
"""

import math
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from centernet.data.annotations import DatasetSplit
from centernet.data.formats.base import Format
from centernet.data.formats.collection import Collection
from centernet.data.formats.outlines import box_of_ellipse, box_of_points, numbers
from centernet.data.formats.split_collector import SplitCollector, class_name
from centernet.data.formats.via_files import has_via_files, load_images, via_files

_CLASS_ATTRIBUTES = ("class", "label", "name", "category", "type", "object")
_ONE_CLASS = "object"  # if no region has an attribute


def read(source: Path) -> list[DatasetSplit]:
    """Read the VIA files of a folder, or one file; file and folder names name the splits.

    Raises:
        InputError: a file is not VIA's, or an image matches several files.
    """
    files = via_files(source)
    collection = Collection("VIA", source, files)
    for path in files:
        split = collection.split(path)
        images = load_images(path)
        label_of = _label_reader(images, path, split)
        for entry in images:
            image = split.image(entry.get("filename"), (None, None), path)
            if image is None:
                continue
            for number, region in enumerate(_regions(entry), 1):
                where = f"region {number} of {image.name} in {path}"
                if (point := _point(region)) is not None:
                    split.add_point(image, label_of(region), point, where)
                    continue
                box = _box(region, where, split)
                split.add(image, label_of(region), box, where)
    return collection.results()


def _regions(entry: dict[str, Any]) -> list[dict[str, Any]]:
    """The regions of an image; VIA 1 numbers them in an object."""
    regions = entry.get("regions") or []
    found = list(regions.values()) if isinstance(regions, dict) else regions
    return [r if isinstance(r, dict) else {} for r in found] if isinstance(found, list) else []


def _attributes(region: dict[str, Any]) -> Iterator[tuple[str, str]]:
    """Names and values of a region's attributes; a checkbox has the option that is checked."""
    attributes = region.get("region_attributes")
    for name, value in attributes.items() if isinstance(attributes, dict) else ():
        if isinstance(value, dict):
            checked = [option for option, is_checked in value.items() if is_checked]
            value = checked[0] if len(checked) == 1 else None
        if label := class_name(value):
            yield name, label


def _label_reader(
    images: list[dict[str, Any]], path: Path, split: SplitCollector
) -> Callable[[dict[str, Any]], str | None]:
    """How to read the class of a region: an attribute, or the only one of each region."""
    found = [dict(_attributes(region)) for entry in images for region in _regions(entry)]
    counts = Counter(name for attributes in found for name in attributes)
    if not counts:
        if found:
            split.notes.append(f"{path}: no region has a class, so all are {_ONE_CLASS!r}")
        return lambda region: _ONE_CLASS
    if len(counts) > 1 and max(map(len, found)) == 1:
        split.notes.append(f"{path}: each region has another attribute, whose value is its class")
        return lambda region: next(iter(dict(_attributes(region)).values()), None)
    rank = {name: -number for number, name in enumerate(_CLASS_ATTRIBUTES)}
    best = max(counts, key=lambda name: (counts[name], rank.get(name.lower(), -len(rank))))
    if len(counts) > 1:
        others = ", ".join(sorted(counts.keys() - {best})[:5])
        split.notes.append(f"{path}: the attribute {best!r} is the class, not {others}")
    return lambda region: dict(_attributes(region)).get(best)


def _point(region: dict[str, Any]) -> list[float] | None:
    """The point of a region; None if it is none."""
    shape = region.get("shape_attributes")
    if not isinstance(shape, dict) or shape.get("name") != "point":
        return None
    return numbers([shape.get("cx"), shape.get("cy")])


def _box(region: dict[str, Any], where: str, split: SplitCollector) -> list[float] | None:
    """The box of a region; None if it has no area or is malformed."""
    shape = region.get("shape_attributes")
    shape = shape if isinstance(shape, dict) else {}
    if shape.get("name") == "rect":
        return numbers([shape.get(key) for key in ("x", "y", "width", "height")])
    split.remark("outlines read as their enclosing boxes", where)
    if isinstance(xs := shape.get("all_points_x"), list):
        ys = shape.get("all_points_y")
        if not isinstance(ys, list) or len(xs) != len(ys):
            return None
        return box_of_points(list(zip(xs, ys, strict=True)))
    radii = ("rx", "ry") if "rx" in shape else ("r", "r")
    values = numbers([shape.get(key) for key in ("cx", "cy", *radii)])
    angle = numbers([shape.get("theta", 0)])
    if values is None or angle is None:
        return None
    return box_of_ellipse(values[:2], values[2:], math.degrees(angle[0]))


FORMAT = Format(
    name="via",
    files="VIA JSON or CSV",
    detect=has_via_files,
    read=read,
    is_tool=True,
)
