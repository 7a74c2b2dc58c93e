"""Why an object was missed, and why a box is false.

Peaks are given to objects as COCO's evaluation does it: the best peak first, each to the free
object of its class that it overlaps most, if by the IoU asked for. As that goes down the scores,
what a peak is given depends on no threshold: raising it only takes away the last ones. So all is
said once, and :meth:`Verdict.at` adds the threshold.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

import numpy as np
from numpy.typing import NDArray
from pycocotools import mask as coco_mask

# Below this overlap a box has nothing to do with an object (Bolya et al., TIDE, 2020).
_TOUCHES = 0.1
# The probability that every cell starts a training with: less heat than this means nothing.
_FELT = 0.1


class Reason(StrEnum):
    """What went wrong with an object, a box, or both."""

    # of objects
    BELOW_THRESHOLD = "below threshold"
    COLLIDED = "collided with another centre"
    SUPPRESSED = "suppressed by a stronger neighbouring peak"
    NO_PEAK = "no peak at all"
    # of both
    WRONG_CLASS = "wrong class"
    POOR_SIZE = "poor size"
    POOR_OFFSET = "poor offset"
    # of boxes
    IGNORED = "in an ignore region"
    DUPLICATE = "duplicate"
    BACKGROUND = "background"


@dataclass(frozen=True)
class Objects:
    """What is really there. Boxes are xyxy in image pixels.

    Attributes:
        boxes: (n, 4).
        labels: (n,).
        cells: (n, 2) column and row of the cell that holds the centre.
        radius: (n,) of the Gaussian in the target heatmap, in cells.
    """

    boxes: NDArray
    labels: NDArray
    cells: NDArray
    radius: NDArray

    def __len__(self) -> int:
        return len(self.labels)


@dataclass(frozen=True)
class Peaks:
    """What the network found, best first, before any threshold. Boxes are xyxy in image pixels.

    Attributes:
        boxes: (k, 4).
        labels: (k,).
        cells: (k, 2) column and row.
        scores: (k,).
    """

    boxes: NDArray
    labels: NDArray
    cells: NDArray
    scores: NDArray

    def __len__(self) -> int:
        return len(self.labels)


@dataclass(frozen=True)
class Regions:
    """Where neither is right nor wrong.

    Attributes:
        boxes: (m, 4) xyxy in image pixels.
        labels: (m,), -1 for all classes.
    """

    boxes: NDArray
    labels: NDArray

    def __len__(self) -> int:
        return len(self.labels)


@dataclass(frozen=True)
class Verdict:
    """On one object or one peak.

    Attributes:
        match: of an object the peak that finds it, of a peak the object that it finds; or None.
        reason: why there is none, whatever the threshold; None where there is one.
        peak: the peak that the reason speaks of.
        object: the object that the reason speaks of.
    """

    match: int | None = None
    reason: Reason | None = None
    peak: int | None = None
    object: int | None = None

    def at(self, threshold: float, scores: NDArray) -> Reason | None:
        """Why an object is missed at a threshold, given the peaks' scores; None if it is found."""
        if self.match is not None and scores[self.match] < threshold:
            return Reason.BELOW_THRESHOLD
        return self.reason


def overlaps(boxes: NDArray, others: NDArray, *, of_box: bool = False) -> NDArray:
    """IoU (n, m) of xyxy boxes (n, 4) with others (m, 4), as in COCO's evaluation.

    With ``of_box``, the share of each box that lies in each other one instead.
    """
    if not len(boxes) or not len(others):
        return np.zeros((len(boxes), len(others)))
    as_xywh = (
        np.column_stack([b[:, :2], b[:, 2:] - b[:, :2]]).astype(float) for b in (boxes, others)
    )
    return coco_mask.iou(*as_xywh, [int(of_box)] * len(others))


def explain(
    objects: Objects, peaks: Peaks, regions: Regions, heat: NDArray | None, *, iou: float = 0.5
) -> tuple[list[Verdict], list[Verdict]]:
    """Judge every object and every peak of an image.

    Args:
        objects: what is really there.
        peaks: what was found, best first.
        regions: where nothing is judged.
        heat: (C, h, w) probabilities; None for a network without heatmaps.
        iou: overlap from which a box counts as right.

    Returns:
        A verdict for each object, and one for each peak.
    """
    scene = _Scene(objects, peaks, regions, heat, iou)
    return (
        [scene.object(i) for i in range(len(objects))],
        [scene.peak(k) for k in range(len(peaks))],
    )


