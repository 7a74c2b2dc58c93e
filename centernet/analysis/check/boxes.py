"""Findings about boxes, computed for all boxes of a split at once."""

from collections.abc import Iterator
from itertools import islice

import numpy as np
from numpy.typing import NDArray

from centernet.analysis.check.split_arrays import SplitArrays
from centernet.data.entries import MAX_PIXELS

# Two boxes of one class with a higher IoU are one object labeled twice.
SAME_OBJECT_IOU = 0.9
_EDGE_TOLERANCE = 2.0  # pixels by which a box may exceed the image; annotations are often rounded
_ROUNDING = 0.01  # pixels; less is lost by the digits of a format
_THIN = 8.0
_MAX_COMPARISONS, _MAX_PAIRS = 20_000_000, 200_000
# Share of a split's boxes that must fit another convention before that is reported.
_MIN_SHARE = 0.9


def check_boxes(arrays: SplitArrays) -> None:
    """Add findings about boxes, and set ``usable``: the boxes that training keeps.

    Like training, this decides whether a box is inside its image by the annotated image size, and
    by the size of the file only where the annotations give none.
    """
    with np.errstate(invalid="ignore"):
        known = (arrays.image >= 0) & (arrays.label >= 0)
        x, y, w, h = arrays.boxes.T
        size = np.full((len(known), 2), np.nan)
        size[known] = arrays.training_sizes[arrays.image[known]]
        height, width = np.where(np.isnan(size), np.inf, size).T
        finite = (np.abs(arrays.boxes) <= MAX_PIXELS).all(1)
        empty = finite & ((w <= 0) | (h <= 0))
        outside = finite & ~empty & ((x >= width) | (y >= height) | (x + w <= 0) | (y + h <= 0))
        center_x, center_y = x + w / 2, y + h / 2
        is_away = (center_x < 0) | (center_y < 0) | (center_x > width) | (center_y > height)
        outside = np.where(arrays.point, finite & is_away, outside)
        arrays.usable = known & finite & ~empty & ~outside
        excess = np.max([-x, -y, x + w - width, y + h - height], axis=0, initial=-np.inf)
        excess = np.where(arrays.objects & ~arrays.point, excess, 0)
    for kind, found in (
        ("box-not-finite", ~arrays.malformed & ~finite),
        ("box-zero", empty),
        ("box-outside", outside & known),
    ):
        arrays.add_each(kind, np.flatnonzero(found), lambda i: format_box(arrays, i))
    if _are_normalized(arrays) or _are_corners(arrays):
        return
    arrays.add_each(
        "box-reaches-over",
        np.flatnonzero(excess > _EDGE_TOLERANCE),
        lambda i: f"{format_box(arrays, i)} exceeds the image by {excess[i]:.0f} pixels",
    )
    slight = np.flatnonzero((excess > _ROUNDING) & (excess <= _EDGE_TOLERANCE))
    if len(slight):
        first = format_box(arrays, slight[0])
        what = f"{len(slight)} boxes exceed their image by up to {excess[slight].max():.2g} pixels"
        arrays.add("box-at-edge", f"{what}, such as {first}", annotation=int(slight[0]))
    _check_thin(arrays)
    _check_duplicates(arrays)


def format_box(arrays: SplitArrays, annotation: int) -> str:
    """Class name and box of an annotation, for messages."""
    numbers = ", ".join(f"{value:.5g}" for value in arrays.boxes[annotation])
    return f"{arrays.name(annotation)} [{numbers}]"


def _are_normalized(arrays: SplitArrays) -> bool:
    """Whether all boxes are fractions of the image size; adds the finding."""
    boxes = arrays.boxes[arrays.usable & ~arrays.region]
    if not len(boxes) or (boxes[:, :2] + boxes[:, 2:]).max() > 1.01:
        return False
    if not (np.nanmax(arrays.training_sizes, initial=0) > 2):
        return False
    first = ", ".join(f"{value:.3g}" for value in boxes[0])
    arrays.add("boxes-are-normalized", f"all {len(boxes)} boxes are within 0..1, such as [{first}]")
    return True


