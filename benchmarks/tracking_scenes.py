"""Videos of moving drawn shapes, with the true box and id of each."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

CLASSES = ("circle", "square", "triangle", "star")
HEIGHT, WIDTH, FPS = 240, 320, 25.0
_CORNERS = {"circle": 32, "square": 4, "triangle": 3, "star": 10}
_SIZES = (20.0, 44.0)  # diameter in pixels
_SPEEDS = (30.0, 110.0)  # pixels per second
_MIN_VISIBLE = 0.3  # of an object's area; else it is not part of the ground truth
_PILLAR = 22  # pixels
_MAX_GRAY = 90


@dataclass(frozen=True)
class Frame:
    """A frame, and what it shows.

    Attributes:
        image: (H, W, 3) uint8 RGB.
        boxes: (n, 4) xyxy in pixels.
        labels: (n,) index into ``CLASSES``.
        ids: (n,) from 1.
    """

    image: NDArray[np.uint8]
    boxes: NDArray[np.float64]
    labels: NDArray[np.int64]
    ids: NDArray[np.int64]


class Scene:
    """Shapes that turn, cross each other, and pass behind two pillars."""

    def __init__(self, seed: int, objects: int = 12) -> None:
        self._rng = rng = np.random.default_rng([seed, 21])
        size = np.array([WIDTH, HEIGHT])
        self._centers = rng.uniform(0.1, 0.9, (objects, 2)) * size
        self._angles = rng.uniform(0, 2 * np.pi, objects)
        self._speeds = rng.uniform(*_SPEEDS, objects)
        self._radii = rng.uniform(*_SIZES, objects) / 2
        self._labels = rng.integers(0, len(CLASSES), objects)
        self._colors = rng.integers(0, 256, (objects, 3))
        # Neighbors are as alike as objects of one kind are.
        self._colors[1::2] = self._colors[:-1:2] if objects % 2 else self._colors[::2]
        self._labels[1::2] = self._labels[:-1:2] if objects % 2 else self._labels[::2]
        coarse = rng.uniform(40, 200, (5, 6, 3)).astype(np.float32)
        self._background = cv2.resize(coarse, (WIDTH, HEIGHT), interpolation=cv2.INTER_CUBIC)
        self._pillars = rng.uniform(0.15, 0.85, 2) * WIDTH

    def frames(self, number: int, fps: float = FPS) -> Iterator[Frame]:
        """The first frames."""
        for _ in range(number):
            yield self._frame()
            self._move(1 / fps)

    def _move(self, seconds: float) -> None:
        """Move the objects; they turn at random and bounce off the border."""
        turn = self._rng.normal(0, 1.2, len(self._angles)) * np.sqrt(seconds)
        self._angles += turn
        steps = np.stack([np.cos(self._angles), np.sin(self._angles)], 1)
        self._centers += steps * self._speeds[:, None] * seconds
        for axis, side in enumerate((WIDTH, HEIGHT)):
            place = self._centers[:, axis]
            outside = (place < 0) | (place > side)
            mirrored = np.pi - self._angles if axis == 0 else -self._angles
            self._angles = np.where(outside, mirrored, self._angles)
            self._centers[:, axis] = np.abs(place)
            self._centers[:, axis] = side - np.abs(side - self._centers[:, axis])

    def _frame(self) -> Frame:
        image, top = self._background.copy(), np.zeros((HEIGHT, WIDTH), np.int32)
        areas, boxes = [], []
        for i, label in enumerate(self._labels):
            corners = self._outline(i, CLASSES[label])
            mask = np.zeros((HEIGHT, WIDTH), np.uint8)
            cv2.fillPoly(mask, [(corners * 16).round().astype(np.int32)], 1, shift=4)
            image[mask > 0], top[mask > 0] = self._colors[i], i + 1
            areas.append(max(1.0, cv2.contourArea(corners)))
            boxes.append([*corners.min(0), *corners.max(0)])
        for x in self._pillars.astype(int):
            image[:, x : x + _PILLAR], top[:, x : x + _PILLAR] = _MAX_GRAY, 0
        visible = np.bincount(top.ravel(), minlength=len(areas) + 1)[1:] / np.array(areas)
        noise = self._rng.normal(0, 8, image.shape)
        blurred = cv2.GaussianBlur(image, (0, 0), 0.6 + 1.2 * self._rng.random())
        pixels = (blurred + noise).clip(0, 255).astype(np.uint8)
        shown = np.flatnonzero(visible >= _MIN_VISIBLE)
        found: Any = np.array(boxes)[shown].clip(0, [WIDTH, HEIGHT, WIDTH, HEIGHT])
        return Frame(pixels, found, self._labels[shown], shown + 1)

    def _outline(self, i: int, name: str) -> NDArray[np.float32]:
        """The corners (P, 2) of an object in pixels."""
        angles = 2 * np.pi * (np.arange(_CORNERS[name]) + 0.5) / _CORNERS[name] + np.pi / 2
        radii = np.full(len(angles), self._radii[i])
        if name == "star":
            radii[::2] *= 0.45
        points = np.stack([np.cos(angles), np.sin(angles)], 1) * radii[:, None]
        return (self._centers[i] + points).astype(np.float32)
