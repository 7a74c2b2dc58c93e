"""Points: objects whose annotation is their center alone, without a size.

There is one representation, from the readers of datasets to the targets of training:

- A reader marks the annotation with ``"point": true``, and its ``bbox`` is [x, y, 0, 0]. Boxes of
  zero size without the mark are faults, which are dropped.
- :func:`.read_coco` keeps marked annotations, with a ``bbox`` of zero size and an ``area`` of 0.
- :func:`extend_points` gives each point a square around it, as large as a typical object, so that
  it has an extent where one is needed: for the Gaussian of its target, for the automatic input
  size, in pictures. The mark stays.
- :class:`.DetectionDataset` moves the square with the image. It is never clipped, so that its
  center stays the point; the target's ``is_point`` marks it.
- :class:`.Targets` has ``is_point``, too: heatmap and offset learn points, sizes only boxes.
"""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from centernet.data.entries import image_sides

_KEY = "point"
# Share of the longer image side that a point's automatic size does not exceed.
_MAX_SHARE = 1 / 8
_DEFAULT_SIZE = 32.0  # pixels, if neither neighbors nor image sizes are known
# The automatic size is measured on evenly spaced images, and points in each.
_MAX_IMAGES, _MAX_POINTS = 1000, 500
_CHUNK = 1 << 22  # pairs of points whose distances are computed at once

Coco = Mapping[str, list[dict[str, Any]]]


def is_point(annotation: Mapping[str, Any]) -> bool:
    """Whether an entry of ``annotations`` is a point."""
    return annotation.get(_KEY) is True


def point_entry(x: float, y: float) -> dict[str, Any]:
    """The fields of a point in an entry of ``annotations``; x and y are in image pixels."""
    return {"bbox": [x, y, 0.0, 0.0], "area": 0.0, _KEY: True}


def count_points(coco: Coco) -> int:
    """Number of points in the content of an annotation file."""
    return sum(map(is_point, coco["annotations"]))


class PointSizes(NamedTuple):
    """Sides in image pixels of the squares around points.

    Attributes:
        of_class: side by class name, for each class with boxes.
        other: side for all other classes.
        reason: why, in one sentence.
    """

    of_class: dict[str, float]
    other: float
    reason: str


def choose_point_sizes(coco: Coco, size: float | None = None) -> PointSizes:
    """Choose the extent of points: the typical size of the objects, which they do not tell.

    For a class that also has boxes, it is their median square root of the area. For all others it
    is the median distance of a point to its nearest neighbor in the image, of any class, at most an
    eighth of the longer image side. Dense objects touch their neighbors; the limit is for sparse
    ones.

    Args:
        coco: a result of :func:`.read_coco`.
        size: the side for classes without boxes, instead of the automatic one.
    """
    names = {category["id"]: str(category["name"]) for category in coco["categories"]}
    sides: dict[str, list[float]] = {}
    centers: dict[Any, list[list[float]]] = {}
    for annotation in coco["annotations"]:
        if annotation["iscrowd"]:
            continue
        x, y, width, height = annotation["bbox"]
        centers.setdefault(annotation["image_id"], []).append([x + width / 2, y + height / 2])
        if not is_point(annotation):
            own = sides.setdefault(names[annotation["category_id"]], [])
            own.append((width * height) ** 0.5)
    of_class = {name: float(np.median(own)) for name, own in sides.items()}
    if size is not None:
        return PointSizes(of_class, size, "as given by data.point_size")
    return PointSizes(of_class, *_automatic_size(coco, centers))


