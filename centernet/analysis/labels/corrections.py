"""Corrections of annotations: which boxes to add, remove or change, and the decisions behind them.

Annotations are identified by image, class and box, not by an id, because most formats have no ids.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from centernet.analysis.labels.suspicions import LabelError, SuspectImage, Suspicion
from centernet.errors import InputError

Box = tuple[float, float, float, float]

ACCEPTED, REJECTED, EDITED = "accepted", "rejected", "edited"
DECISIONS = (ACCEPTED, REJECTED, EDITED)
# Pixels. The coordinates of equal boxes differ by less: files hold rounded numbers.
SAME_BOX = 0.02


@dataclass(frozen=True)
class LabeledBox:
    """A box, xyxy in image pixels, and the name of its class."""

    class_name: str
    box: Box

    def __str__(self) -> str:
        return f"{self.class_name!r} [{', '.join(f'{value:g}' for value in self.box)}]"


@dataclass(frozen=True)
class BoxChange:
    """An annotation, and what replaces it: another box, another class, or both."""

    before: LabeledBox
    after: LabeledBox


@dataclass(frozen=True)
class ImageCorrections:
    """The corrections of one image.

    Attributes:
        split: name of the split.
        file_name: path of the image, relative to the folder of the split's images.
        add: new boxes.
        remove: annotations to remove.
        change: annotations to change.
    """

    split: str
    file_name: str
    add: Sequence[LabeledBox] = ()
    remove: Sequence[LabeledBox] = ()
    change: Sequence[BoxChange] = ()


@dataclass(frozen=True)
class Decision:
    """What was decided about a suspected label error.

    Attributes:
        split: name of the split.
        file_name: the image, as in :class:`ImageCorrections`.
        kind: what is suspected.
        score: estimated probability that it is an error.
        decision: ``accepted``, ``rejected``, or ``edited``: an error, but corrected in another way.
        before: the annotations in question.
        after: the boxes that were proposed instead.
    """

    split: str
    file_name: str
    kind: LabelError
    score: float
    decision: str
    before: Sequence[LabeledBox] = ()
    after: Sequence[LabeledBox] = ()


@dataclass(frozen=True)
class Corrections:
    """The corrections of a dataset.

    Attributes:
        dataset: name of the dataset.
        classes: names of all classes that a correction may use.
        images: the images with corrections.
        decisions: all decisions, from which the precision of the suspicions can be measured.
    """

    dataset: str
    classes: Sequence[str]
    images: Sequence[ImageCorrections] = ()
    decisions: Sequence[Decision] = ()


def corrections_of(
    suspect_images: Iterable[SuspectImage],
    class_names: Sequence[str],
    *,
    min_score: float,
    dataset: str,
) -> Corrections:
    """Accept all suspicions with a score of at least ``min_score``.

    Several suspicions can concern one annotation: their corrections are combined, as in the page.

    Args:
        suspect_images: images with their suspicions.
        class_names: class names by label.
        min_score: lowest score to accept.
        dataset: name of the dataset.

    Raises:
        InputError: ``min_score`` is not in [0, 1].
    """
    require_score(min_score)
    images, decisions = [], []
    for suspect in suspect_images:
        accepted = [s for s in suspect.suspicions if s.score >= min_score]
        accepted.sort(key=lambda suspicion: -suspicion.score)
        edited = EditedImage(suspect, class_names)
        for suspicion in accepted:
            edited.accept(suspicion)
            decisions.append(_accepted(suspect, suspicion, class_names))
        corrections = edited.corrections()
        if corrections.add or corrections.remove or corrections.change:
            images.append(corrections)
    return Corrections(dataset, tuple(class_names), images, decisions)


def require_score(min_score: float) -> None:
    """Check the lowest score to accept.

    Raises:
        InputError: it is not in [0, 1].
    """
    if not 0 <= min_score <= 1:
        raise InputError(f"the lowest score to accept must be in [0, 1], got {min_score:g}")


@dataclass
class EditedImage:
    """The annotations of an image while suspicions are accepted; ``model.js`` does the same.

    Attributes:
        suspect: the image.
        class_names: class names by label.
        edits: new box of an annotation by its index; None if it is removed.
        added: new boxes.
    """

    suspect: SuspectImage
    class_names: Sequence[str]
    edits: dict[int, LabeledBox | None] = field(default_factory=dict)
    added: list[LabeledBox] = field(default_factory=list)

    def accept(self, suspicion: Suspicion) -> None:
        """Apply the correction of a suspicion.

        It has no effect if all of its annotations are removed already. Where one box replaces one
        annotation, only the class or the box that differs is changed.
        """
        left = [i for i in suspicion.objects if self.edits.get(i, True) is not None]
        if suspicion.objects and not left:
            return
        boxes = proposed_boxes(suspicion, self.class_names)
        if len(suspicion.objects) == len(boxes) == 1:
            self._change(left[0], boxes[0])
            return
        self.edits |= dict.fromkeys(left)
        self.added += boxes

    def _change(self, index: int, after: LabeledBox) -> None:
        before = annotated_box(self.suspect, index, self.class_names)
        now = self.edits.get(index) or before
        self.edits[index] = LabeledBox(
            now.class_name if after.class_name == before.class_name else after.class_name,
            now.box if is_same_box(after.box, before.box) else after.box,
        )

    def corrections(self) -> ImageCorrections:
        """The difference to the annotations."""
        remove, change = [], []
        for index, after in sorted(self.edits.items()):
            before = annotated_box(self.suspect, index, self.class_names)
            if after is None:
                remove.append(before)
            elif after != before:
                change.append(BoxChange(before, after))
        image = self.suspect.image
        return ImageCorrections(image.split, image.file_name, tuple(self.added), remove, change)


def annotated_box(suspect: SuspectImage, index: int, class_names: Sequence[str]) -> LabeledBox:
    """An annotation of an image."""
    image = suspect.image
    return LabeledBox(class_names[image.labels[index]], rounded_box(image.boxes[index]))


def proposed_boxes(suspicion: Suspicion, class_names: Sequence[str]) -> list[LabeledBox]:
    """The boxes that replace the annotations of a suspicion."""
    if suspicion.label is None:
        return []
    name = class_names[suspicion.label]
    return [LabeledBox(name, rounded_box(box)) for box in suspicion.boxes]


def rounded_box(box: Iterable[float]) -> Box:
    """A box with two decimals, as it is written."""
    x1, y1, x2, y2 = (round(float(value), 2) for value in box)
    return x1, y1, x2, y2


def is_same_box(a: Box, b: Box, tolerance: float = SAME_BOX) -> bool:
    """Whether all coordinates of two boxes differ by at most ``tolerance`` pixels."""
    return max(abs(p - q) for p, q in zip(a, b, strict=True)) <= tolerance


def _accepted(suspect: SuspectImage, suspicion: Suspicion, class_names: Sequence[str]) -> Decision:
    image = suspect.image
    return Decision(
        image.split,
        image.file_name,
        suspicion.kind,
        round(float(suspicion.score), 6),
        ACCEPTED,
        [annotated_box(suspect, i, class_names) for i in suspicion.objects],
        proposed_boxes(suspicion, class_names),
    )
