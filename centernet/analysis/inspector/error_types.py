"""Error types: why an object is missed, and why a detection is a false positive.

Peaks are matched to objects as in COCO evaluation: in order of score, each peak takes the free
object of its class with the highest IoU, if that reaches the given IoU. So the match of a peak does
not depend on a score threshold: raising the threshold only removes the last peaks. Matching is
therefore done once, and :meth:`Match.error_at` applies the threshold.

The error types follow TIDE (Bolya et al., 2020), with types that are specific to heatmaps.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

import numpy as np
from numpy.typing import NDArray

from centernet.analysis.inspector.overlaps import box_overlaps, match_greedily

# Below this IoU a box is unrelated to an object (background threshold of TIDE).
_MIN_IOU = 0.1
# Initial heatmap probability (bias prior); lower values are background.
_MIN_HEAT = 0.1


class ErrorType(StrEnum):
    """Why an object is missed, or why a detection is a false positive."""

    # of objects
    BELOW_THRESHOLD = "score below threshold"
    COLLIDED = "center collision"
    SUPPRESSED = "suppressed by a stronger peak"
    NO_PEAK = "no peak"
    # of both
    WRONG_CLASS = "wrong class"
    POOR_SIZE = "poor size"
    POOR_OFFSET = "poor offset"
    # of detections
    IGNORED = "in an ignore region"
    DUPLICATE = "duplicate"
    BACKGROUND = "background"


@dataclass(frozen=True)
class Objects:
    """The ground truth of an image. Boxes are xyxy in image pixels.

    Attributes:
        boxes: (n, 4).
        labels: (n,).
        cells: (n, 2) column and row of the cell that holds the center.
        radius: (n,) radius of the Gaussian in the target heatmap, in cells.
    """

    boxes: NDArray
    labels: NDArray
    cells: NDArray
    radius: NDArray

    def __len__(self) -> int:
        return len(self.labels)


@dataclass(frozen=True)
class Peaks:
    """The peaks of an image with their boxes, best first. Boxes are xyxy in image pixels.

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
    """The ignore regions of an image: detections in them are neither right nor wrong.

    Attributes:
        boxes: (m, 4) xyxy in image pixels.
        labels: (m,), -1 for all classes.
    """

    boxes: NDArray
    labels: NDArray

    def __len__(self) -> int:
        return len(self.labels)


@dataclass(frozen=True)
class Match:
    """The match of an object or a peak, or the reason why it has no match.

    Attributes:
        index: for an object, the peak that detects it; for a peak, the object that it detects;
            None without a match.
        error: why there is no match, at any threshold; None for a match.
        peak: index of the peak that the error refers to.
        object: index of the object that the error refers to.
    """

    index: int | None = None
    error: ErrorType | None = None
    peak: int | None = None
    object: int | None = None

    def error_at(self, threshold: float, scores: NDArray) -> ErrorType | None:
        """Why an object is missed at a score threshold; None if it is detected.

        Args:
            threshold: detections with a lower score are dropped.
            scores: (k,) of the image's peaks.
        """
        if self.index is not None and scores[self.index] < threshold:
            return ErrorType.BELOW_THRESHOLD
        return self.error


def classify_errors(
    objects: Objects,
    peaks: Peaks,
    regions: Regions,
    heat: NDArray | None,
    *,
    iou: float = 0.5,
    overlap: NDArray | None = None,
) -> tuple[list[Match], list[Match]]:
    """Match objects and peaks of an image, and find the error type of each without a match.

    Args:
        objects: the ground truth.
        peaks: best first.
        regions: ignore regions.
        heat: (C, h, w) predicted probabilities; None for a network without heatmaps.
        iou: minimum IoU of a correct detection.
        overlap: (k, n) of peaks and objects; by default the IoU of their boxes.

    Returns:
        A match for each object, and a match for each peak.
    """
    if overlap is None:
        overlap = box_overlaps(peaks.boxes, objects.boxes)
    matcher = _Matcher(objects, peaks, regions, heat, iou, overlap)
    return (
        [matcher.match_object(i) for i in range(len(objects))],
        [matcher.match_peak(k) for k in range(len(peaks))],
    )


