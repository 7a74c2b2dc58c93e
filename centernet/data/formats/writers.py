"""Splits to the files of each format. The images' own files are the business of ``convert``."""

import json
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import yaml

from centernet.data.annotations import DatasetSplit, is_ignore_region
from centernet.errors import InputError

# Pixels that do not count as a change; what a format's digits lose is less.
_HAIR = 0.01
# Where the images of a split lie in each format.
IMAGE_FOLDERS = {"coco": "{}", "yolo": "images/{}", "voc": "JPEGImages"}


def write_coco(splits: Sequence[DatasetSplit], folder: Path) -> list[str]:
    """Write ``annotations/instances_SPLIT.json``; nothing is lost."""
    (folder / "annotations").mkdir()
    for split in splits:
        path = folder / "annotations" / f"instances_{split.name}.json"
        try:
            path.write_text(json.dumps(split.coco))
        except RecursionError:
            raise InputError(
                f"{split.source} is nested too deeply to be written: remove the nested fields"
            ) from None
    return []


def write_yolo(splits: Sequence[DatasetSplit], folder: Path) -> list[str]:
    """Write ``data.yaml`` and a label file for every image.

    Returns:
        What the format cannot hold, one line each.
    """
    names = class_names(splits)
    label = {name: i for i, name in enumerate(names)}
    regions = outlines = cut = 0
    for split in splits:
        name_of = {c["id"]: str(c["name"]) for c in split.coco["categories"]}
        for image, annotations in _by_image(split):
            lines = []
            for annotation in annotations:
                if is_ignore_region(annotation):
                    regions += 1
                    continue
                outlines += bool(annotation.get("segmentation"))
                box, was_cut = _cut(annotation["bbox"], image)
                cut += was_cut
                number = label[name_of[annotation["category_id"]]]
                lines.append(f"{number} {_relative(box, image)}\n")
            file = folder / "labels" / split.name / image["file_name"]
            file.parent.mkdir(parents=True, exist_ok=True)
            file.with_suffix(".txt").write_text("".join(lines))
    content = {s.name: f"images/{s.name}" for s in splits} | {"names": dict(enumerate(names))}
    (folder / "data.yaml").write_text(
        yaml.safe_dump(content, sort_keys=False, allow_unicode=True), encoding="utf-8"
    )
    return [
        *_lost(regions, "crowd or ignore regions left out: what they cover is background now"),
        *_lost(outlines, "segmentations left out, their boxes stay"),
        *_lost(cut, "boxes cut at the edge of their image"),
    ]


def write_voc(splits: Sequence[DatasetSplit], folder: Path) -> list[str]:
    """Write an XML file for every image, and a list of the images for every split.

    Returns:
        What the format cannot hold, one line each.
    """
    (folder / "Annotations").mkdir()
    (folder / "ImageSets" / "Main").mkdir(parents=True)
    regions = outlines = rounded = cut = 0
    for split in splits:
        name_of = {c["id"]: str(c["name"]) for c in split.coco["categories"]}
        stems = []
        for image, annotations in _by_image(split):
            root = _voc_image(image)
            for annotation in annotations:
                regions += is_ignore_region(annotation)
                outlines += bool(annotation.get("segmentation"))
                rounded += any(abs(v - round(v)) > _HAIR for v in annotation["bbox"])
                cut += _cut(annotation["bbox"], image)[1]
                root.append(_voc_object(annotation, name_of, image))
            stems.append(Path(image["file_name"]).stem)
            ElementTree.indent(root, "\t")
            ElementTree.ElementTree(root).write(
                folder / "Annotations" / f"{stems[-1]}.xml", encoding="utf-8"
            )
        path = folder / "ImageSets" / "Main" / f"{split.name}.txt"
        path.write_text("".join(f"{stem}\n" for stem in stems), encoding="utf-8")
    return [
        *_lost(regions, "crowd or ignore regions stand as boxes marked difficult"),
        *_lost(outlines, "segmentations left out, their boxes stay"),
        *_lost(rounded, "boxes rounded to whole pixels"),
        *_lost(cut, "boxes cut at the edge of their image"),
    ]


WRITERS: dict[str, Callable[[Sequence[DatasetSplit], Path], list[str]]] = {
    "coco": write_coco,
    "yolo": write_yolo,
    "voc": write_voc,
}


def class_names(splits: Sequence[DatasetSplit]) -> list[str]:
    """The classes of all splits, each split's by ascending id."""
    return list(
        dict.fromkeys(
            str(category["name"])
            for split in splits
            for category in sorted(split.coco["categories"], key=lambda c: c["id"])
        )
    )


def _by_image(split: DatasetSplit) -> Iterator[tuple[dict[str, Any], list[dict[str, Any]]]]:
    of_image: dict[Any, list[dict[str, Any]]] = {i["id"]: [] for i in split.coco["images"]}
    for annotation in split.coco["annotations"]:
        of_image[annotation["image_id"]].append(annotation)
    for image in split.coco["images"]:
        yield image, of_image[image["id"]]


def _cut(box: Sequence[float], image: dict[str, Any]) -> tuple[list[float], bool]:
    """The corners of a box inside the image, and whether it reached more than a hair beyond."""
    x, y, w, h = box
    whole = [x, y, x + w, y + h]
    limits = [image["width"], image["height"]] * 2
    inside = [min(max(value, 0.0), limit) for value, limit in zip(whole, limits, strict=True)]
    return inside, max(abs(a - b) for a, b in zip(whole, inside, strict=True)) > _HAIR


def _relative(corners: Sequence[float], image: dict[str, Any]) -> str:
    (x1, y1, x2, y2), width, height = corners, image["width"], image["height"]
    values = [(x1 + x2) / 2 / width, (y1 + y2) / 2 / height, (x2 - x1) / width, (y2 - y1) / height]
    return " ".join(f"{value:.7f}" for value in values)


def _voc_image(image: dict[str, Any]) -> ElementTree.Element:
    root = ElementTree.Element("annotation")
    ElementTree.SubElement(root, "folder").text = IMAGE_FOLDERS["voc"]
    ElementTree.SubElement(root, "filename").text = image["file_name"]
    size = ElementTree.SubElement(root, "size")
    for name, value in (("width", image["width"]), ("height", image["height"]), ("depth", 3)):
        ElementTree.SubElement(size, name).text = str(value)
    ElementTree.SubElement(root, "segmented").text = "0"
    return root


def _voc_object(
    annotation: dict[str, Any], name_of: dict[Any, str], image: dict[str, Any]
) -> ElementTree.Element:
    entry = ElementTree.Element("object")
    texts = {
        "name": name_of[annotation["category_id"]],
        "pose": "Unspecified",
        "truncated": "0",
        "difficult": str(int(is_ignore_region(annotation))),
    }
    for name, text in texts.items():
        ElementTree.SubElement(entry, name).text = text
    (x1, y1, x2, y2), _ = _cut(annotation["bbox"], image)
    # At least a pixel stays of the smallest box.
    left, top = min(round(x1), image["width"] - 1), min(round(y1), image["height"] - 1)
    box = ElementTree.SubElement(entry, "bndbox")
    corners = (left, top, max(round(x2), left + 1), max(round(y2), top + 1))
    for name, value in zip(("xmin", "ymin", "xmax", "ymax"), corners, strict=True):
        ElementTree.SubElement(box, name).text = str(value)
    return entry


def _lost(count: int, what: str) -> list[str]:
    return [f"{count} {what}"] if count else []
