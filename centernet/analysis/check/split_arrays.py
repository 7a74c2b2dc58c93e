"""The entries of a dataset split as flat arrays, with the findings about them."""

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
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
from centernet.data.points import is_point
from centernet.data.regions import parse_segmentation
from centernet.errors import InputError

MAX_LISTED = 10_000  # findings of one kind in one split; more are only counted


@dataclass
class SplitArrays:
    """One dataset split with n images and m annotations.

    Attributes:
        split: the split as it was read.
        names: class names by label, the same for all splits.
        image_ids: n image ids.
        files: n image file names.
        annotated_sizes: (n, 2) float height and width in the annotations; NaN where not given.
        sizes: (n, 2) float height and width of the image file, or as annotated if the file was not
            read; NaN if neither is known.
        ids: m annotation ids.
        image: (m,) index of each annotation's image; -1 for none.
        label: (m,) class; -1 for none.
        boxes: (m, 4) float64 xywh in image pixels; NaN where they are not numbers.
        areas: (m,) annotated areas; where missing, the area of the box.
        malformed: (m,) bool, the box is not four numbers.
        region: (m,) bool, crowd and ignore regions, which are not objects.
        point: (m,) bool, objects without a size; their boxes are squares of typical size.
        usable: (m,) bool, training keeps the annotation; see
            :mod:`centernet.analysis.check.boxes`.
        findings: at most ``MAX_LISTED`` of each kind.
        unlisted: number of further findings by kind.
    """

    split: DatasetSplit
    names: tuple[str, ...]
    image_ids: list[Any]
    files: list[str]
    annotated_sizes: NDArray[np.float64]
    sizes: NDArray[np.float64]
    ids: list[Any]
    image: NDArray[np.int64]
    label: NDArray[np.int64]
    boxes: NDArray[np.float64]
    areas: NDArray[np.float64]
    malformed: NDArray[np.bool_]
    region: NDArray[np.bool_]
    point: NDArray[np.bool_]
    usable: NDArray[np.bool_]
    findings: list[Finding] = field(default_factory=list)
    unlisted: Counter[str] = field(default_factory=Counter)
    _listed: Counter[str] = field(default_factory=Counter)

    @property
    def objects(self) -> NDArray[np.bool_]:
        """(m,) bool, the annotations that are objects to detect: usable and not a region."""
        return self.usable & ~self.region

    @property
    def training_sizes(self) -> NDArray[np.float64]:
        """(n, 2) height and width that training compares boxes with: the annotated ones, if any."""
        return np.where(np.isnan(self.annotated_sizes), self.sizes, self.annotated_sizes)

    def add(
        self,
        kind: str,
        what: str,
        *,
        image: int = -1,
        annotation: int = -1,
        annotation_id: Any = None,
    ) -> None:
        """Add a finding.

        Args:
            kind: key of :data:`centernet.analysis.check.findings.KINDS`.
            what: one line with the values.
            image: index of the image that it refers to.
            annotation: index of the annotation that it refers to.
            annotation_id: id of a malformed annotation, which has no index.
        """
        if self._listed[kind] >= MAX_LISTED:
            self.unlisted[kind] += 1
            return
        self._listed[kind] += 1
        box = None
        if annotation >= 0:
            image = int(self.image[annotation]) if image < 0 else image
            annotation_id = self.ids[annotation]
            if np.isfinite(self.boxes[annotation]).all():
                x, y, w, h = self.boxes[annotation].tolist()
                box = (x, y, w, h)
        file, image_id = (self.files[image], self.image_ids[image]) if image >= 0 else (None, None)
        self.findings.append(
            Finding(kind, self.split.name, what, file, image_id, annotation_id, box)
        )

    def add_each(self, kind: str, annotations: NDArray, describe: Callable[[int], str]) -> None:
        """Add a finding about each annotation; ``describe`` is called for listed ones only."""
        room = MAX_LISTED - self._listed[kind]
        for annotation in annotations[:room].tolist():
            self.add(kind, describe(annotation), annotation=annotation)
        self.unlisted.update({kind: max(0, len(annotations) - room)})

    def name(self, annotation: int) -> str:
        """Class name of the annotation with this index."""
        return self.names[self.label[annotation]] if self.label[annotation] >= 0 else "?"