class _Matcher:
    """Objects and peaks of one image, with their pairwise relations."""

    def __init__(
        self,
        objects: Objects,
        peaks: Peaks,
        regions: Regions,
        heat: NDArray | None,
        iou: float,
        overlap: NDArray,
    ) -> None:
        self.objects, self.peaks, self.heat, self.iou = objects, peaks, heat, iou
        self.overlap = overlap
        self.same_class = peaks.labels[:, None] == objects.labels[None]
        distance = np.abs(peaks.cells[:, None] - objects.cells[None]).max(2, initial=0)
        # The peak is inside the Gaussian of the object's target.
        self.central = distance <= np.maximum(1, objects.radius)[None]
        self.near = (self.overlap >= _MIN_IOU) | self.central
        self.ignored = self._in_regions(regions)
        self.peak_of = match_greedily(self.overlap, self.same_class, iou)
        self.object_of = {k: i for i, k in self.peak_of.items()}

    def _in_regions(self, regions: Regions) -> NDArray[np.bool_]:
        inside = box_overlaps(self.peaks.boxes, regions.boxes, is_crowd=True) >= self.iou
        of_class = (regions.labels[None] < 0) | (regions.labels[None] == self.peaks.labels[:, None])
        return (inside & of_class).any(1)

    def match_object(self, i: int) -> Match:
        """The peak that detects object i, or why it is missed."""
        if i in self.peak_of:
            return Match(index=self.peak_of[i])
        rival = self._rival(i)
        if rival is not None:
            return Match(error=ErrorType.COLLIDED, object=rival, peak=self.peak_of[rival])
        free = np.array([k not in self.object_of for k in range(len(self.peaks))], bool)
        poor = free & self.same_class[:, i] & self.near[:, i]
        wrong = free & ~self.same_class[:, i] & (self.overlap[:, i] >= self.iou)
        if (poor | wrong).any():
            k = int(np.argmax(poor | wrong))  # the peak with the highest score
            return Match(error=self._poor(k, i) if poor[k] else ErrorType.WRONG_CLASS, peak=k)
        return self._suppressed(i) or Match(error=ErrorType.NO_PEAK)

    def _rival(self, i: int) -> int | None:
        """A detected object whose center prevents a peak for object i.

        A cell has one size and one offset for all classes, and of two neighboring cells of one
        class only one can be a peak.
        """
        distance = np.abs(self.objects.cells - self.objects.cells[i]).max(1)
        same_class = self.objects.labels == self.objects.labels[i]
        rivals = (distance == 0) | ((distance == 1) & same_class)
        return next((j for j in np.flatnonzero(rivals).tolist() if j in self.peak_of), None)

    def _suppressed(self, i: int) -> Match | None:
        """The peak that is reached by climbing the heatmap from the object's center."""
        if self.heat is None:
            return None
        heat, (x, y) = self.heat[self.objects.labels[i]], self.objects.cells[i].tolist()
        if heat[_window(x, y)].max() < _MIN_HEAT:
            return None
        at = (x, y)
        while (higher := _highest_neighbor(heat, *at)) != at:
            at = higher
        is_top = (self.peaks.cells == at).all(1) & (self.peaks.labels == self.objects.labels[i])
        if not is_top.any():
            return None
        k = int(np.argmax(is_top))
        return Match(error=ErrorType.SUPPRESSED, peak=k, object=self.object_of.get(k))

    def match_peak(self, k: int) -> Match:
        """The object that peak k detects, or why it is a false positive."""
        if k in self.object_of:
            return Match(index=self.object_of[k])
        if self.ignored[k]:
            return Match(error=ErrorType.IGNORED)
        fits, same_class = self.overlap[k] >= self.iou, self.same_class[k]
        better = [self.peak_of.get(i, k) < k for i in range(len(same_class))]
        taken = np.array(better, bool) & same_class
        for error, candidates in (
            (ErrorType.DUPLICATE, taken & fits),
            (ErrorType.WRONG_CLASS, ~same_class & fits),
            (None, ~taken & same_class & self.near[k]),
            (ErrorType.DUPLICATE, taken & self.central[k]),
        ):
            if candidates.any():
                i = int(np.where(candidates, self.overlap[k], -1).argmax())
                return Match(error=error or self._poor(k, i), object=i)
        return Match(error=ErrorType.BACKGROUND)

    def _poor(self, k: int, i: int) -> ErrorType:
        """Whether size or position reduces the IoU of a box with an object more."""
        box, truth = self.peaks.boxes[k], self.objects.boxes[i]
        moved = _box_around(_center(truth), box[2:] - box[:2])
        resized = _box_around(_center(box), truth[2:] - truth[:2])
        with_own_size, with_own_center = box_overlaps(np.stack([moved, resized]), truth[None])[:, 0]
        is_size = with_own_size <= with_own_center
        return ErrorType.POOR_SIZE if is_size else ErrorType.POOR_OFFSET


def _window(x: int, y: int) -> tuple[slice, slice]:
    """A cell and its eight neighbors."""
    return slice(max(y - 1, 0), y + 2), slice(max(x - 1, 0), x + 2)


def _highest_neighbor(heat: NDArray, x: int, y: int) -> tuple[int, int]:
    """The highest of a cell and its neighbors; the cell itself if none is higher."""
    window = heat[_window(x, y)]
    if window.max() <= heat[y, x]:
        return x, y
    row, column = np.unravel_index(window.argmax(), window.shape)
    return max(x - 1, 0) + int(column), max(y - 1, 0) + int(row)


def _center(box: NDArray) -> NDArray:
    return (box[:2] + box[2:]) / 2


def _box_around(center: NDArray, size: NDArray) -> NDArray:
    return np.concatenate([center - size / 2, center + size / 2])


def count_errors(errors: Sequence[ErrorType | None]) -> dict[ErrorType, int]:
    """Number of errors by type, the most frequent type first."""
    given = [error for error in errors if error]
    return {e: given.count(e) for e in sorted(set(given), key=given.count, reverse=True)}
