"""Small datasets as other programs leave them."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from centernet.data.formats import DatasetSplit, read_dataset


def picture(path: Path, size: tuple[int, int] = (40, 60)) -> Path:
    """Write a gray image of (height, width)."""
    path.parent.mkdir(parents=True, exist_ok=True)
    cv2.imwrite(str(path), np.full((*size, 3), 128, np.uint8))
    return path


def photograph(seed: int, size: tuple[int, int] = (48, 80)) -> np.ndarray:
    """Pixels of (height, width), smooth and different for every seed."""
    coarse = np.random.default_rng(seed).integers(0, 256, (5, 7, 3), np.uint8)
    return cv2.resize(coarse, size[::-1], interpolation=cv2.INTER_CUBIC)


def text(path: Path, content: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(content)
    return path


def voc_xml(
    name: str,
    objects: Sequence[tuple[str, Sequence[Any], int]] = (),
    *,
    size: tuple[int, int] | None = (40, 60),
    database: str = "Unknown",
) -> str:
    """An annotation file; an object is its class, its four corners, and whether it is difficult."""
    height, width = size or (0, 0)
    entries = "".join(
        f"<object><name>{label}</name><difficult>{difficult}</difficult><bndbox>"
        + "".join(
            f"<{corner}>{value}</{corner}>"
            for corner, value in zip(("xmin", "ymin", "xmax", "ymax"), box, strict=True)
        )
        + "</bndbox></object>"
        for label, box, difficult in objects
    )
    return (
        f"<annotation><filename>{name}</filename><source><database>{database}</database></source>"
        f"<size><width>{width}</width><height>{height}</height></size>{entries}</annotation>"
    )


def write_voc(root: Path, lists: Mapping[str, Sequence[str]], **objects: Sequence) -> Path:
    """A VOC folder with ImageSets/Main; every id that a list names gets an image and XML."""
    for name, ids in lists.items():
        text(root / "ImageSets" / "Main" / f"{name}.txt", "".join(f"{i}\n" for i in ids))
        for i in ids:
            picture(root / "JPEGImages" / f"{i}.jpg")
            text(root / "Annotations" / f"{i}.xml", voc_xml(f"{i}.jpg", objects.get(i, ())))
    return root


def coco_content(files: Sequence[str], annotations: Sequence[dict] = (), **more: Any) -> dict:
    """COCO content of images 40 high and 60 wide with ids from 1, classes 3 cat and 7 dog."""
    return {
        "images": [
            {"id": i, "file_name": file, "height": 40, "width": 60}
            for i, file in enumerate(files, 1)
        ],
        "categories": [{"id": 7, "name": "dog"}, {"id": 3, "name": "cat"}],
        "annotations": [
            {"id": i, "image_id": 1, "category_id": 3, "iscrowd": 0} | annotation
            for i, annotation in enumerate(annotations, 1)
        ],
    } | more


def write_coco(path: Path, images: Path, files: Sequence[str], *args: Any, **more: Any) -> Path:
    """A COCO file and its images."""
    for file in files:
        picture(images / file)
    return text(path, json.dumps(coco_content(files, *args, **more)))


def boxes(split: DatasetSplit) -> list[tuple[str, str, list[float]]]:
    """Image, class and box of each object."""
    name_of = {c["id"]: c["name"] for c in split.coco["categories"]}
    file_of = {i["id"]: i["file_name"] for i in split.coco["images"]}
    return [
        (file_of[a["image_id"]], name_of[a["category_id"]], [round(v, 6) for v in a["bbox"]])
        for a in split.coco["annotations"]
    ]


def only_split(root: Path) -> DatasetSplit:
    """The split of a dataset that has one."""
    (found,) = read_dataset(root).values()
    return found


def write_json(path: Path, content: Any) -> Path:
    return text(path, json.dumps(content))


def labelme(*shapes: Any, **more: Any) -> dict:
    """A LabelMe file of a.png; a shape is its label, type and points."""
    keys = ("label", "shape_type", "points")
    entries = [dict(zip(keys, s, strict=True)) if isinstance(s, tuple) else s for s in shapes]
    return {"shapes": entries, "imagePath": "a.png", "imageData": None} | more


def via(**regions: Any) -> dict:
    """VIA annotations; images by name without .png, with their regions."""
    return {
        f"{name}.png-1": {"filename": f"{name}.png", "size": -1, "regions": found}
        for name, found in regions.items()
    }
