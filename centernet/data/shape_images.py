"""Draw the images of the shapes dataset.

Circles, rectangles, triangles and stars lie on textured backgrounds among thin lines and crosses.
"""

from typing import Any

import cv2
import numpy as np
from numpy.typing import ArrayLike, NDArray
from pycocotools import mask as coco_mask

CATEGORY_IDS = {"circle": 1, "rectangle": 3, "triangle": 5, "star": 9}
CROWD_RATES = {"train": 0.06, "val": 0.08}
_CORNERS = {"circle": 64, "rectangle": 4, "triangle": 3, "star": 10}
_EMPTY_RATE = 0.02
_EXTENTS = (0.2, 0.5)  # longer side of an object's box, in image sides
_TILT = 0.3  # largest rotation of an object, in radians
_MIN_INSIDE = 0.8  # fraction of an object's area that lies inside the image
_MIN_VISIBLE = 0.6  # fraction of that area that later objects leave uncovered
_MAX_IOU = 0.3

Points = NDArray[np.floating[Any]]


def draw_image(
    rng: np.random.Generator, size: int = 128, *, crowd_rate: float = CROWD_RATES["train"]
) -> tuple[NDArray[np.uint8], list[dict[str, Any]]]:
    """Draw one image: up to 6 objects, or none, and a crowd with probability ``crowd_rate``.

    Args:
        rng: source of all randomness.
        size: height and width in pixels.
        crowd_rate: probability of a crowd.

    Returns:
        The image (size, size, 3) RGB, and COCO annotations without ids: ``category_id``, ``bbox``
        (xywh in pixels), ``area``, ``iscrowd``, ``segmentation``. They describe the part of an
        object inside the image, including parts that a later object hides.
    """
    scene = _Scene(rng, size)
    if rng.random() >= _EMPTY_RATE:
        if rng.random() < crowd_rate:
            scene.add_crowd()
        for _ in range(rng.integers(1, 7)):
            scene.add_object()
    pixels = scene.pixels
    if rng.random() < 0.3:
        blur = size / 128 * rng.uniform(0.4, 0.9)
        pixels = np.asarray(cv2.GaussianBlur(pixels, (0, 0), blur), np.float32)
    noise = rng.uniform(2, 8) * rng.standard_normal(pixels.shape, np.float32)
    return np.clip(np.round(pixels + noise), 0, 255).astype(np.uint8), scene.annotations


