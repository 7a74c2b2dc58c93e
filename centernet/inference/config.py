"""Options of inference. Light imports only: the command line reads its help texts here."""

import inspect
import math
import re
from collections.abc import Sequence
from dataclasses import dataclass

from centernet.errors import InputError
from centernet.sizes import parse_size

# Detections per image with ``tile``: large images have more objects than those in training.
_TILED_TOP_K = 10_000
PRECISIONS = ("float32", "float16", "bfloat16")


@dataclass(frozen=True)
class InferenceConfig:
    """Options of inference: input size, test-time augmentation, limits on the detections.

    Attributes:
        resolution: longest side of the network input in pixels, or width x height as 640x480 to
            scale images to fit; ``auto`` for the size the network was trained at
            (``keep`` for weights of the original release); ``keep`` for the image's own size,
            padded
        flip: also run the mirrored image and average the predictions: more accurate, twice the
            time
        scales: run the image at each of these scales and merge the detections, as 0.75 1 1.25:
            more accurate, slower
        top_k: maximum number of detections per image; ``auto`` for the number stored with the
            weights, or 10000 with ``tile``
        nms: ``soft`` for Gaussian soft-NMS, or the IoU above which the lower-scoring of two boxes
            of a class is removed, 0 for no suppression; by default ``soft`` for several scales and
            none for one
        tile: run images at their own size in tiles of this many pixels, such as 1024, at least 128;
            for small objects in large images. The result is that of one pass over the image, in
            bounded memory; slower than shrinking the image. With ``resolution``, images have that
            size. ``auto`` uses tiles only where the network input has more than 4 megapixels
        precision: ``float32``, or ``float16`` or ``bfloat16`` for half precision on a GPU: faster,
            detections change slightly

    Raises:
        InputError: a value is invalid.
    """

    resolution: int | str = "auto"
    flip: bool = False
    scales: Sequence[float] = (1.0,)
    top_k: int | str = "auto"
    nms: float | str | None = None
    tile: int | str = "auto"
    precision: str = "float32"

    def __post_init__(self) -> None:
        object.__setattr__(self, "scales", tuple(self.scales))
        if self.resolution not in ("auto", "keep"):
            self._size()  # raises InputError
        if not self.scales or not all(0 < scale < math.inf for scale in self.scales):
            raise InputError(
                f"scales must be one or more positive, finite numbers, got {self.scales}"
            )
        if self.top_k != "auto" and not (isinstance(self.top_k, int) and self.top_k > 0):
            raise InputError(f"top_k must be auto or an integer from 1, got {self.top_k!r}")
        number = isinstance(self.nms, int | float) and 0 <= self.nms <= 1
        if self.nms not in (None, "soft") and not number:
            raise InputError(f"nms must be soft or an IoU from 0 to 1, got {self.nms!r}")
        if self.tile != "auto" and not (isinstance(self.tile, int) and self.tile > 0):
            raise InputError(f"tile must be auto or a number of pixels, got {self.tile!r}")
        if self.precision not in PRECISIONS:
            raise InputError(f"precision must be {' or '.join(PRECISIONS)}, got {self.precision!r}")

    @property
    def plain(self) -> bool:
        """Whether this is one forward pass at the training size, without suppression."""
        one_pass = not self.flip and self.scales == (1.0,) and not self.suppression
        return one_pass and (self.resolution, self.tile) == ("auto", "auto")

    @property
    def suppression(self) -> float | str | None:
        """The suppression within each class, as for ``nms``; None or 0 for none."""
        several = self.nms is None and len(self.scales) > 1
        return "soft" if several or self.nms is True else self.nms

    def input_fit(self, image_size: tuple[int, int] | None) -> tuple[int, int] | int | None:
        """The argument ``fit`` of :func:`centernet.data.preprocess.make_view`.

        Args:
            image_size: (height, width) the network was trained at; None if it has none.
        """
        if self.resolution == "auto":
            fits = isinstance(self.tile, int) and image_size and max(image_size) <= self.tile
            return None if fits else image_size
        if self.resolution == "keep":
            return None
        size = self._size()
        return size[0] if str(self.resolution).isdecimal() else size

    def _size(self) -> tuple[int, int]:
        """``resolution`` as (height, width); a number as a square."""
        return parse_size(self.resolution, name="resolution", words=("auto", "keep"))

    def max_detections(self, stored: int) -> int:
        """Maximum number of detections per image; ``stored`` is the number in the weights."""
        if self.top_k != "auto":
            return int(self.top_k)
        return max(stored, _TILED_TOP_K) if isinstance(self.tile, int) else stored


def option_help(name: str) -> str:
    """The description of an option, from the docstring of :class:`InferenceConfig`."""
    text = inspect.getdoc(InferenceConfig) or ""
    attributes = text.partition("Attributes:\n")[2].partition("\n\n")[0] + "\n"
    descriptions = dict(re.findall(r"^    (\w+): ((?:.*\n)(?:        .*\n)*)", attributes, re.M))
    return " ".join(descriptions.get(name, "").replace("``", "").split())
