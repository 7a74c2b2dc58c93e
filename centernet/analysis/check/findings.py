"""Kinds of findings about a dataset, each with severity, title and advice."""

from dataclasses import asdict, dataclass
from typing import Any, NamedTuple

from centernet.data.entries import MAX_PIXELS

ERROR, WARNING, NOTE = "error", "warning", "note"
SEVERITIES = (ERROR, WARNING, NOTE)


class Kind(NamedTuple):
    """A kind of finding.

    Attributes:
        severity: ``error`` stops training or teaches it something wrong; ``warning`` costs accuracy
            or distorts its measurement; ``note`` is information.
        title: what was found.
        advice: why it matters and what to do.
    """

    severity: str
    title: str
    advice: str


KINDS = {
    # Files
    "image-missing": Kind(
        ERROR, "missing image files", "Copy the files, or remove their entries."
    ),
    "image-broken": Kind(
        ERROR, "files that are not images", "Replace the files, or remove their entries."
    ),
    "image-truncated": Kind(
        ERROR, "truncated image files", "The copy is incomplete: copy the files again."
    ),
    "image-size": Kind(
        ERROR,
        "images whose size differs from the annotations",
        "The boxes do not fit the image. Was the image scaled, or rotated by its EXIF orientation, "
        "after it was labeled? The remarks of the reader tell whether centernet convert --repair "
        "corrects the boxes.",
    ),
    "image-orphan": Kind(
        WARNING,
        "image files without an entry",
        "Training does not use them. Are annotations missing?",
    ),
    "image-twice": Kind(WARNING, "files listed twice", "Each counts twice: keep one entry."),
    "image-duplicate": Kind(
        WARNING,
        "identical or nearly identical images",
        "Copies count twice, perhaps with different labels. Frames of one scene teach little new.",
    ),
    "image-leak": Kind(
        WARNING,
        "images that look like one photograph, in two splits",
        "Training has seen the validation image, so the measured AP is too high. Keep all copies "
        "of a photograph in one split, including mirrored, rotated and augmented copies. Pictures "
        "that only share their background, as under a microscope, are no copies.",
    ),
    "image-outlier": Kind(
        NOTE,
        "images of unusual size or aspect ratio",
        "In the network input their objects are much smaller or larger than those of other images.",
    ),
    "image-without-objects": Kind(
        NOTE,
        "images without objects",
        "They are useful as background, unless their objects were not labeled.",
    ),
    # Entries
    "reading": Kind(
        WARNING,
        "remarks from the dataset reader",
        "Something was skipped, changed or guessed; docs/data.md lists the rules. Skipped labels "
        "are not learned.",
    ),
    "entry-malformed": Kind(
        ERROR, "entries with a missing or malformed field",
        "data/README.md lists the fields.",
    ),
    "image-id-duplicate": Kind(
        ERROR,
        "duplicate image ids",
        'Give each image its own id (1 and "1" are equal), and update its annotations.',
    ),
    "category-duplicate": Kind(
        ERROR, "categories with the same id or name", "Merge them, or make them different."
    ),
    "annotation-id-duplicate": Kind(
        WARNING, "duplicate annotation ids", "Training accepts them, other tools do not."
    ),
    "annotation-without-image": Kind(
        ERROR, "annotations of an unknown image", "Add the image's entry, or delete them."
    ),
    "category-unknown": Kind(
        ERROR, "annotations of an unknown category", "Add the category, or delete them."
    ),
    "class-not-trained": Kind(
        ERROR,
        "categories that the training split does not list",
        "All splits need the same categories: the network has one output per category of train.",
    ),
    # Boxes
    "box-malformed": Kind(
        ERROR, "boxes that are not four numbers", "Write [left, top, width, height] in pixels."
    ),
    "boxes-are-corners": Kind(
        ERROR,
        "boxes that look like xyxy coordinates",
        "COCO boxes are [left, top, width, height]; these fit their images only as [left, top, "
        "right, bottom]. Convert them.",
    ),
    "boxes-are-normalized": Kind(
        ERROR,
        "boxes that look like normalized coordinates",
        "COCO boxes are in pixels: multiply by the image's width and height.",
    ),
    "box-not-finite": Kind(
        WARNING, f"boxes that are not finite or beyond {MAX_PIXELS:g}", "Training drops them."
    ),
    "box-zero": Kind(WARNING, "boxes of zero or negative size", "Training drops them."),
    "box-outside": Kind(WARNING, "boxes outside their image", "Training drops them."),
    "box-reaches-over": Kind(
        WARNING,
        "boxes that exceed their image",
        "Training clips them, evaluation does not: no detection can match the full box.",
    ),
    "box-at-edge": Kind(
        NOTE,
        "boxes that exceed their image by a pixel or two",
        "They were rounded, or count pixels from 1: training clips them, nothing is to be done.",
    ),
    "box-duplicate": Kind(
        WARNING,
        "objects labeled twice",
        "Only one of the two can be detected, the other counts as missed: delete it.",
    ),
    "box-two-classes": Kind(
        WARNING,
        "boxes with two classes",
        "One object has two classes, or its box was copied to another object.",
    ),
    "box-thin": Kind(
        NOTE,
        "boxes with an aspect ratio above 8",
        "They are hard to fit: an error of few pixels across is a large part of their area.",
    ),
    "region-malformed": Kind(
        ERROR,
        "ignore regions with a malformed segmentation",
        "The segmentation must be an RLE with counts and size, or polygons of at least three "
        "points: correct it, or remove it to use the box.",
    ),
    "points": Kind(
        NOTE,
        "objects annotated by their center alone",
        "They train the heatmap, and are measured by center distance; a class without a box gets "
        "no sizes (docs/points.md).",
    ),
    # Classes and splits
    "split-without-objects": Kind(
        ERROR, "splits without a usable box", "There is nothing to learn, or to measure."
    ),
    "split-absent": Kind(
        ERROR,
        "missing splits that training needs",
        "Training learns from train and keeps the checkpoint that is best on val, and no "
        "validation images can be held out: add images of other scenes to train, or name a split "
        "with --data.train_annotations or --data.val_annotations.",
    ),
    "split-held-out": Kind(
        NOTE,
        "no validation images",
        "fit holds out a part of train, always the same images. centernet convert --val-fraction "
        "0.2 writes a dataset with a validation split.",
    ),
    "class-absent": Kind(
        WARNING,
        "classes without an object in a split",
        "Classes absent in train are not learned, classes absent in val are not measured.",
    ),
    "class-rare": Kind(
        NOTE, "classes with fewer than 20 training objects", "Expect low accuracy: label more."
    ),
    # Cells
    "object-below-cell": Kind(
        WARNING,
        "objects narrower than a cell",
        "The network input shows little of them: use a larger image size, or split the images into "
        "tiles.",
    ),
    "center-collision": Kind(
        WARNING,
        "objects of one class with their centers in one cell",
        "Only the larger one can be detected. A larger image size separates them, unless the "
        "object was labeled twice.",
    ),
    "center-shared": Kind(
        NOTE,
        "objects of two classes with their centers in one cell",
        "Both are detected, but with one size: the box of the smaller one is wrong.",
    ),
    "center-neighbor": Kind(
        NOTE,
        "objects of one class in neighboring cells",
        "Their peaks merge unless the heatmap is very sharp.",
    ),
    "image-crowded": Kind(
        NOTE,
        "images with more than 3000 objects",
        "They are left out of the ceiling. Split them into tiles.",
    ),
    "over-top-k": Kind(
        WARNING,
        "images with more objects than top_k",
        "At most top_k objects are detected per image: raise it, or split the images into tiles.",
    ),
}  # fmt: skip


