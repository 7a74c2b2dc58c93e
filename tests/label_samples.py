"""Images with suspected label errors, one of each kind, and datasets with these annotations."""

from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
from sample_datasets import write_json

from centernet.analysis.inspector.analyze import ImageMaps
from centernet.analysis.labels.labels_page import write_labels_page
from centernet.analysis.labels.suspicions import LabeledImage, LabelError, SuspectImage, Suspicion
from centernet.data.formats import convert_dataset, read_dataset

CLASSES = ("cat", "dog")
SIZE = (120, 160)  # height and width
STRIDE = 4
# Annotations of each image: class and box.
OBJECTS = {
    "a.png": [
        ("cat", (10, 10, 30, 30)),
        ("dog", (60, 10, 90, 40)),
        ("cat", (100, 60, 150, 110)),
        ("cat", (20, 70, 60, 100)),
    ],
    "b.png": [
        ("dog", (10, 10, 50, 50)),
        ("dog", (12, 11, 52, 50)),
        ("cat", (70, 20, 150, 50)),
        ("dog", (20, 70, 50, 110)),
        ("dog", (50, 70, 80, 110)),
    ],
}


def _suspicion(kind, score, objects, boxes=(), label=None) -> Suspicion:
    boxes = np.array(boxes, np.float32).reshape(-1, 4)
    return Suspicion(kind, score, objects, boxes, label, f"It scores {score}.")


SUSPICIONS = {
    "a.png": [
        _suspicion(LabelError.MISSING, 0.95, (), [(110, 10, 140, 40)], 1),
        _suspicion(LabelError.SPURIOUS, 0.9, (0,)),
        _suspicion(LabelError.WRONG_CLASS, 0.85, (1,), [(60, 10, 90, 40)], 0),
        _suspicion(LabelError.POOR_BOX, 0.8, (2,), [(105, 65, 140, 100)], 0),
    ],
    "b.png": [
        _suspicion(LabelError.DUPLICATE, 0.75, (1,)),
        _suspicion(LabelError.MERGED, 0.7, (2,), [(70, 20, 110, 50), (110, 20, 150, 50)], 0),
        _suspicion(LabelError.SPLIT, 0.65, (3, 4), [(20, 70, 80, 110)], 1),
    ],
}
# What is annotated after all suspicions are accepted.
ACCEPTED = {
    "a.png": [
        ("cat", (20, 70, 60, 100)),
        ("cat", (60, 10, 90, 40)),
        ("cat", (105, 65, 140, 100)),
        ("dog", (110, 10, 140, 40)),
    ],
    "b.png": [
        ("cat", (70, 20, 110, 50)),
        ("cat", (110, 20, 150, 50)),
        ("dog", (10, 10, 50, 50)),
        ("dog", (20, 70, 80, 110)),
    ],
}


def labeled_image(name: str, folder: Path = Path("images")) -> LabeledImage:
    names, boxes = zip(*OBJECTS[name], strict=True)
    labels = np.array([CLASSES.index(name) for name in names])
    return LabeledImage("train", name, folder / name, np.array(boxes, np.float32), labels)


def suspect_images() -> list[SuspectImage]:
    return [SuspectImage(labeled_image(name), SUSPICIONS[name]) for name in OBJECTS]


def image_maps(name: str) -> ImageMaps:
    """An image with bright objects, and heat at their centers."""
    pixels = np.full((*SIZE, 3), 60, np.uint8)
    heat = np.zeros((len(CLASSES), SIZE[0] // STRIDE, SIZE[1] // STRIDE), np.float32)
    for class_name, box in ACCEPTED[name]:
        x1, y1, x2, y2 = box
        pixels[y1:y2, x1:x2] = (200, 120, 90) if class_name == "cat" else (90, 140, 200)
        row, column = (y1 + y2) // 2 // STRIDE, (x1 + x2) // 2 // STRIDE
        heat[CLASSES.index(class_name), row - 1 : row + 2, column - 1 : column + 2] = 0.9
    return ImageMaps(pixels, heat, None, np.array([[STRIDE, 0, 0], [0, STRIDE, 0]], float))


def write_labels(path: Path, images: Sequence[SuspectImage]) -> Path:
    """The page; two more suspicions are not shown."""
    pairs = ((suspect, image_maps(suspect.image.file_name)) for suspect in images)
    total = sum(len(suspect.suspicions) for suspect in images) + 2
    write_labels_page(path, CLASSES, pairs, dataset="pets", total=total)
    return path


def write_dataset(root: Path, format: str = "coco") -> Path:
    """The annotations as a dataset with a split ``train``."""
    coco = root / "coco"
    (coco / "train").mkdir(parents=True)
    for name in OBJECTS:
        cv2.imwrite(str(coco / "train" / name), image_maps(name).pixels[..., ::-1])
    height, width = SIZE
    images = [
        {"id": i, "file_name": name, "width": width, "height": height}
        for i, name in enumerate(OBJECTS, 1)
    ]
    objects = [(image["id"], *found) for image in images for found in OBJECTS[image["file_name"]]]
    annotations = [
        {
            "id": 10 * i,
            "image_id": image,
            "category_id": CLASSES.index(name) + 1,
            "bbox": [x1, y1, x2 - x1, y2 - y1],
            "segmentation": [[x1, y1, x2, y1, x2, y2, x1, y2]],
            "area": 7,
            "iscrowd": 0,
            "color": f"color {i}",
        }
        for i, (image, name, (x1, y1, x2, y2)) in enumerate(objects, 1)
    ]
    categories = [{"id": i, "name": name} for i, name in enumerate(CLASSES, 1)]
    content = {"images": images, "annotations": annotations, "categories": categories}
    write_json(coco / "annotations" / "instances_train.json", content)
    if format == "coco":
        return coco
    return convert_dataset(coco, root / format, format=format).output


def annotated(root: Path) -> dict[str, list]:
    """Sorted classes and boxes of each image, by name without suffix."""
    found: dict[str, list] = {}
    for split in read_dataset(root).values():
        name_of = {c["id"]: c["name"] for c in split.coco["categories"]}
        file_of = {i["id"]: i["file_name"] for i in split.coco["images"]}
        for annotation in split.coco["annotations"]:
            x, y, width, height = annotation["bbox"]
            box = tuple(round(value, 2) for value in (x, y, x + width, y + height))
            own = found.setdefault(file_of[annotation["image_id"]], [])
            own.append((name_of[annotation["category_id"]], box))
    return {name: sorted(boxes) for name, boxes in found.items()}