class _Scene:
    def __init__(
        self,
        objects: Objects,
        peaks: Peaks,
        regions: Regions,
        heat: NDArray | None,
        iou: float,
    ) -> None:
        self.objects, self.peaks, self.heat, self.iou = objects, peaks, heat, iou
        self.overlap = overlaps(peaks.boxes, objects.boxes)
        self.same_class = peaks.labels[:, None] == objects.labels[None]
        apart = np.abs(peaks.cells[:, None] - objects.cells[None]).max(2, initial=0)
        # Where the object's target is warm.
        self.central = apart <= np.maximum(1, objects.radius)[None]
        self.near = (self.overlap >= _TOUCHES) | self.central
        self.ignored = self._in_regions(regions)
        self.found_by = self._match()
        self.finds = {k: i for i, k in self.found_by.items()}

    def _match(self) -> dict[int, int]:
        found_by: dict[int, int] = {}
        usable = np.where(self.same_class & (self.overlap >= self.iou), self.overlap, -1.0)
        for k, row in enumerate(usable):
            free = row.copy()
            free[list(found_by)] = -1
            if len(free) and free.max() >= 0:
                found_by[int(free.argmax())] = k
        return found_by

    def _in_regions(self, regions: Regions) -> NDArray[np.bool_]:
        inside = overlaps(self.peaks.boxes, regions.boxes, of_box=True) >= self.iou
        of_class = (regions.labels[None] < 0) | (regions.labels[None] == self.peaks.labels[:, None])
        return (inside & of_class).any(1)

    def object(self, i: int) -> Verdict:
        """Why object i is missed."""
        if i in self.found_by:
            return Verdict(match=self.found_by[i])
        rival = self._rival(i)
        if rival is not None:
            return Verdict(reason=Reason.COLLIDED, object=rival, peak=self.found_by[rival])
        free = np.array([k not in self.finds for k in range(len(self.peaks))], bool)
        poor = free & self.same_class[:, i] & self.near[:, i]
        wrong = free & ~self.same_class[:, i] & (self.overlap[:, i] >= self.iou)
        if (poor | wrong).any():
            k = int(np.argmax(poor | wrong))  # the best, for they are sorted
            reason = self._poor(k, i) if poor[k] else Reason.WRONG_CLASS
            return Verdict(reason=reason, peak=k)
        return self._suppressed(i) or Verdict(reason=Reason.NO_PEAK)

    def _rival(self, i: int) -> int | None:
        """A found object whose centre leaves no room for that of object i.

        A cell has one size and one offset for all classes, and of two neighbouring cells of a class
        only one can be a peak.
        """
        apart = np.abs(self.objects.cells - self.objects.cells[i]).max(1)
        same_class = self.objects.labels == self.objects.labels[i]
        rivals = (apart == 0) | ((apart == 1) & same_class)
        return next((j for j in np.flatnonzero(rivals).tolist() if j in self.found_by), None)

    def _suppressed(self, i: int) -> Verdict | None:
        """Uphill from the object's centre, where it is warm, to the peak that rules there."""
        if self.heat is None:
            return None
        heat, (x, y) = self.heat[self.objects.labels[i]], self.objects.cells[i].tolist()
        if heat[_around(x, y)].max() < _FELT:
            return None
        at = (x, y)
        while (higher := _highest(heat, *at)) != at:
            at = higher
        ruling = (self.peaks.cells == at).all(1) & (self.peaks.labels == self.objects.labels[i])
        if not ruling.any():
            return None
        k = int(np.argmax(ruling))
        return Verdict(reason=Reason.SUPPRESSED, peak=k, object=self.finds.get(k))

    def peak(self, k: int) -> Verdict:
        """Why peak k is false."""
        if k in self.finds:
            return Verdict(match=self.finds[k])
        if self.ignored[k]:
            return Verdict(reason=Reason.IGNORED)
        right_place, same_class = self.overlap[k] >= self.iou, self.same_class[k]
        better = [self.found_by.get(i, k) < k for i in range(len(same_class))]
        taken = np.array(better, bool) & same_class
        for reason, candidates in (
            (Reason.DUPLICATE, taken & right_place),
            (Reason.WRONG_CLASS, ~same_class & right_place),
            (None, ~taken & same_class & self.near[k]),
            (Reason.DUPLICATE, taken & self.central[k]),
        ):
            if candidates.any():
                i = int(np.where(candidates, self.overlap[k], -1).argmax())
                return Verdict(reason=reason or self._poor(k, i), object=i)
        return Verdict(reason=Reason.BACKGROUND)

    def _poor(self, k: int, i: int) -> Reason:
        """Whether a box overlaps an object too little for its size or for its place."""
        box, truth = self.peaks.boxes[k], self.objects.boxes[i]
        moved = _centered(_center(truth), box[2:] - box[:2])
        resized = _centered(_center(box), truth[2:] - truth[:2])
        size, place = overlaps(np.stack([moved, resized]), truth[None])[:, 0]
        return Reason.POOR_SIZE if size <= place else Reason.POOR_OFFSET


def _around(x: int, y: int) -> tuple[slice, slice]:
    """A cell and its eight neighbours."""
    return slice(max(y - 1, 0), y + 2), slice(max(x - 1, 0), x + 2)


def _highest(heat: NDArray, x: int, y: int) -> tuple[int, int]:
    """The highest of a cell and its neighbours; the cell itself if none is higher."""
    window = heat[_around(x, y)]
    if window.max() <= heat[y, x]:
        return x, y
    row, column = np.unravel_index(window.argmax(), window.shape)
    return max(x - 1, 0) + int(column), max(y - 1, 0) + int(row)


def _center(box: NDArray) -> NDArray:
    return (box[:2] + box[2:]) / 2


def _centered(center: NDArray, size: NDArray) -> NDArray:
    return np.concatenate([center - size / 2, center + size / 2])


def count_reasons(reasons: Sequence[Reason | None]) -> dict[Reason, int]:
    """How often each reason is given, the most frequent first."""
    given = [reason for reason in reasons if reason]
    return {r: given.count(r) for r in sorted(set(given), key=given.count, reverse=True)}