def _are_corners(arrays: SplitArrays) -> bool:
    """Whether many boxes exceed their images, but fit as corners; adds the finding."""
    known = (arrays.image >= 0) & np.isfinite(arrays.boxes).all(1) & ~arrays.point
    chosen = np.flatnonzero(known)
    boxes = arrays.boxes[chosen]
    size = arrays.training_sizes[arrays.image[chosen]][:, ::-1]
    exceeds = (boxes[:, :2] + boxes[:, 2:] > size + _EDGE_TOLERANCE).any(1)
    fits = ((boxes[:, 2:] > boxes[:, :2]) & (boxes[:, 2:] <= size + _EDGE_TOLERANCE)).all(1)
    if len(chosen) < 5 or exceeds.mean() < 0.2 or fits.mean() < _MIN_SHARE:
        return False
    what = (
        f"{int(exceeds.sum())} of {len(chosen)} boxes exceed their image, but {int(fits.sum())} "
        "fit as left, top, right, bottom"
    )
    arrays.add("boxes-are-corners", what, annotation=int(chosen[np.argmax(exceeds)]))
    return True


def _check_thin(arrays: SplitArrays) -> None:
    w, h = np.where(arrays.objects[:, None], arrays.boxes[:, 2:], 1).T
    ratio = np.maximum(w / h, h / w)
    arrays.add_each(
        "box-thin",
        np.flatnonzero(ratio > _THIN),
        lambda i: f"{format_box(arrays, i)} has an aspect ratio of {ratio[i]:.0f}",
    )


def _check_duplicates(arrays: SplitArrays) -> None:
    chosen = np.flatnonzero(arrays.objects)
    boxes = arrays.boxes[chosen]
    corners = np.hstack([boxes[:, :2], boxes[:, :2] + boxes[:, 2:]])
    pairs = near_duplicates(corners, arrays.image[chosen])
    for first, second, iou in islice(pairs, _MAX_PAIRS):
        a, b = sorted((int(chosen[first]), int(chosen[second])))
        same = arrays.label[a] == arrays.label[b]
        other = f"annotation {arrays.ids[a]}"
        other += "" if same else f" ({arrays.name(a)})"
        arrays.add(
            "box-duplicate" if same else "box-two-classes",
            f"{format_box(arrays, b)} has IoU {iou:.2f} with {other}",
            annotation=b,
        )


def near_duplicates(boxes: NDArray, group: NDArray) -> Iterator[tuple[int, int, float]]:
    """Pairs of boxes of one group with an IoU of at least ``SAME_OBJECT_IOU``.

    Such boxes have similar left edges. So boxes are sorted by left edge, and each is compared with
    the next one, then with the one after that, and so on, while any pair is close enough. Equal
    boxes are paired with the first of them only. The search stops after ``_MAX_COMPARISONS``, which
    no real dataset reaches.

    Args:
        boxes: (n, 4) xyxy.
        group: (n,) boxes of different groups are never paired.

    Yields:
        Index of each box of a pair, and their IoU.
    """
    order = np.lexsort((*boxes.T[::-1], group))
    boxes, group = boxes[order], group[order]
    is_new = np.ones(len(boxes), bool)
    is_new[1:] = (boxes[1:] != boxes[:-1]).any(1) | (group[1:] != group[:-1])
    first = np.maximum.accumulate(np.where(is_new, np.arange(len(boxes)), 0))
    for i in np.flatnonzero(~is_new):
        yield int(order[first[i]]), int(order[i]), 1.0
    order, boxes, group = order[is_new], boxes[is_new], group[is_new]
    max_left = boxes[:, 0] + (1 - SAME_OBJECT_IOU) * (boxes[:, 2] - boxes[:, 0])
    here = np.arange(len(boxes))
    comparisons = 0
    for step in range(1, len(boxes)):
        here = here[here + step < len(boxes)]
        near = group[here] == group[here + step]
        near &= boxes[here + step, 0] <= max_left[here]
        here = here[near]
        there = here + step
        comparisons += len(here)
        if not len(here) or comparisons > _MAX_COMPARISONS:
            return
        iou = _paired_iou(boxes[here], boxes[there])
        for i in np.flatnonzero(iou >= SAME_OBJECT_IOU):
            yield int(order[here[i]]), int(order[there[i]]), float(iou[i])


def _paired_iou(boxes: NDArray, others: NDArray) -> NDArray:
    """IoU (n,) of xyxy boxes (n, 4), each with the box of the same index."""
    low = np.maximum(boxes[:, :2], others[:, :2])
    high = np.minimum(boxes[:, 2:], others[:, 2:])
    intersection = (high - low).clip(0).prod(1)
    areas = (boxes[:, 2:] - boxes[:, :2]).prod(1) + (others[:, 2:] - others[:, :2]).prod(1)
    return intersection / (areas - intersection)
