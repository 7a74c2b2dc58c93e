"""The files of VIA 1, 2 and 3, as JSON or CSV, as the entries of images of VIA 2.

Specification: the documentation of VIA's source code. VIA 1 and 2 write ``_via_img_metadata`` and
CSV files with a row for each region, https://github.com/ox-vgg/via/blob/master/via-2.x.y/CodeDoc.md.
VIA 3 writes ``file``, ``view``, ``metadata`` and ``attribute``,
https://github.com/ox-vgg/via/blob/master/CodeDoc.md.
"""

import csv
import io
import json
from collections import defaultdict
from pathlib import Path
from typing import Any

from centernet.data.annotations import load_json
from centernet.data.formats.annotation_files import annotation_files, any_of, has_json, json_files
from centernet.errors import InputError
from centernet.files import open_regular, read_bytes

_KINDS = (("_via_img_metadata",), ("filename", "regions"), ("metadata", "view", "attribute"))
_CSV = "region_shape_attributes"
_START = 1 << 12  # bytes of a CSV file that contain its first line
_MAX_CSV = 1 << 28  # bytes
_MAX_CELL = 1 << 24  # characters of an outline
# Names of shapes and their numbers in VIA 3, by the number of the shape.
_SHAPES = {
    1: ("point", ("cx", "cy")),
    2: ("rect", ("x", "y", "width", "height")),
    3: ("circle", ("cx", "cy", "r")),
    4: ("ellipse", ("cx", "cy", "rx", "ry")),
}
_OUTLINES = (5, 6, 7, 8)  # line, polyline, polygon, four points on the edges of a box


def has_via_files(source: Path) -> bool:
    """Whether a folder contains files of VIA among its first files, or is one."""
    return has_json(source, *_KINDS) or any_of(annotation_files(source, ".csv"), _is_csv)


def via_files(source: Path) -> list[Path]:
    """The files of VIA in a folder, or the file; CSV files if there is no JSON file."""
    found = json_files(source, *_KINDS)
    return found or [path for path in annotation_files(source, ".csv") if _is_csv(path)]


def load_images(path: Path) -> list[dict[str, Any]]:
    """The entries of images of a file.

    Raises:
        InputError: the file cannot be read, or is not VIA's.
    """
    if path.suffix.lower() == ".csv":
        return _from_csv(path)
    content = load_json(path)
    if isinstance(content, dict) and {"metadata", "view"} <= content.keys():
        return _from_via_3(content)
    if isinstance(content, dict):
        content = content.get("_via_img_metadata", content)
    entries = list(content.values()) if isinstance(content, dict) else content
    if not isinstance(entries, list) or not all(isinstance(e, dict) for e in entries):
        raise InputError(f"{path} is not VIA JSON: its images are not objects")
    return entries


def _is_csv(path: Path) -> bool:
    try:
        with open_regular(path) as file:
            return _CSV.encode() in file.read(_START).partition(b"\n")[0]
    except OSError:
        return False


def _from_csv(path: Path) -> list[dict[str, Any]]:
    """The images of a CSV file; an image without regions has one row with empty attributes."""
    try:
        text = read_bytes(path, _MAX_CSV).decode("utf-8-sig")
        limit = csv.field_size_limit(_MAX_CELL)
        try:
            rows = list(csv.DictReader(io.StringIO(text)))
        finally:
            csv.field_size_limit(limit)
    except (OSError, ValueError, csv.Error) as error:
        raise InputError(f"cannot read VIA CSV {path}: {error}") from None
    images: dict[str, dict[str, Any]] = {}
    for row in rows:
        # Old files begin with "#filename".
        name = row.get("filename") or row.get("#filename") or ""
        image = images.setdefault(name, {"filename": name, "regions": []})
        shape = _json(row.get(_CSV))
        if shape != {}:
            attributes = _json(row.get("region_attributes"))
            image["regions"].append({"shape_attributes": shape, "region_attributes": attributes})
    return list(images.values())


def _json(text: str | None) -> Any:
    try:
        return json.loads(text or "{}")
    except (ValueError, RecursionError):
        return None


def _from_via_3(content: dict[str, Any]) -> list[dict[str, Any]]:
    """The images of a project of VIA 3, in which a view shows a file."""
    regions: defaultdict[str, list[dict[str, Any]]] = defaultdict(list)
    for found in _dicts(content["metadata"]).values():
        region = _region(found.get("xy"), found.get("av"), _dicts(content.get("attribute")))
        if region and not found.get("z"):  # frames of videos have a time z
            regions[str(found.get("vid"))].append(region)
    files = _dicts(content.get("file"))
    images = []
    for view, found in _dicts(content["view"]).items():
        shown = found.get("fid_list")
        file = files.get(str(shown[0])) if isinstance(shown, list) and shown else None
        if file:
            name = file.get("src") or file.get("fname")
            images.append({"filename": name, "regions": regions[view]})
    return images


def _region(shape: Any, values: Any, attributes: dict[str, dict[str, Any]]) -> dict[str, Any]:
    """A region of VIA 2; empty if there is no shape."""
    if not isinstance(shape, list) or not shape:
        return {}
    number, *numbers = shape
    if number in _OUTLINES:
        found = {"name": "polygon", "all_points_x": numbers[::2], "all_points_y": numbers[1::2]}
    else:
        name, keys = _SHAPES.get(number, ("unknown", ()))
        found = {"name": name} | dict(zip(keys, numbers, strict=False))
    named = {}
    for key, value in values.items() if isinstance(values, dict) else ():
        attribute = attributes.get(str(key), {})
        options = attribute.get("options")
        text = options.get(str(value), value) if isinstance(options, dict) else value
        named[str(attribute.get("aname", key))] = text
    return {"shape_attributes": found, "region_attributes": named}


def _dicts(value: Any) -> dict[str, dict[str, Any]]:
    """The entries of a JSON object that are objects."""
    pairs = value.items() if isinstance(value, dict) else ()
    return {key: entry for key, entry in pairs if isinstance(entry, dict)}