def _background(rng: np.random.Generator, size: int) -> NDArray[np.uint8]:
    """Two muted colors mixed by a pattern, with a few lines and crosses; RGB."""
    y, x = 2 * np.pi * rng.uniform(3, 9) * np.mgrid[:size, :size].astype(np.float32) / size
    cos, sin = _direction(rng.uniform(0, np.pi))
    along, across = np.sin(x * cos + y * sin), np.sin(y * cos - x * sin)
    knots = rng.uniform(-2, 2, (rng.choice([2, 9]),) * 2)
    smooth = cv2.resize(knots, (size, size), interpolation=cv2.INTER_CUBIC)
    patterns = [smooth, smooth, np.tanh(4 * along), np.tanh(8 * along * across)]
    middle = rng.uniform(60, 195) + rng.uniform(-30, 30, 3)
    contrast = rng.uniform(-15, 15) + rng.uniform(-10, 10, 3)
    image = middle + patterns[rng.integers(4)][..., None] * contrast
    image = np.clip(np.round(image), 0, 255).astype(np.uint8)
    for _ in range(rng.integers(0, 5)):
        start, end, color = (rng.integers(0, high, 3).tolist() for high in (size, size, 256))
        width, arm = max(1, size // 128), size // int(rng.integers(7, 17))
        if rng.random() < 0.5:
            cv2.line(image, start[:2], end[:2], color, width, cv2.LINE_AA)
        else:
            cv2.drawMarker(image, start[:2], color, int(rng.integers(2)), arm, width, cv2.LINE_AA)
    return image


class _Scene:
    """The objects of one image, painted on ``pixels`` in the order of ``annotations``."""

    def __init__(self, rng: np.random.Generator, size: int) -> None:
        self.rng, self.size = rng, size
        self.pixels = _background(rng, size).astype(np.float32)
        self.annotations: list[dict[str, Any]] = []
        self.top = np.zeros((size, size), np.uint8)  # topmost object, from 1; 0: none

    def add_object(self) -> None:
        """Add one object where there is room; after 40 failed tries, add none."""
        for _ in range(40):
            name = str(self.rng.choice(list(CATEGORY_IDS)))
            extent = self.size * np.exp(self.rng.uniform(*np.log(_EXTENTS)))
            full = _polygon(self.rng, name, self.rng.uniform(0, self.size, 2), extent)
            inside = _clip(full, self.size)
            if cv2.contourArea(inside) < _MIN_INSIDE * cv2.contourArea(full):
                continue
            annotation, mask = _annotation(name, inside), _cover(full, self.size) > 0.5
            if self.has_room(annotation["bbox"], mask):
                self.paint(full)
                self.annotations.append(annotation)
                self.top[mask] = len(self.annotations)
                return

    def add_crowd(self) -> None:
        """Add a cluster of small shapes, annotated as one crowd."""
        rng, size = self.rng, self.size
        name = str(rng.choice(list(CATEGORY_IDS)))
        radius = size * rng.uniform(0.15, 0.22)
        middle = rng.uniform(radius, size - radius, 2)
        polygons = []
        for _ in range(rng.integers(20, 36)):
            step = radius * np.sqrt(rng.random()) * _direction(rng.uniform(0, 2 * np.pi))
            polygons.append(_polygon(rng, name, middle + step, size * rng.uniform(0.05, 0.075)))
            self.paint(polygons[-1], outline_rate=0)
        points = np.concatenate(polygons)
        hull = _clip(np.asarray(cv2.convexHull(points), np.float32)[:, 0], size)
        mask = _cover(hull, size) > 0.5
        annotation = _annotation(name, hull) | {"iscrowd": 1}
        if rng.random() < 0.7:
            runs = np.flatnonzero(np.diff(mask.ravel(order="F").astype(int), prepend=0, append=2))
            counts = np.diff(runs, prepend=0).tolist()  # down the columns, zeros first
            annotation["segmentation"] = {"counts": counts, "size": [size, size]}
        self.annotations.append(annotation)
        self.top[mask] = len(self.annotations)

    def has_room(self, bbox: list[float], mask: NDArray[np.bool_]) -> bool:
        """Whether all earlier objects stay recognizable beside a new one."""
        visible = np.bincount(self.top[~mask], minlength=len(self.annotations) + 1)[1:]
        return all(
            pixels >= _MIN_VISIBLE * other["area"]
            and coco_mask.iou([bbox], [other["bbox"]], [0]) <= _MAX_IOU
            for pixels, other in zip(visible, self.annotations, strict=True)
        )

    def paint(self, polygon: Points, outline_rate: float = 0.35) -> None:
        """Fill a polygon with a color unlike those at its corners, sometimes with an outline."""
        x, y = np.clip(polygon.astype(int), 0, self.size - 1).T
        avoid, middle = self.pixels[y, x], polygon.mean(0)
        for scale in (1, 0.8)[: 1 + (self.rng.random() < outline_rate)]:
            colors = self.rng.uniform(0, 255, (16, 3)).astype(np.float32)
            gaps = np.linalg.norm(colors[:, None] - avoid, axis=2).min(1)
            color = colors[np.argmax(np.minimum(gaps, 100))]  # the first that differs enough
            avoid = np.concatenate([avoid, color[None]])
            cover = _cover(middle + scale * (polygon - middle), self.size)
            behind = self.pixels[cover > 0]
            self.pixels[cover > 0] += cover[cover > 0][:, None] * (color - behind)


def _direction(angle: ArrayLike) -> NDArray[np.float64]:
    """Unit vectors (..., 2) of angles (...) in radians."""
    return np.stack([np.cos(angle), np.sin(angle)], -1)


def _polygon(
    rng: np.random.Generator, name: str, center: NDArray[np.float64], extent: float
) -> Points:
    """Corners (P, 2) of a shape whose box has its middle at ``center`` and is ``extent`` long."""
    points = _direction(2 * np.pi * (np.arange(_CORNERS[name]) + 0.5) / _CORNERS[name])
    angle = rng.uniform(-_TILT, _TILT)
    if name == "rectangle":
        points[:, 1] *= rng.uniform(0.4, 0.9)
        angle = rng.choice([0, np.pi / 2, angle], p=[0.25, 0.25, 0.5])
    elif name == "triangle":
        points[:, 1] *= rng.uniform(0.8, 1.2)
    elif name == "star":
        points[::2] *= rng.uniform(0.38, 0.48)
    points = points @ _direction(np.array([angle, angle + np.pi / 2]))
    points -= (points.min(0) + points.max(0)) / 2
    return (center + points * extent / np.ptp(points, axis=0).max()).astype(np.float32)


def _clip(polygon: Points, size: int) -> Points:
    """The part of a polygon (P, 2) inside the image, by the Sutherland-Hodgman algorithm."""
    for axis, edge, sign in ((0, 0, 1), (0, size, -1), (1, 0, 1), (1, size, -1)):
        depth, following = sign * (polygon[:, axis] - edge), np.roll(polygon, -1, 0)
        next_depth = np.roll(depth, -1)
        crosses = depth * next_depth < 0
        part = depth / np.where(crosses, depth - next_depth, 1)
        crossings = polygon + part[:, None] * (following - polygon)
        corners = np.stack([polygon, crossings], 1).reshape(-1, 2)
        polygon = corners[np.stack([depth >= 0, crosses], 1).ravel()]
    return polygon


def _cover(polygon: Points, size: int) -> NDArray[np.float32]:
    """The fraction (size, size) of each pixel that a polygon covers."""
    mask = np.zeros((4 * size, 4 * size), np.uint8)
    cv2.fillPoly(mask, [np.round((polygon * 4 - 0.5) * 16).astype(np.int32)], 255, shift=4)
    for side in (2 * size, size):  # halving twice is much faster than one step
        mask = np.asarray(cv2.resize(mask, (side, side), interpolation=cv2.INTER_AREA), np.uint8)
    return mask.astype(np.float32) / np.float32(255)


def _annotation(name: str, polygon: Points) -> dict[str, Any]:
    """The COCO annotation of one polygon."""
    polygon = np.round(polygon * 16) / 16  # binary fractions: x + width is exact
    return {
        "category_id": CATEGORY_IDS[name],
        "bbox": [*polygon.min(0).tolist(), *np.ptp(polygon, axis=0).tolist()],
        "area": cv2.contourArea(polygon),
        "iscrowd": 0,
        "segmentation": [polygon.ravel().tolist()],
    }
