"""Draw the tracks of a video frame: a color for each, and where it came from."""

from collections.abc import Mapping, Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

Color = tuple[int, ...]
# Of objects that have no id yet.
UNTRACKED: Color = (208, 208, 208)
# The opacity of the newest part of a trail.
_OPACITY = 0.9


def track_colors(ids: Sequence[int], palette: Sequence[Color]) -> list[Color]:
    """The color of each object: of its track, or gray for an id below 1.

    Tracks that start one after another have the colors of the palette in turn.
    """
    return [palette[(id - 1) % len(palette)] if id > 0 else UNTRACKED for id in ids]


def draw_trails(
    picture: NDArray[np.uint8],
    trails: Mapping[int, NDArray[np.float64]],
    colors: Mapping[int, Color],
    thickness: int,
) -> None:
    """Draw the latest centers of each track as a line that fades with age.

    Args:
        picture: (H, W, 3) uint8 RGB, drawn on.
        trails: by id (n, 3): x, y in pixels of the picture, and the age from 1 to 0.
        colors: by id.
        thickness: of the lines in pixels.
    """
    for id, trail in trails.items():
        if len(trail) > 1:
            _draw_trail(picture, trail, colors[id], thickness)


def _draw_trail(
    picture: NDArray[np.uint8], trail: NDArray[np.float64], color: Color, thickness: int
) -> None:
    """Draw a trail in its part of the picture."""
    height, width = picture.shape[:2]
    points = trail[:, :2].clip(0, [width - 1, height - 1]).round().astype(int)
    low = (points.min(0) - thickness).clip(0)
    high = points.max(0) + thickness + 1
    part = picture[low[1] : high[1], low[0] : high[0]]
    strength, corners = np.zeros(part.shape[:2], np.uint8), (points - low).tolist()
    for start, end, age in zip(corners[:-1], corners[1:], trail[:-1, 2].tolist(), strict=True):
        shade = round(255 * _OPACITY * (1 - age))
        cv2.line(strength, start, end, shade, thickness, cv2.LINE_AA)
    alpha = strength[..., None] / np.float32(255)
    part[...] = (part + alpha * (np.array(color, np.float32) - part)).round().astype(np.uint8)
