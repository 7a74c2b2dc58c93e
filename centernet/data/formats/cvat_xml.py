"""CVAT for images 1.1: one XML file of all images and their shapes.

Specification: https://docs.cvat.ai/docs/other/xml_format. Numbers are in pixels, and angles are in
degrees about the center of the shape. The format "CVAT for video", whose tracks are not of images,
is not read.
"""

from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from xml.etree import ElementTree

from centernet.data.annotations import DatasetSplit
from centernet.data.formats.annotation_files import annotation_files, any_of
from centernet.data.formats.base import Format, class_names, counted, objects_by_image
from centernet.data.formats.collection import Collection
from centernet.data.formats.outlines import (
    box_of_corners,
    box_of_ellipse,
    box_of_points,
    box_of_rotated_box,
    numbers,
    text_number,
)
from centernet.data.formats.safe_xml import load_xml, start_of
from centernet.data.formats.split_collector import CollectedImage, SplitCollector
from centernet.errors import InputError

_CORNERS = ("xtl", "ytl", "xbr", "ybr")
_CUBOID = [f"{corner}{face}" for corner in ("tl", "bl", "tr", "br") for face in "12"]
_WITHOUT_AREA = {"points", "tag", "skeleton"}  # "points" has several; a single one is an object


def read(source: Path) -> list[DatasetSplit]:
    """Read the CVAT files of a folder, or one file.

    The subset of an image is its split, as in exports of projects; else file and folder names name
    the splits.

    Raises:
        InputError: a file cannot be read, or has tracks only; or an image matches several files.
    """
    files = [path for path in annotation_files(source, ".xml") if _is_cvat(path)]
    collection = Collection("CVAT for images", source, files)
    names: list[str] = []
    for path in files:
        root = _load(path)
        labels = (label.findtext("name") or "" for label in root.iterfind("meta//labels/label"))
        names += [name.strip() for name in labels if name.strip()]
        for entry in root.iterfind("image"):
            split = collection.split(path, entry.get("subset"))
            sides = text_number(entry.get("width")), text_number(entry.get("height"))
            image = split.image(entry.get("name"), sides, path)
            if image is not None:
                _read_shapes(entry, image, path, split)
        if count := len(root.findall("track")):
            if not root.findall("image"):
                raise InputError(
                    f"{path} is CVAT for video with {count} tracks, which is not read: "
                    "export 'CVAT for images 1.1' or 'COCO 1.0'"
                )
            collection.split(path).notes.append(f"{path}: left out {count} tracks of videos")
    return collection.results(names)


def _load(path: Path) -> ElementTree.Element:
    """The root of a CVAT file."""
    try:
        return load_xml(path)
    except (OSError, ElementTree.ParseError, ValueError, LookupError) as error:
        reason = getattr(error, "strerror", None) or error
        raise InputError(f"cannot read CVAT file {path}: {reason}") from None


def _read_shapes(
    entry: ElementTree.Element, image: CollectedImage, path: Path, split: SplitCollector
) -> None:
    for shape in entry:
        where = f"{shape.tag} of {image.name} in {path}"
        if shape.tag == "points" and len(points := list(_points(shape.get("points", "")))) == 1:
            split.add_point(image, shape.get("label"), numbers(points[0], 2), where)
            continue
        if shape.tag in _WITHOUT_AREA:
            split.remark("groups of points, skeletons and tags, left out", where)
            continue
        angle = text_number(shape.get("rotation", "0"))
        if shape.tag != "box" or angle:
            split.remark("outlines and rotated boxes read as their enclosing boxes", where)
        split.add(image, shape.get("label"), _box(shape, angle), where)


def _box(shape: ElementTree.Element, angle: float | None) -> list[float] | None:
    """The box of a shape; None if it is malformed or of an unknown kind."""
    if angle is None:
        return None
    if shape.tag == "box":
        corners = _numbers(shape, *_CORNERS)
        return corners and box_of_rotated_box(box_of_corners(corners), angle)
    if shape.tag == "ellipse":
        values = _numbers(shape, "cx", "cy", "rx", "ry")
        return values and box_of_ellipse(values[:2], values[2:], angle)
    if shape.tag == "mask":
        return _numbers(shape, "left", "top", "width", "height")
    if shape.tag == "cuboid":
        return box_of_points([_numbers(shape, f"x{end}", f"y{end}") for end in _CUBOID])
    return box_of_points(list(_points(shape.get("points", ""))))


def _numbers(shape: ElementTree.Element, *names: str) -> list[float] | None:
    """The numbers in attributes; None if one is missing or not a number."""
    values = [text_number(shape.get(name)) for name in names]
    found = [value for value in values if value is not None]
    return found if len(found) == len(names) else None


def _points(text: str) -> Iterator[list[float | None]]:
    """The points of a text such as ``1.5,2;3,4``."""
    for pair in text.split(";"):
        yield [text_number(number) for number in pair.split(",")]


def _is_cvat(path: Path) -> bool:
    start = start_of(path)
    return b"<annotations" in start and (b"<version>" in start or b"<image " in start)


def write(splits: Sequence[DatasetSplit], folder: Path) -> list[str]:
    """Write ``annotations.xml``; the subset of an image is its split.

    Returns:
        What the format cannot represent, one line each.
    """
    lost = Counter[str]()
    root = ElementTree.Element("annotations")
    ElementTree.SubElement(root, "version").text = "1.1"
    task = ElementTree.SubElement(ElementTree.SubElement(root, "meta"), "task")
    labels = ElementTree.SubElement(task, "labels")
    for name in class_names(splits):
        ElementTree.SubElement(ElementTree.SubElement(labels, "label"), "name").text = name
    images = (
        (split.name, image, objects)
        for split in splits
        for image, objects in objects_by_image(split, lost)
    )
    for number, (subset, image, objects) in enumerate(images):
        sides = {side: str(image[side]) for side in ("width", "height")}
        named = {"id": str(number), "name": image["file_name"], "subset": subset}
        entry = ElementTree.SubElement(root, "image", named | sides)
        for found in objects:
            texts = [f"{value:.4f}" for value in found.corners]
            place = dict(zip(_CORNERS, texts, strict=True))
            if found.is_point:
                place = {"points": ",".join(texts[:2])}
            more = {"occluded": "0", "source": "manual", "z_order": "0"}
            kind = "points" if found.is_point else "box"
            ElementTree.SubElement(entry, kind, {"label": found.name, **place, **more})
    ElementTree.indent(root)
    ElementTree.ElementTree(root).write(
        folder / "annotations.xml", encoding="utf-8", xml_declaration=True
    )
    return counted(lost)


FORMAT = Format(
    name="cvat",
    files="CVAT XML",
    detect=lambda source: any_of(annotation_files(source, ".xml"), _is_cvat),
    read=read,
    write=write,
    image_folder="images/{}",
    has_ignore_regions=False,
    has_points=True,
    is_tool=True,
)
