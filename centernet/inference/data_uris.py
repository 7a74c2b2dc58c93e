"""Images and heatmaps as ``data:`` URIs, to embed them in a page."""

import base64

import cv2
import numpy as np
from numpy.typing import NDArray

MAX_SIDE = 1280  # pixels; larger images are scaled down to this longest side
_QUALITY = 80


def picture_uri(
    pixels: NDArray[np.uint8], max_side: int = MAX_SIDE, quality: int = _QUALITY
) -> str:
    """An image as a WebP ``data:`` URI.

    Args:
        pixels: (H, W, 3) uint8 RGB.
        max_side: a larger image is scaled down to this longest side, in pixels.
        quality: WebP quality, 1 to 100.
    """
    shown = resize_area(pixels, max_side / max(pixels.shape[:2]))
    options = [cv2.IMWRITE_WEBP_QUALITY, quality]
    return _uri("webp", cv2.imencode(".webp", shown[..., ::-1], options)[1])


def heatmap_uri(values: NDArray[np.float32]) -> str:
    """A heatmap (h, w) with values in [0, 1] as a lossless PNG ``data:`` URI of 256 gray levels."""
    levels = np.rint(values.clip(0, 1) * 255).astype(np.uint8)
    return _uri("png", cv2.imencode(".png", levels, [cv2.IMWRITE_PNG_COMPRESSION, 9])[1])


def resize_area(pixels: NDArray[np.uint8], scale: float) -> NDArray[np.uint8]:
    """Scale an image (H, W, 3) down by averaging pixels; an image is never scaled up."""
    if scale >= 1:
        return pixels
    size = [max(1, round(side * scale)) for side in pixels.shape[1::-1]]
    return cv2.resize(pixels, size, interpolation=cv2.INTER_AREA).astype(np.uint8, copy=False)


def _uri(kind: str, data: NDArray[np.uint8]) -> str:
    return f"data:image/{kind};base64,{base64.b64encode(data.tobytes()).decode()}"
