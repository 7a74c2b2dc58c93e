"""LabelMe: a JSON file for each image, as LabelMe, X-AnyLabeling and CVAT write.

Specification: the source code of LabelMe, https://github.com/wkentaro/labelme (``label_file.py``
and ``shape.py``). Points are in pixels. A circle is its center and a point on it; the other shapes
are enclosed by their points. X-AnyLabeling adds ``difficult``, which is that of Pascal VOC.
"""

import json
import math
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tqdm import tqdm

from centernet.data.annotations import DatasetSplit, load_json
from centernet.data.formats.annotation_files import annotation_files, has_json
from centernet.data.formats.base import Format, counted, objects_by_image
from centernet.data.formats.collection import Collection
from centernet.data.formats.outlines import box_of_ellipse, box_of_points, numbers
from centernet.data.formats.split_collector import SplitCollector
from centernet.errors import InputError

_VERSION = "5.0.0"  # of the written files, which older versions read, too


def read(source: Path) -> list[DatasetSplit]:
    """Read the JSON files of a folder, or one file; folders name the splits.

    Raises:
        InputError: no file can be read, or an image matches several files.
    """
    files = list(annotation_files(source, ".json"))
    collection = Collection("LabelMe", source, files, by_folder=True)
    for path in tqdm(files, "reading", delay=1, disable=None, leave=False):
        split = collection.split(path)
        try:
            content = load_json(path)
        except InputError as error:
            split.remark("files that cannot be read, left out", error)
            continue
        if not isinstance(content, dict) or not isinstance(content.get("shapes"), list):
            split.remark("JSON files that are not LabelMe's, left out", path)
            continue
        _read_image(content, path, split)
    return collection.results()


def _read_image(content: dict[str, Any], path: Path, split: SplitCollector) -> None:
    sides = content.get("imageWidth"), content.get("imageHeight")
    image = split.image(content.get("imagePath"), sides, path, path.stem)
    if image is None:
        return
    for number, shape in enumerate(content["shapes"], 1):
        shape = shape if isinstance(shape, dict) else {}
        kind = shape.get("shape_type") or "polygon"  # older files have polygons only
        where = f"shape {number} in {path}"
        if kind == "point":
            split.add_point(image, shape.get("label"), _point(shape), where)
            continue
        if kind == "points":
            split.remark("groups of points, left out", where)
            continue
        if kind != "rectangle":
            split.remark("outlines read as their enclosing boxes", where)
        box = _circle(shape) if kind == "circle" else box_of_points(shape.get("points"))
        split.add(image, shape.get("label"), box, where, ignore=shape.get("difficult") is True)


def _point(shape: dict[str, Any]) -> list[float] | None:
    """The only point of a shape."""
    points = shape.get("points")
    return numbers(points[0], 2) if isinstance(points, list) and len(points) == 1 else None


def _circle(shape: dict[str, Any]) -> list[float] | None:
    """The box of a circle, which is its center and a point on it."""
    points = shape.get("points")
    if not isinstance(points, list) or len(points) != 2:
        return None
    center, edge = (numbers(point, 2) for point in points)
    if center is None or edge is None:
        return None
    radius = math.dist(center, edge)
    return box_of_ellipse(center, (radius, radius))


def write(splits: Sequence[DatasetSplit], folder: Path) -> list[str]:
    """Write a JSON file for each image, beside it.

    Returns:
        What the format cannot represent, one line each.
    """
    lost = Counter[str]()
    for split in splits:
        for image, objects in objects_by_image(split, lost, with_regions=True):
            shapes: list[dict[str, Any]] = [
                {"label": found.name, "points": [found.corners[:2], found.corners[2:]]}
                | {"group_id": None, "description": "", "shape_type": "rectangle", "flags": {}}
                | ({"difficult": True} if found.is_region else {})
                | ({"points": [found.corners[:2]], "shape_type": "point"} if found.is_point else {})
                for found in objects
            ]
            path = folder / split.name / image["file_name"]
            content: dict[str, Any] = {"version": _VERSION, "flags": {}, "shapes": shapes}
            content |= {"imagePath": path.name, "imageData": None}
            content |= {"imageHeight": image["height"], "imageWidth": image["width"]}
            path.parent.mkdir(parents=True, exist_ok=True)
            path.with_suffix(".json").write_text(json.dumps(content))
    return counted(lost)


FORMAT = Format(
    name="labelme",
    files="LabelMe JSON",
    detect=lambda source: has_json(source, ("shapes", "imagePath")),
    read=read,
    write=write,
    image_folder="{}",
    has_points=True,
    is_tool=True,
)
