"""Test-time augmentation (flip, several scales), and merging of what it found."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from centernet import geometry
from centernet.errors import InputError
from centernet.heads import HEADS
from centernet.nms import nms


@dataclass(frozen=True)
class InferenceConfig:
    """The test modes of the paper's tables; the defaults are one look at the image.

    Attributes:
        resolution: longest side that images are scaled to, in pixels; ``auto`` for the size that
            the network was trained for (``keep`` for weights of the original release); ``keep`` for
            the image's own size, padded to larger multiples of 32, as the original does it.
        flip: look at the mirrored image too, and average heatmap and size.
        scales: look at the image scaled by each of these.
        top_k: most detections per image; ``auto`` for as many as the data that the network was
            trained on ask for, at least 100.
        nms: ``soft`` (or True) for Gaussian soft-NMS, or the IoU above which the weaker of two
            boxes of a class is dropped, 0 for no suppression; None is soft for several scales and
            nothing for one.
    """

    resolution: int | str = "auto"
    flip: bool = False
    scales: Sequence[float] = (1.0,)
    top_k: int | str = "auto"
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
        if self.top_k != "auto" and not (isinstance(self.top_k, int) and self.top_k > 0):
            raise InputError(f"top_k must be auto or a number from 1, got {self.top_k!r}")
        number = isinstance(self.nms, int | float) and 0 <= self.nms <= 1
        if self.nms not in (None, "soft") and not number:
            raise InputError(f"nms must be soft or an IoU from 0 to 1, got {self.nms!r}")

    @property
    def plain(self) -> bool:
        """Whether this is one look, at the size the network was trained for."""
        one_look = not self.flip and self.scales == (1.0,) and not self.suppression
        return one_look and self.resolution == "auto"

    @property
    def suppression(self) -> float | str | None:
        """How boxes of one class are suppressed; None for not at all."""
        several = self.nms is None and len(self.scales) > 1
        return "soft" if several or self.nms is True else self.nms


def forward(network: torch.nn.Module, images: Tensor, *, flip: bool) -> dict[str, Tensor]:
    """Compute the outputs of a network; with ``flip`` combined with those of the mirrored images.

    Each head decides how the two are combined, see :meth:`centernet.heads.Head.flip`.

    Args:
        network: with heads of :mod:`centernet.heads`.
        images: (B, 3, H, W).
        flip: also run the network on the mirrored images.
    """
    if not flip:
        return network(images)
    both = network(torch.cat([images, images.flip(-1)]))  # 2 B of each output
    outputs = {}
    for name, values in both.items():
        upright, mirrored = values.chunk(2)
        outputs[name] = HEADS[name].flip(upright, mirrored.flip(-1))
    return outputs


def join(
    views: Sequence[Mapping[str, NDArray]], modes: InferenceConfig, top_k: int
) -> dict[str, NDArray]:
    """The detections of all views of one image, boxes in image pixels, as one list, best first."""
    found = {name: np.concatenate([view[name] for view in views]) for name in views[0]}
    if modes.suppression:
        boxes, scores, labels = (found[name] for name in ("boxes", "scores", "labels"))
        left, scores = nms(boxes, scores, labels, modes.suppression)
        found = {name: values[left] for name, values in found.items()} | {"scores": scores}
    best = np.argsort(-found["scores"], kind="stable")[:top_k]
    return {name: values[best] for name, values in found.items()}


def to_image(found: Mapping[str, Tensor | NDArray], matrix: geometry.Matrix) -> dict[str, NDArray]:
    """Decoded detections of a network input as arrays, their boxes in image pixels.

    Args:
        found: ``boxes`` (K, 4) xyxy in input pixels, ``scores`` (K,), ``labels`` (K,).
        matrix: from image to input.
    """
    values = {name: np.asarray(value.cpu()) for name, value in found.items()}
    boxes = geometry.transform_boxes(values["boxes"], geometry.invert(matrix))
    return values | {"boxes": boxes}


def clip_to_image(found: Mapping[str, NDArray], image_size: tuple[int, int]) -> dict[str, NDArray]:
    """Cut boxes to their image.

    Detections of which nothing is left, as those in the padding of the input, are dropped; so are
    those of score 0, which only fill up the list, and those whose box or score is not finite.

    Args:
        found: ``boxes`` (K, 4) xyxy in image pixels, ``scores`` (K,), and others by detection.
        image_size: (height, width).
    """
    boxes, seen = geometry.clip_boxes(found["boxes"], image_size)
    seen &= (found["scores"] > 0) & np.isfinite(found["scores"])
    seen &= np.isfinite(found["boxes"]).all(1)
    return {name: values[seen] for name, values in ({**found, "boxes": boxes}).items()}