def _automatic_size(coco: Coco, centers: Mapping[Any, list[list[float]]]) -> tuple[float, str]:
    """The side for classes without boxes, from the centers (x, y) by image, and the reason."""
    limits = {image["id"]: _MAX_SHARE * max(image_sides(image)) for image in coco["images"]}
    keys = list(centers)[:: max(1, len(centers) // _MAX_IMAGES)]
    distances = {key: _neighbor_distances(np.array(centers[key])) for key in keys}
    bounded = [np.minimum(own, limits[key]) for key, own in distances.items()]
    known = np.concatenate([*bounded, np.empty(0)])
    known = known[np.isfinite(known) & (known > 0)]
    if not len(known):
        return _DEFAULT_SIZE, "there are no neighbors and no image sizes to choose it from"
    free = sum(int((own > limits[key]).sum()) for key, own in distances.items())
    if 2 * free > len(known):
        reason = "an eighth of the longer image side, since neighbors are farther apart"
    else:
        reason = "the median distance of neighbors"
    return float(np.median(known)), reason


def _neighbor_distances(centers: NDArray[np.float64]) -> NDArray[np.float64]:
    """Distances (m,) of some of the centers (n, 2) to the nearest other one; infinite for n = 1."""
    chosen = np.arange(0, len(centers), max(1, len(centers) // _MAX_POINTS))
    nearest = [np.empty(0)]
    for part in np.array_split(chosen, -(-len(chosen) * len(centers) // _CHUNK)):
        dx, dy = (centers[part, None, axis] - centers[None, :, axis] for axis in range(2))
        squared = dx * dx + dy * dy
        squared[np.arange(len(part)), part] = np.inf
        nearest.append(squared.min(1))
    return np.sqrt(np.concatenate(nearest))


def extend_points(
    coco: Coco, sizes: PointSizes | float | None = None
) -> dict[str, list[dict[str, Any]]]:
    """The content of an annotation file with a square as ``bbox`` of each point.

    Args:
        coco: a result of :func:`.read_coco`, which is not modified.
        sizes: sides of the squares; a number is that of classes without boxes; by default they are
            chosen from the content.
    """
    if not any(map(is_point, coco["annotations"])):
        return dict(coco)
    if not isinstance(sizes, PointSizes):
        sizes = choose_point_sizes(coco, sizes)
    names = {category["id"]: str(category["name"]) for category in coco["categories"]}
    extended = []
    for annotation in coco["annotations"]:
        if is_point(annotation):
            x, y, width, height = annotation["bbox"]
            side = sizes.of_class.get(names[annotation["category_id"]], sizes.other)
            box = [x + (width - side) / 2, y + (height - side) / 2, side, side]
            annotation = annotation | {"bbox": box, "area": side * side}
        extended.append(annotation)
    return {**coco, "annotations": extended}


def sizes_without_boxes(coco: Coco, class_names: Sequence[str]) -> tuple[float | None, ...] | None:
    """The side in image pixels of the points of each class that has no boxes, by label.

    Args:
        coco: a result of :func:`extend_points`.
        class_names: class names by label.

    Returns:
        None for a class with boxes or without objects; None for all if there is no such class.
    """
    if not any(map(is_point, coco["annotations"])):
        return None
    names = {category["id"]: str(category["name"]) for category in coco["categories"]}
    of_points: dict[str, float] = {}
    with_boxes: set[str] = set()
    for annotation in coco["annotations"]:
        name = names[annotation["category_id"]]
        if is_point(annotation):
            of_points[name] = annotation["bbox"][2]
        elif not annotation["iscrowd"]:
            with_boxes.add(name)
    sizes = tuple(None if name in with_boxes else of_points.get(name) for name in class_names)
    return sizes if any(sizes) else None


def keep_points(
    boxes: NDArray[np.float32],
    clipped: NDArray[np.float32],
    visible: NDArray[np.bool_],
    points: NDArray[np.bool_],
    size: tuple[int, int],
) -> None:
    """Undo the clipping of the squares of points; a point is visible if it is inside the input.

    Args:
        boxes: (n, 4) xyxy in pixels of the input.
        clipped: (n, 4) the same clipped to the input, changed in place.
        visible: (n,) changed in place.
        points: (n,) which boxes are squares of points.
        size: (height, width) of the input in pixels.
    """
    clipped[points] = boxes[points]
    center = (boxes[points, :2] + boxes[points, 2:]) / 2
    visible[points] = ((center >= 0) & (center <= np.array(size[::-1]))).all(1)