def read_splits(splits: Iterable[DatasetSplit]) -> list[SplitArrays]:
    """Convert splits to arrays, train first; the classes of train come first, too."""
    ordered = sorted(splits, key=lambda split: split.name != "train")
    names = dict.fromkeys(
        str(category["name"])
        for split in ordered
        for category in sorted(_valid(split, "categories"), key=lambda category: category["id"])
    )
    arrays = [_read(split, tuple(names)) for split in ordered]
    if ordered and ordered[0].name == "train":
        _add_classes_unknown_to_train(arrays)
    return arrays


def usable_annotations(arrays: SplitArrays, images: NDArray[np.int64]) -> DatasetSplit:
    """The annotations of some images that training keeps, as COCO content.

    Args:
        arrays: the split.
        images: indices of the images. The position in this array is the image's new id.
    """
    number = np.full(len(arrays.files) + 1, -1)  # the last one is for annotations without an image
    number[images] = np.arange(len(images))
    used = np.flatnonzero(arrays.usable & (number[arrays.image] >= 0))
    sizes = arrays.training_sizes[images].tolist()
    columns = {
        "id": np.arange(1, len(used) + 1),
        "image_id": number[arrays.image[used]],
        "category_id": arrays.label[used] + 1,
        "bbox": arrays.boxes[used],
        "area": arrays.areas[used],
        "iscrowd": arrays.region[used].astype(int),
    }
    rows = zip(*(column.tolist() for column in columns.values()), strict=True)
    coco = {
        "images": [
            {"id": i, "file_name": arrays.files[image], "height": height, "width": width}
            for i, (image, (height, width)) in enumerate(zip(images, sizes, strict=True))
        ],
        "categories": [{"id": i, "name": name} for i, name in enumerate(arrays.names, 1)],
        "annotations": [dict(zip(columns, row, strict=True)) for row in rows],
    }
    return DatasetSplit(arrays.split.name, arrays.split.images, coco, arrays.split.source)


def _add_classes_unknown_to_train(splits: Sequence[SplitArrays]) -> None:
    known = {str(c["name"]) for c in _valid(splits[0].split, "categories")}
    for arrays, category in ((a, c) for a in splits[1:] for c in _valid(a.split, "categories")):
        if str(category["name"]) not in known:
            name = short(category["name"])
            arrays.add("class-not-trained", f"category {name} (id {category['id']})")


def _read(split: DatasetSplit, names: tuple[str, ...]) -> SplitArrays:
    """One split as arrays, with the findings about its entries."""
    images, categories, annotations = (
        _valid(split, part) for part in ("images", "categories", "annotations")
    )
    position = {image["id"]: i for i, image in reversed(list(enumerate(images)))}
    label_of = {name: i for i, name in enumerate(names)}
    label = {c["id"]: label_of[str(c["name"])] for c in reversed(categories)}
    boxes, malformed = _boxes(split, images, annotations)
    sizes = _sizes(images)
    arrays = SplitArrays(
        split=split,
        names=names,
        image_ids=[image["id"] for image in images],
        files=[image["file_name"] for image in images],
        annotated_sizes=sizes,
        sizes=sizes.copy(),
        ids=[a.get("id") for a in annotations],
        image=_lookup(position, [a["image_id"] for a in annotations]),
        label=_lookup(label, [a["category_id"] for a in annotations]),
        boxes=boxes,
        areas=np.array([*map(annotation_area, annotations, boxes)], float),
        malformed=np.isin(np.arange(len(annotations)), list(malformed)),
        region=np.array([is_ignore_region(annotation) for annotation in annotations], bool),
        point=np.array([is_point(annotation) for annotation in annotations], bool),
        usable=np.zeros(len(annotations), bool),
    )
    arrays.point &= ~arrays.region
    _check_entries(arrays)
    arrays.add_each("box-malformed", np.array([*malformed], int), malformed.__getitem__)
    for note in split.notes:
        arrays.add("reading", note)
    _check_regions(arrays, annotations)
    _check_ids(arrays, categories)
    _check_references(arrays, annotations)
    return arrays


