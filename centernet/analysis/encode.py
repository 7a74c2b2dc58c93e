"""Pictures and maps as text that a page can hold."""

import base64
import json
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

# Larger images are shown scaled down to this longest side, in pixels.
MOST_SIDE = 1280
_QUALITY = 80


def picture_uri(
    pixels: NDArray[np.uint8], most_side: int = MOST_SIDE, quality: int = _QUALITY
) -> str:
    """An image (H, W, 3) uint8 RGB as the address of a picture that holds itself."""
    scale = most_side / max(pixels.shape[:2])
    if scale < 1:
        size = [max(1, round(side * scale)) for side in pixels.shape[1::-1]]
        pixels = cv2.resize(pixels, size, interpolation=cv2.INTER_AREA)
    options = [cv2.IMWRITE_WEBP_QUALITY, quality]
    return _uri("webp", cv2.imencode(".webp", pixels[..., ::-1], options)[1])


def map_uri(values: NDArray[np.float32]) -> str:
    """A map (h, w) of numbers in [0, 1] in 256 steps, without loss otherwise."""
    steps = np.rint(values.clip(0, 1) * 255).astype(np.uint8)
    return _uri("png", cv2.imencode(".png", steps, [cv2.IMWRITE_PNG_COMPRESSION, 9])[1])


def _uri(kind: str, data: NDArray[np.uint8]) -> str:
    return f"data:image/{kind};base64,{base64.b64encode(data.tobytes()).decode()}"


def script_json(value: Any) -> str:
    """JSON that can stand inside a ``<script>``: nothing in it ends the script."""
    text = json.dumps(value, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
    return text.replace("<", "\\u003c").replace("\u2028", "\\u2028").replace("\u2029", "\\u2029")
