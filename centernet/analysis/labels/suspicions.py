"""What a suspected label error is, and which correction it proposes."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

import numpy as np
from numpy.typing import NDArray


class LabelError(StrEnum):
    """What is wrong with the annotations at one place of an image."""

    MISSING = "missing object"
    SPURIOUS = "spurious box"
    WRONG_CLASS = "wrong class"
    POOR_BOX = "badly placed box"
    DUPLICATE = "duplicate box"
    MERGED = "merged objects"
    SPLIT = "split object"


@dataclass(frozen=True)
class LabeledImage:
    """An image with its annotations, as the dataset has them. Boxes are xyxy in image pixels.

    Attributes:
        split: name of the split.
        file_name: path of the image, relative to the folder of the split's images.
        path: the image file.
        boxes: (n, 4).
        labels: (n,).
    """

    split: str
    file_name: str
    path: Path
    boxes: NDArray[np.float32]
    labels: NDArray[np.int64]


@dataclass(frozen=True)
class Suspicion:
    """A suspected label error. Its correction replaces the annotations by boxes of one class.

    A missing object has no annotations, a spurious or duplicate box has no corrected boxes. The
    corrected box of a wrong class is the annotated one.

    Attributes:
        kind: what is wrong.
        score: estimated probability that it is an error, in [0, 1].
        objects: indices of the annotations that the correction replaces.
        boxes: (m, 4) corrected boxes, xyxy in image pixels.
        label: class of the corrected boxes; None if there are none.
        reason: why it is suspected, in one sentence with the numbers.
    """

    kind: LabelError
    score: float
    objects: tuple[int, ...]
    boxes: NDArray[np.float32]
    label: int | None
    reason: str


@dataclass(frozen=True)
class SuspectImage:
    """An image with the errors that are suspected in it, the most probable first."""

    image: LabeledImage
    suspicions: Sequence[Suspicion]