def _valid(split: DatasetSplit, part: str) -> list[dict[str, Any]]:
    """The entries that training accepts."""
    return [entry for entry in split.coco.get(part) or () if not entry_error(part, entry)]


def _check_entries(arrays: SplitArrays) -> None:
    """Add the entries that training does not accept."""
    for part in ("images", "categories", "annotations"):
        for number, entry in enumerate(arrays.split.coco.get(part) or ()):
            if not (error := entry_error(part, entry)):
                continue
            given = entry.get("id") if isinstance(entry, dict) and part == "annotations" else None
            what = f"entry {number} of {part!r} {error}"
            arrays.add("entry-malformed", what, annotation_id=given if is_integer(given) else None)


def _boxes(
    split: DatasetSplit, images: Sequence[dict[str, Any]], annotations: Sequence[dict[str, Any]]
) -> tuple[NDArray[np.float64], dict[int, str]]:
    """Boxes (m, 4), NaN where malformed, and the malformed values by index."""
    boxes = np.full((len(annotations), 4), np.nan)
    malformed = {}
    sides_of = {image["id"]: image_sides(image) for image in images}
    for i, annotation in enumerate(annotations):
        sides = sides_of.get(annotation["image_id"], (np.inf, np.inf))
        try:
            boxes[i] = annotation_box(split.source, annotation, sides)
        except InputError:
            malformed[i] = f"bbox {short(annotation.get('bbox'))}"
    return boxes, malformed


def _check_regions(arrays: SplitArrays, annotations: Sequence[dict[str, Any]]) -> None:
    for i in np.flatnonzero(arrays.region).tolist():
        try:
            parse_segmentation(annotations[i].get("segmentation"))
        except InputError as error:
            arrays.add("region-malformed", f"{arrays.name(i)} has {error}", annotation=i)


def _check_references(arrays: SplitArrays, annotations: Sequence[dict[str, Any]]) -> None:
    def describe(key: str) -> Callable[[int], str]:
        return lambda i: f"{key} {short(annotations[i][key])}"

    for kind, index, key in (
        ("annotation-without-image", arrays.image, "image_id"),
        ("category-unknown", arrays.label, "category_id"),
    ):
        arrays.add_each(kind, np.flatnonzero(index < 0), describe(key))


def _check_ids(arrays: SplitArrays, categories: Sequence[dict[str, Any]]) -> None:
    for kind, ids, key in (
        ("image-id-duplicate", arrays.image_ids, "image"),
        ("annotation-id-duplicate", arrays.ids, "annotation"),
    ):
        uses = Counter(str(i) for i in ids if i is not None)
        for i, value in enumerate(ids):
            if value is not None and uses[str(value)] > 1:
                arrays.add(kind, f"id {short(value)} is used {uses[str(value)]} times", **{key: i})
    for key in ("id", "name"):
        for text, number in Counter(str(c[key]) for c in categories).items():
            if number > 1:
                arrays.add(
                    "category-duplicate", f"{number} categories have the {key} {short(text)}"
                )
    listed = Counter(arrays.files)
    for i, file in enumerate(arrays.files):
        if listed[file] > 1:
            arrays.add("image-twice", f"listed {listed[file]} times", image=i)


def _sizes(images: Sequence[dict[str, Any]]) -> NDArray[np.float64]:
    """(n, 2) height and width, each NaN where an image does not give it."""
    sizes = np.array([image_sides(image)[::-1] for image in images], float).reshape(-1, 2)
    return np.where(np.isfinite(sizes), sizes, np.nan)


def _lookup(position: dict[Any, int], keys: Sequence[Any]) -> NDArray[np.int64]:
    return np.array([position.get(key, -1) for key in keys], np.int64)
