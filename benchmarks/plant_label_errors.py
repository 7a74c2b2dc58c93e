"""Plant label errors in a copy of a COCO annotation file, and tell which finding is right.

Protocol: a share of the objects, each chosen with equal probability, gets one error, each kind
equally often; as many boxes are added as objects get each of the other kinds.

- drop: the object has no annotation.
- shift: the box moves by 25 to 60 % of its sides, and each side is scaled by 0.7 to 1.4, so that
  its IoU with the true box is between 0.2 and 0.6.
- relabel: the object has another class.
- add: the size and class of a random object, at a place whose IoU with every object is below 0.1.
"""

import copy
import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pycocotools import mask as coco_mask

KINDS = ("drop", "shift", "relabel", "add")
_SHIFT, _SCALE = (0.25, 0.6), (0.7, 1.4)
_SHIFTED_IOU, _ADDED_IOU = (0.2, 0.6), 0.1
_TRIES = 1000


@dataclass(frozen=True)
class Planted:
    """A planted error. Boxes are xywh in image pixels.

    Attributes:
        kind: one of KINDS.
        image_id: id of the image.
        id: id of the annotation; of the one that is gone for ``drop``.
        true: class and box without the error; None for ``add``.
        false: class and box with the error; None for ``drop``.
    """

    kind: str
    image_id: int
    id: int
    true: tuple[int, list[float]] | None
    false: tuple[int, list[float]] | None


def plant(coco: dict[str, Any], share: float, seed: int) -> tuple[dict[str, Any], list[Planted]]:
    """A copy of COCO content with errors, and the errors.

    Args:
        coco: annotations without ignore regions.
        share: number of errors, as a share of the objects.
        seed: of the random choices.
    """
    rng, coco = np.random.default_rng(seed), copy.deepcopy(coco)
    images = {image["id"]: image for image in coco["images"]}
    objects = coco["annotations"]
    each = round(share * len(objects) / len(KINDS))
    chosen = rng.choice(len(objects), 3 * each, replace=False).tolist()
    true_boxes = _boxes_by_image(objects)
    classes = sorted(category["id"] for category in coco["categories"])
    planted = []
    for number, index in enumerate(chosen):
        entry, kind = objects[index], KINDS[number // each]
        true = (entry["category_id"], list(entry["bbox"]))
        image = images[entry["image_id"]]
        false: tuple[int, list[float]] | None = None
        if kind == "shift":
            false = (true[0], _shifted(true[1], image, rng))
        elif kind == "relabel":
            false = (int(rng.choice([c for c in classes if c != true[0]])), true[1])
        planted.append(Planted(kind, image["id"], entry["id"], true, false))
    next_id = max(entry["id"] for entry in objects) + 1
    for number in range(each):
        model = objects[rng.integers(len(objects))]
        place = _free_place(model["bbox"][2:], images, true_boxes, rng)
        added = (model["category_id"], place[1])
        planted.append(Planted("add", place[0], next_id + number, None, added))
    coco["annotations"] = _with_errors(objects, planted)
    return coco, planted


def _with_errors(objects: list[dict[str, Any]], planted: list[Planted]) -> list[dict[str, Any]]:
    by_id = {error.id: error for error in planted}
    result = []
    for entry in objects:
        error = by_id.pop(entry["id"], None)
        if error is None:
            result.append(entry)
        elif error.false is not None:
            result.append(_entry(error))
    return result + [_entry(error) for error in by_id.values()]


def _entry(error: Planted) -> dict[str, Any]:
    assert error.false is not None
    label, box = error.false
    area = box[2] * box[3]
    fields = {"id": error.id, "image_id": error.image_id, "category_id": label}
    return fields | {"bbox": box, "area": area, "iscrowd": 0}


def _boxes_by_image(objects: list[dict[str, Any]]) -> dict[Any, NDArray]:
    found: dict[Any, list[list[float]]] = {}
    for entry in objects:
        found.setdefault(entry["image_id"], []).append(entry["bbox"])
    return {image: np.array(boxes, float) for image, boxes in found.items()}


def _shifted(box: list[float], image: dict[str, Any], rng: np.random.Generator) -> list[float]:
    x, y, w, h = box
    for _ in range(_TRIES):
        width, height = rng.uniform(*_SCALE, 2) * (w, h)
        distance, angle = rng.uniform(*_SHIFT), rng.uniform(0, 2 * np.pi)
        cx = x + w / 2 + distance * w * np.cos(angle)
        cy = y + h / 2 + distance * h * np.sin(angle)
        moved = _clipped(cx - width / 2, cy - height / 2, width, height, image)
        if moved and _SHIFTED_IOU[0] <= _iou(moved, np.array([box]))[0] <= _SHIFTED_IOU[1]:
            return moved
    raise ValueError(f"no place for a shifted box of {box}")


def _free_place(
    size: list[float],
    images: dict[Any, dict[str, Any]],
    boxes: dict[Any, NDArray],
    rng: np.random.Generator,
) -> tuple[Any, list[float]]:
    ids = list(images)
    for _ in range(_TRIES):
        image = images[ids[rng.integers(len(ids))]]
        x = rng.uniform(0, max(1, image["width"] - size[0]))
        y = rng.uniform(0, max(1, image["height"] - size[1]))
        box = _clipped(x, y, *size, image)
        others = boxes.get(image["id"], np.zeros((0, 4)))
        if box and _iou(box, others).max(initial=0) < _ADDED_IOU:
            return image["id"], box
    raise ValueError(f"no free place for a box of {size}")


def _clipped(x: float, y: float, w: float, h: float, image: dict[str, Any]) -> list[float] | None:
    x1, y1 = max(0.0, x), max(0.0, y)
    x2, y2 = min(x + w, image["width"]), min(y + h, image["height"])
    inside = (x2 - x1) * (y2 - y1) if x2 > x1 and y2 > y1 else 0
    return [round(float(v), 2) for v in (x1, y1, x2 - x1, y2 - y1)] if inside else None


def _iou(box: list[float], others: NDArray) -> NDArray:
    if not len(others):
        return np.zeros(0)
    return coco_mask.iou(np.array([box], float), others, [0] * len(others))[0]


def write(source: Path, images: Path, output: Path, share: float, seed: int) -> list[Planted]:
    """Write a dataset with errors: the annotations, the errors in planted.json, linked images."""
    corrupted, planted = plant(json.loads(source.read_text()), share, seed)
    (output / "annotations").mkdir(parents=True, exist_ok=True)
    (output / "annotations" / "instances_train.json").write_text(json.dumps(corrupted))
    (output / "planted.json").write_text(json.dumps([asdict(error) for error in planted]))
    if not (output / "images").exists():
        (output / "images").symlink_to(images.resolve())
    return planted
