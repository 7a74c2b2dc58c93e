"""What is wrong with boxes, all of a split at once."""

from collections.abc import Iterator
from itertools import islice

import numpy as np
from numpy.typing import NDArray

from centernet.analysis.check.content import Content
from centernet.data.entries import MAX_PIXELS

# Two boxes of one class that overlap more are one object labelled twice.
SAME_OBJECT_IOU = 0.9
# A box may reach over the edge by so many pixels: annotations are often rounded.
_SLACK = 2.0
_THIN = 8.0
_MOST_COMPARED, _MOST_PAIRS = 20_000_000, 200_000
# So many of a split's boxes must look like another convention before that is said.
_MOST = 0.9


def check_boxes(content: Content) -> None:
    """Note what is wrong with each box, and which ones training keeps."""
    with np.errstate(invalid="ignore"):
        known = (content.image >= 0) & (content.label >= 0)
        x, y, w, h = content.boxes.T
        size = np.full((len(known), 2), np.nan)
        size[known] = content.sizes[content.image[known]]
        height, width = np.where(np.isnan(size), np.inf, size).T
        finite = (np.abs(content.boxes) <= MAX_PIXELS).all(1)
        empty = finite & ((w <= 0) | (h <= 0))
        outside = finite & ~empty & ((x >= width) | (y >= height) | (x + w <= 0) | (y + h <= 0))
        content.usable = known & finite & ~empty & ~outside
        over = np.max([-x, -y, x + w - width, y + h - height], axis=0, initial=-np.inf)
        over = np.where(content.usable & ~content.region, over, 0)
    for kind, found in (
        ("box-not-finite", ~content.malformed & ~finite),
        ("box-zero", empty),
        ("box-outside", outside & known),
    ):
        content.add_each(kind, np.flatnonzero(found), lambda i: shown(content, i))
    if _normalised(content) or _corners(content):
        return
    content.add_each(
        "box-reaches-over",
        np.flatnonzero(over > _SLACK),
        lambda i: f"{shown(content, i)} reaches {over[i]:.0f} pixels over",
    )
    _check_thin(content)
    _check_twice(content)


def shown(content: Content, annotation: int) -> str:
    """Class and box of an annotation, in words."""
    numbers = ", ".join(f"{value:.5g}" for value in content.boxes[annotation])
    return f"{content.name(annotation)} [{numbers}]"


def _normalised(content: Content) -> bool:
    boxes = content.boxes[content.usable & ~content.region]
    if not len(boxes) or (boxes[:, :2] + boxes[:, 2:]).max() > 1.01:
        return False
    if not (np.nanmax(content.sizes, initial=0) > 2):
        return False
    what = f"all {len(boxes)} boxes lie within 0..1, as [{', '.join(f'{v:.3g}' for v in boxes[0])}]"
    content.add("boxes-are-normalised", what)
    return True


def _corners(content: Content) -> bool:
    """Whether boxes, of which many reach over the edge, fit their images as corners."""
    chosen = np.flatnonzero((content.image >= 0) & np.isfinite(content.boxes).all(1))
    boxes, size = content.boxes[chosen], content.sizes[content.image[chosen]][:, ::-1]
    over = (boxes[:, :2] + boxes[:, 2:] > size + _SLACK).any(1)
    fits = ((boxes[:, 2:] > boxes[:, :2]) & (boxes[:, 2:] <= size + _SLACK)).all(1)
    if len(chosen) < 5 or over.mean() < 0.2 or fits.mean() < _MOST:
        return False
    what = (
        f"{int(over.sum())} of {len(chosen)} boxes reach over the edge, but {int(fits.sum())} fit "
        "as left, top, right, bottom"
    )
    content.add("boxes-are-corners", what, annotation=int(chosen[np.argmax(over)]))
    return True


def _check_thin(content: Content) -> None:
    w, h = np.where(content.objects[:, None], content.boxes[:, 2:], 1).T
    ratio = np.maximum(w / h, h / w)
    content.add_each(
        "box-thin",
        np.flatnonzero(ratio > _THIN),
        lambda i: f"{shown(content, i)} is {ratio[i]:.0f} times as long as wide",
    )


def _check_twice(content: Content) -> None:
    chosen = np.flatnonzero(content.objects)
    boxes = content.boxes[chosen]
    corners = np.hstack([boxes[:, :2], boxes[:, :2] + boxes[:, 2:]])
    for first, second, overlap in islice(alike(corners, content.image[chosen]), _MOST_PAIRS):
        a, b = sorted((int(chosen[first]), int(chosen[second])))
        same = content.label[a] == content.label[b]
        other = f"annotation {content.ids[a]}"
        other += "" if same else f" ({content.name(a)})"
        content.add(
            "box-duplicate" if same else "box-two-classes",
            f"{shown(content, b)} overlaps {other} by {overlap:.2f}",
            annotation=b,
        )


def alike(boxes: NDArray, group: NDArray) -> Iterator[tuple[int, int, float]]:
    """Pairs of xyxy boxes (n, 4) of one group whose overlap is at least ``SAME_OBJECT_IOU``.

    Boxes that overlap so much begin near each other: of boxes in order of their left edges each is
    compared with the next, the one after that, and so on while any still begins near enough. Of
    equal boxes each is paired with the first alone. After ``_MOST_COMPARED`` comparisons, which no
    real dataset needs, the rest is left out.
    """
    order = np.lexsort((*boxes.T[::-1], group))
    boxes, group = boxes[order], group[order]
    is_new = np.ones(len(boxes), bool)
    is_new[1:] = (boxes[1:] != boxes[:-1]).any(1) | (group[1:] != group[:-1])
    first = np.maximum.accumulate(np.where(is_new, np.arange(len(boxes)), 0))
    for i in np.flatnonzero(~is_new):
        yield int(order[first[i]]), int(order[i]), 1.0
    order, boxes, group = order[is_new], boxes[is_new], group[is_new]
    reach = boxes[:, 0] + (1 - SAME_OBJECT_IOU) * (boxes[:, 2] - boxes[:, 0])
    here = np.arange(len(boxes))
    compared = 0
    for step in range(1, len(boxes)):
        here = here[here + step < len(boxes)]
        there = here + step
        near = (group[here] == group[there]) & (boxes[there, 0] <= reach[here])
        here, there = here[near], there[near]
        compared += len(here)
        if not len(here) or compared > _MOST_COMPARED:
            return
        low, high = (
            f(boxes[here][:, part], boxes[there][:, part])
            for f, part in ((np.maximum, slice(0, 2)), (np.minimum, slice(2, 4)))
        )
        inside = (high - low).clip(0).prod(1)
        areas = [(boxes[i, 2:] - boxes[i, :2]).prod(1) for i in (here, there)]
        overlap = inside / (areas[0] + areas[1] - inside)
        for i in np.flatnonzero(overlap >= SAME_OBJECT_IOU):
            yield int(order[here[i]]), int(order[there[i]]), float(overlap[i])
