"""Label Studio: the JSON export, a list of tasks.

Specification: https://labelstud.io/guide/task_format and, for boxes and their rotation,
https://labelstud.io/tags/rectanglelabels and https://docs.humansignal.com/templates/image_bbox.
Lengths are percentages of the image's sides, and a box is rotated by degrees about its top left
corner. Only submitted annotations are read, no predictions.
"""

import json
import re
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlsplit
from xml.etree import ElementTree

from centernet.data.annotations import DatasetSplit, load_json
from centernet.data.entries import short
from centernet.data.formats.annotation_files import has_json, json_files
from centernet.data.formats.base import (
    Format,
    WrittenObject,
    class_names,
    counted,
    objects_by_image,
)
from centernet.data.formats.collection import Collection
from centernet.data.formats.outlines import (
    box_of_ellipse,
    box_of_points,
    box_of_rotated_box,
    numbers,
)
from centernet.data.formats.split_collector import CollectedImage, SplitCollector, class_name
from centernet.data.images import SUFFIXES
from centernet.data.points import is_point
from centernet.errors import InputError

_KEYS = (("data", "annotations", "result"), ("annotation_id", "annotator"))  # JSON, JSON-MIN
_LOCAL = "/data/local-files/?d="
_UPLOAD = re.compile(r"^[0-9a-f]{8}-(?=.)")  # before the names of uploaded files
_WITHOUT_BOX = ("choices", "brushlabels", "textarea", "rating", "relation")
_DOT = 0.5  # diameter of a point on the screen, in percent of the image's width
_POINT = ("keypointlabels", "keypoint")


def read(source: Path) -> list[DatasetSplit]:
    """Read the exports in a folder, or one file; file and folder names name the splits.

    A task has the objects of one annotation: the one that is marked as ground truth, or else the
    last that was not skipped. A task without such an annotation is left out.

    Raises:
        InputError: a file is not Label Studio's, or an image matches several files.
    """
    files = json_files(source, *_KEYS)
    collection = Collection("Label Studio JSON", source, files)
    for path in files:
        tasks = load_json(path)
        if not isinstance(tasks, list) or not all(isinstance(task, dict) for task in tasks):
            raise InputError(f"{path} is not Label Studio JSON: it is not a list of tasks")
        for number, task in enumerate(tasks, 1):
            where = f"task {short(task.get('id', number))}"
            _read_task(_full_task(task), where, path, collection.split(path))
    return collection.results()


def _full_task(task: dict[str, Any]) -> dict[str, Any]:
    """A task of the JSON export; one of JSON-MIN has the values of results beside its data."""
    if "annotations" in task:
        return task
    results = [
        {"type": next((key for key in value if key.endswith("labels")), ""), "value": value} | value
        for values in task.values()
        for value in _objects(values)
    ]
    return {"data": task, "annotations": [{"result": results}]}


def _read_task(task: dict[str, Any], where: str, path: Path, split: SplitCollector) -> None:
    """Add the image of a task and the objects of one of its annotations."""
    done = [a for a in _objects(task.get("annotations")) if not a.get("was_cancelled")]
    if not done:
        split.remark("tasks without an annotation, left out", f"{where} in {path}")
        return
    if len(done) > 1:
        split.remark("tasks with several annotations; one is read", f"{where} in {path}")
    chosen = next((a for a in done if a.get("ground_truth") is True), done[-1])
    results = _objects(chosen.get("result"))
    first = results[0] if results else {}
    sides = first.get("original_width"), first.get("original_height")
    name, *others = _names(task)
    image = split.image(name, sides, path, *others)
    if image is None:
        return
    # The tag <Rectangle> and its label give two results with one id.
    labeled = {class_name(r.get("id")) for r in results if _labels(r)}
    for result in results:
        if _labels(result) or class_name(result.get("id")) not in labeled:
            _read_result(result, image, f"{where} in {path}", split)


def _objects(value: Any) -> list[dict[str, Any]]:
    return [v for v in value if isinstance(v, dict)] if isinstance(value, list) else []


def _names(task: dict[str, Any]) -> list[Any]:
    """Names of the image, best first."""
    data = task.get("data")
    texts = [v for v in data.values() if isinstance(v, str)] if isinstance(data, dict) else []
    names = [_without_query(text) for text in texts]
    names = [n for n in names if Path(n).suffix.lower() in SUFFIXES] or names[:1]
    names = [*names[:1], *(n for n in (task.get("file_upload"),) if isinstance(n, str))]
    original = [_UPLOAD.sub("", name.rsplit("/", 1)[-1]) for name in names]
    return [*names, *original] or [None]


def _without_query(name: str) -> str:
    """A name without the signature of a URL; ``/data/local-files/?d=PATH`` stays."""
    try:
        parts = urlsplit(name)
    except ValueError:
        return name
    return parts.path if parts.scheme and "d=" not in parts.query else name


