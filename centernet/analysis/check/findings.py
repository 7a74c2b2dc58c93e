"""What can be wrong with a dataset: the kinds, how grave they are, and what to do about each."""

from dataclasses import asdict, dataclass
from typing import Any, NamedTuple

from centernet.data.entries import MAX_PIXELS

ERROR, WARNING, NOTE = "error", "warning", "note"
SEVERITIES = (ERROR, WARNING, NOTE)


class Kind(NamedTuple):
    """A kind of finding.

    Attributes:
        severity: ``error`` would stop training or teach it what is wrong; ``warning`` costs
            accuracy or falsifies its measurement; ``note`` is good to know.
        title: what was found.
        advice: why it matters and what to do.
    """

    severity: str
    title: str
    advice: str


KINDS = {
    # Files
    "image-missing": Kind(
        ERROR, "images that are not there", "Copy the files, or take them out of the annotations."
    ),
    "image-broken": Kind(
        ERROR, "files that are no image", "Replace them, or take them out of the annotations."
    ),
    "image-truncated": Kind(
        ERROR, "images that end too early", "They were not copied whole: copy them again."
    ),
    "image-size": Kind(
        ERROR,
        "images of another size than the annotations say",
        "Boxes then lie elsewhere. Was the image scaled, or turned by its EXIF orientation, after "
        "it was labelled?",
    ),
    "image-orphan": Kind(
        WARNING,
        "image files without an entry",
        "They are not used. Was a part of the dataset left out of the annotations?",
    ),
    "image-twice": Kind(WARNING, "files listed twice", "Each counts twice: keep one entry."),
    "image-duplicate": Kind(
        WARNING, "images that are the same", "Each counts twice, perhaps with other labels."
    ),
    "image-leak": Kind(
        WARNING,
        "images of one photograph in two splits",
        "Objects of training images are found easily, so the measured AP is too high. Keep all "
        "copies of a photograph in one split, also mirrored, turned and augmented ones.",
    ),
    "image-outlier": Kind(
        NOTE,
        "images of a size or shape far from the rest",
        "On the canvas their objects are far smaller or larger than the others.",
    ),
    "image-without-objects": Kind(
        NOTE,
        "images without any object",
        "Welcome as background, unless their objects were just not labelled.",
    ),
    # Entries
    "reading": Kind(
        WARNING,
        "remarks on reading the dataset",
        "What was left out, changed or guessed; docs/data.md says what becomes of what. Labels "
        "left out are not learned.",
    ),
    "entry-malformed": Kind(
        ERROR, "entries without a required field or with a malformed one",
        "data/README.md shows the fields.",
    ),
    "image-id-duplicate": Kind(
        ERROR,
        "image ids used twice",
        'Give each image an id of its own (1 and "1" are the same), also in its annotations.',
    ),
    "category-duplicate": Kind(
        ERROR, "categories of the same id or name", "Merge them, or give them their own."
    ),
    "annotation-id-duplicate": Kind(
        WARNING, "annotation ids used twice", "Training does not mind, other tools do."
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
        "All splits need the same categories: the network has an output for each of train's.",
    ),
    # Boxes
    "box-malformed": Kind(
        ERROR, "boxes that are not four numbers", "Write [left, top, width, height] in pixels."
    ),
    "boxes-are-corners": Kind(
        ERROR,
        "boxes that look like corners",
        "COCO's are [left, top, width, height]; these fit their images only as [left, top, right, "
        "bottom]. Convert them.",
    ),
    "boxes-are-normalised": Kind(
        ERROR,
        "boxes that look like fractions of the image",
        "COCO's are in pixels: multiply by width and height.",
    ),
    "box-not-finite": Kind(
        WARNING, f"boxes that are not finite or beyond {MAX_PIXELS:g}", "Training drops them."
    ),
    "box-zero": Kind(WARNING, "boxes of zero or negative size", "Training drops them."),
    "box-outside": Kind(WARNING, "boxes outside their image", "Training drops them."),
    "box-reaches-over": Kind(
        WARNING,
        "boxes that reach over their image's edge",
        "Training cuts them there, evaluation does not: the full box cannot be found.",
    ),
    "box-duplicate": Kind(
        WARNING,
        "objects labelled twice",
        "Only one of the two can be found, the other counts as missed: delete it.",
    ),
    "box-two-classes": Kind(
        WARNING,
        "boxes with two classes",
        "One object of two names, or one object's box copied onto another.",
    ),
    "box-thin": Kind(
        NOTE,
        "boxes more than 8 times as long as wide",
        "They are hard to fit: an error of few pixels across is much of their area.",
    ),
    "region-malformed": Kind(
        ERROR,
        "ignore regions with a malformed segmentation",
        "The segmentation must be an RLE with counts and size, or polygons of three points or "
        "more: correct it, or remove it to use the box.",
    ),
    # Classes and splits
    "split-without-objects": Kind(
        ERROR, "splits without a usable box", "There is nothing to learn, or to measure."
    ),
    "split-absent": Kind(
        ERROR,
        "absent splits that training needs",
        "It learns from train and keeps the checkpoint that is best on val: centernet convert with "
        "--val-fraction 0.2 sets images aside, --data.val_annotations names another split.",
    ),
    "class-absent": Kind(
        WARNING,
        "classes without an object in a split",
        "What is absent in train is never learned, what is absent in val is never measured.",
    ),
    "class-rare": Kind(
        NOTE, "classes of less than 20 training objects", "Expect little of them: label more."
    ),
    # The grid of cells
    "object-below-cell": Kind(
        WARNING,
        "objects narrower than a cell",
        "Little of them is left on the canvas: a larger image size, or tiles of the images.",
    ),
    "centre-collision": Kind(
        WARNING,
        "objects of a class whose centres share a cell",
        "Only the larger one can be found. A larger image size parts them, unless the box was "
        "labelled twice.",
    ),
    "centre-shared": Kind(
        NOTE,
        "objects of two classes whose centres share a cell",
        "Both are found, with one size: the smaller one's box is wrong.",
    ),
    "centre-neighbour": Kind(
        NOTE,
        "objects of a class in neighbouring cells",
        "Their peaks melt into one unless the heatmap is very sharp.",
    ),
    "image-crowded": Kind(
        NOTE,
        "images with more than 3000 objects",
        "The ceiling is measured without them. Tile the images.",
    ),
    "over-top-k": Kind(
        WARNING,
        "images with more objects than top_k",
        "No more than top_k are found in an image: raise it, or tile the images.",
    ),
}  # fmt: skip


@dataclass(frozen=True)
class Finding:
    """One thing that is wrong, or worth to know.

    Attributes:
        kind: key of :data:`KINDS`.
        split: name of the split.
        what: one line with the values.
        file: of the image, as the annotations name it.
        image_id: of the annotations.
        annotation_id: of the annotations.
        box: xywh in image pixels, to show.
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
        """That of its kind."""
        return KINDS[self.kind].severity

    @property
    def where(self) -> str:
        """File and ids, for people."""
        parts = [self.file] if self.file else []
        parts += [f"image {self.image_id}"] if self.image_id is not None else []
        parts += [f"annotation {self.annotation_id}"] if self.annotation_id is not None else []
        return ", ".join(parts)

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return {"severity": self.severity} | asdict(self)


def by_kind(findings: list[Finding]) -> dict[str, list[Finding]]:
    """Findings in groups, the gravest kinds first."""
    groups: dict[str, list[Finding]] = {}
    for kind in sorted(KINDS, key=lambda kind: SEVERITIES.index(KINDS[kind].severity)):
        found = [finding for finding in findings if finding.kind == kind]
        if found:
            groups[kind] = found
    return groups
