"""Edit the annotations of one split."""

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from centernet.analysis.labels.corrections import (
    BoxChange,
    ImageCorrections,
    LabeledBox,
    is_same_box,
)
from centernet.data.annotations import DatasetSplit
from centernet.data.boxes import annotation_box
from centernet.data.entries import box_error, image_sides, is_ignore_region
from centernet.errors import InputError

ADDED, REMOVED, CHANGED = "added", "removed", "changed"
# Pixels. The coordinates of an annotation and of the box that names it may differ by this much,
# because formats round.
TOLERANCE = 0.5


@dataclass(frozen=True)
class Change:
    """A change of one box, for the log.

    Attributes:
        split: name of the split.
        file_name: the image.
        kind: ``added``, ``removed`` or ``changed``.
        before: the old box and class.
        after: the new box and class.
        note: what the annotation has lost.
    """

    split: str
    file_name: str
    kind: str
    before: LabeledBox | None
    after: LabeledBox | None
    note: str = ""

    def cells(self) -> list[Any]:
        """The values of a row of the log."""
        boxes = [[b.class_name, *b.box] if b else [""] * 5 for b in (self.before, self.after)]
        return [self.split, self.file_name, self.kind, *boxes[0], *boxes[1], self.note]


class SplitEditor:
    """Edits the annotations of one split."""

    def __init__(self, split: DatasetSplit) -> None:
        self.split, coco = split, split.coco
        self.name_of = {c["id"]: str(c["name"]) for c in coco["categories"]}
        self.id_of = {name: number for number, name in self.name_of.items()}
        # Of several images with one name, the first one.
        self.image_of = {image["file_name"]: image for image in reversed(coco["images"])}
        self.indices_of: dict[Any, list[int]] = {}
        for index, annotation in enumerate(coco["annotations"]):
            self.indices_of.setdefault(annotation["image_id"], []).append(index)
        ids = [annotation.get("id") for annotation in coco["annotations"]]
        # Otherwise all annotations are numbered when they are written.
        self.next_id = max(ids, default=0) + 1 if all(isinstance(i, int) for i in ids) else None
        self.edits: dict[int, dict[str, Any] | None] = {}
        self.added: list[dict[str, Any]] = []

    def result(self) -> DatasetSplit:
        """The split with all edits."""
        annotations = self.split.coco["annotations"]
        edited = [self.edits.get(i, annotation) for i, annotation in enumerate(annotations)]
        kept = [annotation for annotation in edited if annotation is not None]
        return replace(self.split, coco=self.split.coco | {"annotations": kept + self.added})

    def apply(self, corrections: ImageCorrections) -> list[Change]:
        """Apply the corrections of one image, and return what was done."""
        split, file_name = self.split.name, corrections.file_name
        if file_name not in self.image_of:
            raise InputError(
                f"{self.split.source} has no image {file_name!r} in split {split!r}: apply the "
                "corrections to the dataset that they were made for"
            )
        objects = _ImageObjects(self, self.image_of[file_name])
        rows = []
        for box in corrections.remove:
            self.edits[objects.take(box)] = None
            rows.append(Change(split, file_name, REMOVED, box, None))
        for change in corrections.change:
            index = objects.take(change.before)
            self.edits[index], note = self._changed(objects, index, change)
            rows.append(Change(split, file_name, CHANGED, change.before, change.after, note))
        for box in corrections.add:
            self._add(objects, box)
            rows.append(Change(split, file_name, ADDED, None, box))
        return rows

    def _changed(
        self, objects: "_ImageObjects", index: int, change: BoxChange
    ) -> tuple[dict[str, Any], str]:
        """An annotation with another class or box, and a note about what it loses."""
        annotation = self.split.coco["annotations"][index]
        new = annotation | {"category_id": self.id_of[change.after.class_name]}
        if is_same_box(change.before.box, change.after.box):
            return new, ""
        new |= {"bbox": objects.xywh(change.after)}
        new.pop("area", None)
        note = "segmentation dropped, area is that of the box" if new.get("segmentation") else ""
        new.pop("segmentation", None)
        return new, note

    def _add(self, objects: "_ImageObjects", box: LabeledBox) -> None:
        new = {
            "image_id": objects.image["id"],
            "category_id": self.id_of[box.class_name],
            "bbox": objects.xywh(box),
            "iscrowd": 0,
        }
        if self.next_id is not None:
            new["id"] = self.next_id
            self.next_id += 1
        self.added.append(new)


class _ImageObjects:
    """The objects of an image, to find those that corrections name."""

    def __init__(self, editor: SplitEditor, image: dict[str, Any]) -> None:
        self.image, self.source = image, editor.split.source
        annotations = editor.split.coco["annotations"]
        own = editor.indices_of.get(image["id"], [])
        self.indices = [i for i in own if not is_ignore_region(annotations[i])]
        self.names = [editor.name_of[annotations[i]["category_id"]] for i in self.indices]
        sides = image_sides(image)
        boxes = [annotation_box(self.source, annotations[i], sides) for i in self.indices]
        self.boxes: NDArray[np.float64] = np.array(boxes, np.float64).reshape(-1, 4)
        self.boxes[:, 2:] += self.boxes[:, :2]
        self.is_free = np.ones(len(boxes), bool)

    def take(self, box: LabeledBox) -> int:
        """The index of the annotation that a correction names, each only once."""
        is_candidate = self.is_free & np.array([n == box.class_name for n in self.names], bool)
        distance = np.abs(self.boxes - np.array(box.box)).max(1, initial=0)
        # A box that is not a number is not found.
        distance = np.where(is_candidate & np.isfinite(distance), distance, np.inf)
        nearest = int(distance.argmin()) if len(distance) else -1
        if nearest < 0 or distance[nearest] > TOLERANCE:
            raise InputError(
                f"{self.source}: {self.image['file_name']} has no annotation {box} within "
                f"{TOLERANCE:g} pixels: apply the corrections once, to the dataset that they were "
                "made for"
            )
        self.is_free[nearest] = False
        return self.indices[nearest]

    def xywh(self, box: LabeledBox) -> list[float]:
        """A new box as ``bbox``, clipped to the image."""
        sides, (x1, y1, x2, y2) = image_sides(self.image), box.box
        if error := box_error([x1, y1, x2 - x1, y2 - y1], sides):
            raise InputError(
                f"{self.source}: the corrected box {box} of {self.image['file_name']} is {error}"
            )
        x1, y1 = max(x1, 0.0), max(y1, 0.0)
        width, height = min(x2, sides[0]) - x1, min(y2, sides[1]) - y1
        return [x1, y1, round(width, 2), round(height, 2)]