def _labels(result: dict[str, Any]) -> list[Any]:
    """The labels of a result."""
    kind, value = result.get("type"), result.get("value")
    labels = value.get(kind) if isinstance(kind, str) and isinstance(value, dict) else None
    return labels if isinstance(labels, list) else []


def _read_result(
    result: dict[str, Any], image: CollectedImage, where: str, split: SplitCollector
) -> None:
    kind, value = result.get("type"), result.get("value")
    if kind in _WITHOUT_BOX or not isinstance(value, dict):
        split.remark("results that are not boxes or outlines, left out", where)
        return
    if image.sides is None:
        split.remark("objects of images of unknown size, left out", where)
        return
    labels = _labels(result)
    if len(labels) > 1:
        split.remark("objects with several labels, the first is read", where)
    if kind in _POINT:
        point = _scaled([value.get("x"), value.get("y")], *image.sides)
        split.add_point(image, labels[0] if labels else None, point, where)
        return
    if "points" in value or "radiusX" in value or value.get("rotation"):
        split.remark("outlines and rotated boxes read as their enclosing boxes", where)
    split.add(image, labels[0] if labels else None, _box(value, *image.sides), where)


def _box(value: dict[str, Any], width: int, height: int) -> list[float] | None:
    """The box of a value in pixels; None if it is malformed."""
    angle = numbers([value.get("rotation") or 0])
    if isinstance(points := value.get("points"), list):
        scaled = [_scaled(point, width, height) for point in points]
        return box_of_points(scaled)
    keys = ("radiusX", "radiusY") if "radiusX" in value else ("width", "height")
    start = _scaled([value.get("x"), value.get("y")], width, height)
    extent = _scaled([value.get(key) for key in keys], width, height)
    if angle is None or start is None or extent is None:
        return None
    if "radiusX" in value:
        return box_of_ellipse(start, extent, angle[0])
    return box_of_rotated_box([*start, *extent], angle[0], pivot=start)


def _scaled(percent: Any, width: int, height: int) -> list[float] | None:
    """A pair of percentages in pixels."""
    pair = numbers(percent, 2)
    return pair and [pair[0] / 100 * width, pair[1] / 100 * height]


def write(splits: Sequence[DatasetSplit], folder: Path) -> list[str]:
    """Write ``SPLIT.json``, the tasks of a split, and the labeling interface ``interface.xml``.

    Images are named as files of a local storage whose root is the dataset's folder, see
    https://labelstud.io/guide/storage#Local-storage.

    Returns:
        What the format cannot represent, one line each.
    """
    lost = Counter[str]()
    view = ElementTree.Element("View")
    ElementTree.SubElement(view, "Image", name="image", value="$image")
    controls = {"label": "RectangleLabels"}
    if any(map(is_point, (a for split in splits for a in split.coco["annotations"]))):
        controls["point"] = "KeyPointLabels"
    for control, tag in controls.items():
        labels = ElementTree.SubElement(view, tag, name=control, toName="image")
        for name in class_names(splits):
            ElementTree.SubElement(labels, "Label", value=name)
    ElementTree.indent(view)
    ElementTree.ElementTree(view).write(folder / "interface.xml", encoding="utf-8")
    for split in splits:
        tasks = [
            {
                "data": {"image": _LOCAL + quote(f"images/{split.name}/{image['file_name']}")},
                "annotations": [
                    {"result": [_result(*found, image) for found in enumerate(objects, 1)]}
                ],
            }
            for image, objects in objects_by_image(split, lost)
        ]
        (folder / f"{split.name}.json").write_text(json.dumps(tasks))
    return counted(lost)


def _result(number: int, found: WrittenObject, image: dict[str, Any]) -> dict[str, Any]:
    """The result of a task that is a box or a point."""
    sides = image["width"], image["height"]
    x1, y1, x2, y2 = (
        100 * value / side for value, side in zip(found.corners, sides * 2, strict=True)
    )
    kind, control = "rectanglelabels", "label"
    value = {"x": x1, "y": y1, "width": x2 - x1, "height": y2 - y1, "rotation": 0}
    if found.is_point:
        kind, control, value = "keypointlabels", "point", {"x": x1, "y": y1, "width": _DOT}
    return {
        "id": str(number),
        "type": kind,
        "from_name": control,
        "to_name": "image",
        "original_width": sides[0],
        "original_height": sides[1],
        "image_rotation": 0,
        "value": value | {kind: [found.name]},
    }


FORMAT = Format(
    name="labelstudio",
    files="Label Studio JSON",
    detect=lambda source: has_json(source, *_KEYS),
    read=read,
    write=write,
    image_folder="images/{}",
    has_ignore_regions=False,
    has_points=True,
    is_tool=True,
)
