"""A split's entries as flat arrays, and what is wrong with the entries as such."""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from centernet.analysis.check.findings import Finding
from centernet.data.annotations import DatasetSplit
from centernet.data.boxes import annotation_box
from centernet.data.entries import (
    annotation_area,
    entry_error,
    image_sides,
    is_ignore_region,
    is_integer,
    short,
)
from centernet.data.regions import parse_segmentation
from centernet.errors import InputError

MAX_LISTED = 10_000  # findings of one kind in a split


@dataclass
class Content:
    """One split, n images and m annotations.

    Attributes:
        split: it.
        names: classes of all splits; labels are their positions.
        image_ids: of the annotations, n.
        files: names of the image files, n.
        sizes: (n, 2) float height and width; of the file where it was read, else as annotated; NaN
            where unknown.
        ids: of the annotations, m.
        image: (m,) position of each annotation's image; -1 for none.
        label: (m,) -1 for none.
        boxes: (m, 4) float64 xywh in image pixels; NaN where they are no numbers.
        areas: (m,) as annotated, or else the box's.
        malformed: (m,) bool, whose box is not four numbers.
        region: (m,) bool, crowd and ignore regions, which are no objects.
        usable: (m,) bool, what training keeps; see :mod:`centernet.analysis.check.boxes`.
        findings: what is wrong, at most ``MAX_LISTED`` of each kind.
        unlisted: by kind, how many more there are.
    """

    split: DatasetSplit
    names: tuple[str, ...]
    image_ids: list[Any]
    files: list[str]
    sizes: NDArray[np.float64]
    ids: list[Any]
    image: NDArray[np.int64]
    label: NDArray[np.int64]
    boxes: NDArray[np.float64]
    areas: NDArray[np.float64]
    malformed: NDArray[np.bool_]
    region: NDArray[np.bool_]
    usable: NDArray[np.bool_]
    findings: list[Finding] = field(default_factory=list)
    unlisted: Counter[str] = field(default_factory=Counter)
    _listed: Counter[str] = field(default_factory=Counter)

    @property
    def objects(self) -> NDArray[np.bool_]:
        """(m,) which annotations are objects to find: usable and no regions."""
        return self.usable & ~self.region

    def add(self, kind: str, what: str, *, image: int = -1, annotation: int = -1) -> None:
        """Note a finding about the image or annotation at these positions."""
        if self._listed[kind] >= MAX_LISTED:
            self.unlisted[kind] += 1
            return
        self._listed[kind] += 1
        box, annotation_id = None, None
        if annotation >= 0:
            image = int(self.image[annotation]) if image < 0 else image
            annotation_id = self.ids[annotation]
            if np.isfinite(self.boxes[annotation]).all():
                box = tuple(self.boxes[annotation].tolist())
        of_image = (self.files[image], self.image_ids[image]) if image >= 0 else (None, None)
        self.findings.append(Finding(kind, self.split.name, what, *of_image, annotation_id, box))

    def add_each(self, kind: str, annotations: NDArray, describe: Callable[[int], str]) -> None:
        """Note a finding about each annotation; only those that are listed are described."""
        room = MAX_LISTED - self._listed[kind]
        for annotation in annotations[:room].tolist():
            self.add(kind, describe(annotation), annotation=annotation)
        self.unlisted.update({kind: max(0, len(annotations) - room)})

    def name(self, annotation: int) -> str:
        """Class of the annotation at this position."""
        return self.names[self.label[annotation]] if self.label[annotation] >= 0 else "?"


def read_contents(splits: Iterable[DatasetSplit]) -> list[Content]:
    """The splits as arrays; classes are numbered as train has them, then as the others do."""
    splits = sorted(splits, key=lambda split: split.name != "train")
    names = dict.fromkeys(
        str(category["name"])
        for split in splits
        for category in sorted(_valid(split, "categories"), key=lambda category: category["id"])
    )
    contents = [_read(split, tuple(names)) for split in splits]
    if splits and splits[0].name == "train":
        _unknown_to_train(contents)
    return contents


def usable(content: Content, images: NDArray[np.int64]) -> DatasetSplit:
    """What training keeps of some images, as COCO; ids are the images' positions in ``images``."""
    number = np.full(len(content.files), -1)
    number[images] = np.arange(len(images))
    used = np.flatnonzero(content.usable & (number[content.image] >= 0))
    coco = {
        "images": [
            {"id": i, "file_name": content.files[image], "height": height, "width": width}
            for i, (image, (height, width)) in enumerate(
                zip(images, content.sizes[images].tolist(), strict=True)
            )
        ],
        "categories": [{"id": i, "name": name} for i, name in enumerate(content.names, 1)],
        "annotations": [
            {
                "id": i,
                "image_id": int(number[content.image[a]]),
                "category_id": int(content.label[a]) + 1,
                "bbox": content.boxes[a].tolist(),
                "area": float(content.areas[a]),
                "iscrowd": int(content.region[a]),
            }
            for i, a in enumerate(used, 1)
        ],
    }
    return DatasetSplit(content.split.name, content.split.images, coco, content.split.source)