@dataclass(frozen=True)
class Finding:
    """One problem or notable fact of a dataset.

    Attributes:
        kind: key of :data:`KINDS`.
        split: name of the split.
        what: one line with the values.
        file: image file name in the annotations.
        image_id: id of the image in the annotations.
        annotation_id: id of the annotation.
        box: xywh in image pixels.
    """

    kind: str
    split: str
    what: str
    file: str | None = None
    image_id: Any = None
    annotation_id: Any = None
    box: tuple[float, float, float, float] | None = None

    @property
    def severity(self) -> str:
        """Severity of its kind."""
        return KINDS[self.kind].severity

    @property
    def where(self) -> str:
        """File name and ids as text."""
        parts = [self.file] if self.file else []
        parts += [f"image {self.image_id}"] if self.image_id is not None else []
        parts += [f"annotation {self.annotation_id}"] if self.annotation_id is not None else []
        return ", ".join(parts)

    def as_dict(self) -> dict[str, Any]:
        """The fields as JSON values."""
        return {"severity": self.severity} | asdict(self)


def group_by_kind(findings: list[Finding]) -> dict[str, list[Finding]]:
    """Findings by kind, the most severe kinds first."""
    groups: dict[str, list[Finding]] = {}
    for kind in sorted(KINDS, key=lambda kind: SEVERITIES.index(KINDS[kind].severity)):
        found = [finding for finding in findings if finding.kind == kind]
        if found:
            groups[kind] = found
    return groups
