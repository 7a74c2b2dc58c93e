"""How an image is looked at (size, mirrored too, several scales), and how all that is joined."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from centernet import geometry
from centernet.errors import InputError, require_at_least
from centernet.suppression import suppress


@dataclass(frozen=True)
class Modes:
    """The test modes of the paper's tables; the defaults are one look at the image.

    Attributes:
        resolution: longest side that images are scaled to, in pixels; ``auto`` for the size that
            the network was trained for; ``keep`` for the image's own size, on a canvas whose sides
            are filled up to multiples of 32, as the original does it.
        flip: look at the mirrored image too, and average heatmap and size.
        scales: look at the image scaled by each of these.
        top_k: most detections per image.
        nms: ``soft`` (or True) for Gaussian soft-NMS, or the IoU above which the weaker of two
            boxes of a class is dropped, 0 for no suppression; None is soft for several scales and
            nothing for one.
    """

    resolution: int | str = "auto"
    flip: bool = False
    scales: Sequence[float] = (1.0,)
    top_k: int = 100
    nms: float | str | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "scales", tuple(self.scales))
        size = str(self.resolution)
        if size not in ("auto", "keep") and not (size.isdecimal() and int(size) > 0):
            raise InputError(
                f"resolution must be auto, keep or a number of pixels, got {self.resolution!r}"
            )
        if not self.scales or not all(0 < scale < math.inf for scale in self.scales):
            raise InputError(
                f"scales must be one or more positive, finite numbers, got {self.scales}"
            )
        require_at_least(1, top_k=self.top_k)
        number = isinstance(self.nms, int | float) and 0 <= self.nms <= 1
        if self.nms not in (None, "soft") and not number:
            raise InputError(f"nms must be soft or an IoU from 0 to 1, got {self.nms!r}")

    @property
    def plain(self) -> bool:
        """Whether this is one look, at the size the network was trained for."""
        return self == Modes(top_k=self.top_k)

    @property
    def suppression(self) -> float | str | None:
        """How boxes of one class are suppressed; None for not at all."""
        several = self.nms is None and len(self.scales) > 1
        return "soft" if several or self.nms is True else self.nms


@dataclass(frozen=True)
class View:
    """An image on the canvas that the network sees.

    Attributes:
        canvas: (height, width, 3) uint8 RGB.
        matrix: from image to canvas.
    """

    canvas: NDArray[np.uint8]
    matrix: geometry.Matrix


def view(
    pixels: NDArray[np.uint8], scale: float, fit: tuple[int, int] | None, multiple: int
) -> View:
    """Draw an image on a canvas.

    Args:
        pixels: (H, W, 3) uint8 RGB.
        scale: how much larger than usual.
        fit: (height, width) that the image fills as far as its proportions allow; None keeps its
            own size.
        multiple: the canvas's sides are multiples of this.
    """
    size = pixels.shape[:2]
    if fit is None:
        return _keep(pixels, scale, multiple)
    scale *= min(most / side for most, side in zip(fit, size, strict=True))
    canvas_size = tuple(multiple * max(1, -(-round(side * scale) // multiple)) for side in size)
    return View(
        *geometry.place_image(pixels, geometry.centered(scale, size, canvas_size), canvas_size)
    )


def _keep(pixels: NDArray[np.uint8], scale: float, multiple: int) -> View:
    """As the original: scaled to whole pixels, then a canvas that is larger on every side."""
    size = pixels.shape[:2]
    scaled = tuple(max(1, int(side * scale)) for side in size)
    canvas_size = tuple((side | (multiple - 1)) + 1 for side in scaled)
    matrix = geometry.keep(size, canvas_size, scaled)
    canvas, _ = geometry.place_image(pixels, matrix, canvas_size)
    # Detections return by the scale that was asked for, not by that of the whole pixels, since that
    # is what published multi-scale results did; they differ by about a pixel at most.
    matrix[[0, 1], [0, 1]] = scale
    return View(canvas, matrix)


def forward(network: torch.nn.Module, images: Tensor, *, flip: bool) -> dict[str, Tensor]:
    """The network's maps, with ``flip`` averaged with those of the mirrored images.

    As in the original, heatmaps are averaged as probabilities, sizes as they are, and all else, as
    the offset, is of the upright images alone. Of ``sides``, left and right change places.
    """
    if not flip:
        return network(images)
    both = network(torch.cat([images, images.flip(-1)]))
    outputs = {name: values.chunk(2)[0] for name, values in both.items()}
    mirrored = {name: values.chunk(2)[1].flip(-1) for name, values in both.items()}
    if "sides" in mirrored:
        mirrored["sides"] = mirrored["sides"][:, [2, 1, 0, 3]]
    # In float32 also under autocast, where probabilities near 1 would become equal.
    probability = (outputs["heatmap"].float().sigmoid() + mirrored["heatmap"].float().sigmoid()) / 2
    averaged = {
        name: (outputs[name].float() + mirrored[name].float()) / 2
        for name in ("size", "sides")
        if name in outputs
    }
    return outputs | averaged | {"heatmap": probability.logit()}


def join(views: Sequence[Mapping[str, NDArray]], modes: Modes) -> dict[str, NDArray]:
    """The detections of all views of one image, boxes in image pixels, as one list, best first."""
    found = {name: np.concatenate([view[name] for view in views]) for name in views[0]}
    if modes.suppression:
        left, scores = suppress(**found, how=modes.suppression)
        found = {name: values[left] for name, values in found.items()} | {"scores": scores}
    best = np.argsort(-found["scores"], kind="stable")[: modes.top_k]
    return {name: values[best] for name, values in found.items()}