def _unknown_to_train(contents: Sequence[Content]) -> None:
    known = {str(category["name"]) for category in _valid(contents[0].split, "categories")}
    for content in contents[1:]:
        for category in _valid(content.split, "categories"):
            if str(category["name"]) not in known:
                what = f"category {short(category['name'])} (id {category['id']})"
                content.add("class-not-trained", what)


def _read(split: DatasetSplit, names: tuple[str, ...]) -> Content:
    findings: list[Finding] = []
    unlisted: Counter[str] = Counter()
    images, categories, annotations = (
        list(_valid(split, part, findings, unlisted))
        for part in ("images", "categories", "annotations")
    )
    position = {image["id"]: i for i, image in reversed(list(enumerate(images)))}
    label_of = {name: i for i, name in enumerate(names)}
    label = {c["id"]: label_of[str(c["name"])] for c in reversed(categories)}
    boxes, faults = _boxes(split, images, annotations)
    content = Content(
        split=split,
        names=names,
        image_ids=[image["id"] for image in images],
        files=[image["file_name"] for image in images],
        sizes=_sizes(images),
        ids=[a.get("id") for a in annotations],
        image=_lookup(position, [a["image_id"] for a in annotations]),
        label=_lookup(label, [a["category_id"] for a in annotations]),
        boxes=boxes,
        areas=np.array(
            [annotation_area(a, box) for a, box in zip(annotations, boxes, strict=True)], float
        ),
        malformed=np.isin(np.arange(len(annotations)), list(faults)),
        region=np.array([is_ignore_region(annotation) for annotation in annotations], bool),
        usable=np.zeros(len(annotations), bool),
        findings=findings,
        unlisted=unlisted,
    )
    content.add_each("box-malformed", np.array([*faults], int), faults.__getitem__)
    for i in np.flatnonzero(content.region):
        try:
            parse_segmentation(annotations[i].get("segmentation"))
        except InputError as error:
            content.add("region-malformed", f"{content.name(i)} has {error}", annotation=i)
    for note in split.notes:
        content.add("reading", note)
    _check_ids(content, categories)
    for kind, missing, key in (
        ("annotation-without-image", content.image < 0, "image_id"),
        ("category-unknown", content.label < 0, "category_id"),
    ):
        content.add_each(
            kind, np.flatnonzero(missing), lambda i, key=key: f"{key} {short(annotations[i][key])}"
        )
    return content


def _valid(
    split: DatasetSplit,
    part: str,
    findings: list[Finding] | None = None,
    unlisted: Counter[str] | None = None,
) -> Iterator[dict[str, Any]]:
    """The entries that training would take; the others are added to ``findings``, or counted."""
    for number, entry in enumerate(split.coco.get(part) or ()):
        fault = entry_error(part, entry)
        if not fault:
            yield entry
        elif findings is not None and len(findings) >= MAX_LISTED:
            unlisted["entry-malformed"] += 1
        elif findings is not None:
            what = f"entry {number} of {part!r} {fault}"
            number = entry.get("id") if isinstance(entry, dict) and part == "annotations" else None
            number = number if is_integer(number) else None
            findings.append(Finding("entry-malformed", split.name, what, annotation_id=number))


def _boxes(
    split: DatasetSplit, images: Sequence[dict[str, Any]], annotations: Sequence[dict[str, Any]]
) -> tuple[NDArray[np.float64], dict[int, str]]:
    """Boxes (m, 4), NaN where there is none, and by position what those are."""
    boxes = np.full((len(annotations), 4), np.nan)
    faults = {}
    sides_of = {image["id"]: image_sides(image) for image in images}
    for i, annotation in enumerate(annotations):
        sides = sides_of.get(annotation["image_id"], (np.inf, np.inf))
        try:
            boxes[i] = annotation_box(split.source, annotation, sides)
        except InputError:
            faults[i] = f"bbox {short(annotation.get('bbox'))}"
    return boxes, faults


def _check_ids(content: Content, categories: Sequence[dict[str, Any]]) -> None:
    for kind, ids, key in (
        ("image-id-duplicate", content.image_ids, "image"),
        ("annotation-id-duplicate", content.ids, "annotation"),
    ):
        count = Counter(str(i) for i in ids if i is not None)
        for i, value in enumerate(ids):
            if value is not None and count[str(value)] > 1:
                content.add(
                    kind, f"id {short(value)} is used {count[str(value)]} times", **{key: i}
                )
    for key in ("id", "name"):
        for value, count in Counter(str(c[key]) for c in categories).items():
            if count > 1:
                content.add(
                    "category-duplicate", f"{count} categories have the {key} {short(value)}"
                )
    listed = Counter(content.files)
    for i, file in enumerate(content.files):
        if listed[file] > 1:
            content.add("image-twice", f"listed {listed[file]} times", image=i)


def _sizes(images: Sequence[dict[str, Any]]) -> NDArray[np.float64]:
    """(n, 2) height and width, NaN where an image does not say both."""
    sizes = np.array([image_sides(image)[::-1] for image in images], float).reshape(-1, 2)
    return np.where(np.isfinite(sizes), sizes, np.nan)


def _lookup(position: dict[Any, int], keys: Sequence[Any]) -> NDArray[np.int64]:
    return np.array([position.get(key, -1) for key in keys], np.int64)
