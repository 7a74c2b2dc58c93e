"""A trained network as a function from images to detections: the class most people need."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter
from typing import TYPE_CHECKING

import numpy as np
import supervision as sv
import torch
from numpy.typing import NDArray
from torch import Tensor

from centernet import geometry
from centernet.checkpoints import DESCRIPTION, build_network, read_checkpoint
from centernet.decode import decode
from centernet.errors import InputError
from centernet.heatmaps import Heatmaps
from centernet.images import as_rgb, read_image
from centernet.model import CenterNet

if TYPE_CHECKING:
    from PIL.Image import Image

    ImageLike = str | Path | Image | NDArray


@dataclass(frozen=True)
class Prediction:
    """Everything about one image: what was found, and the heatmaps it was found in.

    Attributes:
        image: (H, W, 3) uint8 RGB, upright.
        detections: boxes in image pixels, best first.
        heatmaps: probabilities, and where their cells lie in the image.
        seconds: time spent by step: ``load`` (read, draw on the canvas), ``network``, ``decode``.
    """

    image: NDArray[np.uint8]
    detections: sv.Detections
    heatmaps: Heatmaps
    seconds: dict[str, float]


class Detector:
    """Finds objects in images with a trained CenterNet.

    >>> detector = Detector.load("runs/custom/best.ckpt")        # doctest: +SKIP
    >>> detections = detector("street.jpg", threshold=0.4)       # doctest: +SKIP
    >>> detections.xyxy, detections.confidence, detections["class_name"]  # doctest: +SKIP

    Attributes:
        class_names: by class id.
        device: where the network runs.
    """

    def __init__(
        self,
        network: CenterNet,
        class_names: Sequence[str],
        *,
        device: str | torch.device = "auto",
        resolution: int | str = "auto",
        image_size: tuple[int, int] = (512, 512),
        top_k: int = 100,
    ) -> None:
        """Wrap a network; :meth:`load` is the usual way.

        Args:
            network: trained.
            class_names: by class id.
            device: ``auto`` takes CUDA, else MPS, else the CPU.
            resolution: the longest side that images are scaled to, in pixels; ``auto`` for the size
                the network was trained for; ``keep`` for the image's own size.
            image_size: (height, width) that the network was trained for.
            top_k: most detections per image.

        Raises:
            InputError: an unknown device or resolution.
        """
        if not (
            resolution in ("auto", "keep") or (str(resolution).isdecimal() and int(resolution) > 0)
        ):
            raise InputError(
                f"resolution must be auto, keep or a number of pixels, got {resolution!r}"
            )
        if top_k < 1:
            raise InputError(f"top_k must be at least 1, got {top_k}")
        self.class_names = tuple(class_names)
        self.device = _device(device)
        self.top_k = top_k
        sides = {"auto": image_size, "keep": None}
        # (height, width) that images are scaled to fit in; None leaves them as they are.
        self._fit = sides[resolution] if resolution in sides else (int(resolution),) * 2
        self._network = network.eval().to(self.device)

    @classmethod
    def load(
        cls,
        weights: str | Path,
        *,
        device: str | torch.device = "auto",
        resolution: int | str = "auto",
        top_k: int = 100,
    ) -> "Detector":
        """Make a detector of a checkpoint; ``__init__`` explains the other arguments.

        Nothing in the file is executed.

        Raises:
            InputError: the file is missing, damaged, or no such checkpoint.
        """
        checkpoint = read_checkpoint(weights)
        description = checkpoint[DESCRIPTION]
        return cls(
            build_network(checkpoint),
            description["class_names"],
            device=device,
            resolution=resolution,
            image_size=tuple(description["image_size"]),
            top_k=top_k,
        )

    def __call__(
        self, image: "ImageLike", *, threshold: float = 0.3, bgr: bool = False, clip: bool = True
    ) -> sv.Detections:
        """Detect objects.

        Args:
            image: a path, a PIL image, or an array (H, W, 3), also (H, W) or (H, W, 4), uint8 or
                uint16.
            threshold: least score.
            bgr: whether the channels of an array are in OpenCV's order.
            clip: cut boxes to the image.

        Returns:
            Boxes in image pixels, best first, with ``data["class_name"]``.

        Raises:
            InputError: the image cannot be read, or is no image.
        """
        return self.predict(image, threshold=threshold, bgr=bgr, clip=clip).detections

    def batch(
        self,
        images: "Iterable[ImageLike]",
        *,
        threshold: float = 0.3,
        bgr: bool = False,
        clip: bool = True,
    ) -> list[sv.Detections]:
        """Detect in several images; those that share a canvas size go through together."""
        placed = [self._place(_pixels(image, bgr)) for image in images]
        found: list[sv.Detections | None] = [None] * len(placed)
        for shape in dict.fromkeys(canvas.shape for canvas, _, _ in placed):
            members = [i for i, (canvas, _, _) in enumerate(placed) if canvas.shape == shape]
            outputs = self._forward(np.stack([placed[i][0] for i in members]))
            for i, result in zip(
                members, decode(outputs, stride=CenterNet.stride, top_k=self.top_k), strict=True
            ):
                _, matrix, size = placed[i]
                found[i] = self._detections(result, matrix, size, threshold, clip)
        return found

    def heatmaps(self, image: "ImageLike", *, bgr: bool = False) -> Heatmaps:
        """The class probabilities at every cell of an image, to look at or to save."""
        return self.predict(image, bgr=bgr).heatmaps

    def predict(
        self, image: "ImageLike", *, threshold: float = 0.3, bgr: bool = False, clip: bool = True
    ) -> Prediction:
        """Detections, heatmaps and timings of one image from one pass; arguments as for calling."""
        start = perf_counter()
        pixels = _pixels(image, bgr)
        canvas, matrix, size = self._place(pixels)
        loaded = perf_counter()
        outputs = self._forward(canvas[None])
        probabilities = outputs["heatmap"][0].float().sigmoid().cpu().numpy()
        computed = perf_counter()
        (found,) = decode(outputs, stride=CenterNet.stride, top_k=self.top_k)
        detections = self._detections(found, matrix, size, threshold, clip)
        decoded = perf_counter()
        back = geometry.invert(matrix) * np.array([CenterNet.stride, CenterNet.stride, 1])
        return Prediction(
            pixels,
            detections,
            Heatmaps(probabilities, back, self.class_names),
            {"load": loaded - start, "network": computed - loaded, "decode": decoded - computed},
        )

    def _place(
        self, pixels: NDArray[np.uint8]
    ) -> tuple[NDArray[np.uint8], geometry.Matrix, tuple[int, int]]:
        """Draw an image on the canvas for the chosen resolution."""
        size = pixels.shape[:2]
        multiple = CenterNet.size_multiple
        if self._fit is None:
            canvas_size = tuple((side | (multiple - 1)) + 1 for side in size)
            matrix = geometry.keep(size, canvas_size)
        else:
            scale = min(most / side for most, side in zip(self._fit, size, strict=True))
            canvas_size = tuple(
                multiple * max(1, -(-round(side * scale) // multiple)) for side in size
            )
            matrix = geometry.centered(scale, size, canvas_size)
        canvas, matrix = geometry.place_image(pixels, matrix, canvas_size)
        return canvas, matrix, size

    @torch.inference_mode()
    def _forward(self, canvases: NDArray[np.uint8]) -> dict[str, Tensor]:
        images = torch.from_numpy(canvases).permute(0, 3, 1, 2).to(self.device)
        return self._network(images)

    def _detections(
        self,
        found: dict[str, Tensor],
        matrix: geometry.Matrix,
        image_size: tuple[int, int],
        threshold: float,
        clip: bool,
    ) -> sv.Detections:
        boxes, scores, labels = (
            found[name].cpu().numpy() for name in ("boxes", "scores", "labels")
        )
        boxes = geometry.transform_boxes(boxes, geometry.invert(matrix))
        if clip:
            height, width = image_size
            boxes = boxes.clip(0, np.array([width, height, width, height], np.float32))
        kept = scores >= threshold
        names = np.array(self.class_names, dtype=str)[labels[kept]]
        return sv.Detections(
            xyxy=boxes[kept],
            confidence=scores[kept],
            class_id=labels[kept],
            data={"class_name": names},
        )


def _pixels(image: "ImageLike", bgr: bool) -> NDArray[np.uint8]:
    if isinstance(image, str | Path):
        return read_image(image)
    return as_rgb(image, bgr=bgr)


def _device(name: str | torch.device) -> torch.device:
    if name == "auto":
        name = (
            "cuda"
            if torch.cuda.is_available()
            else "mps"
            if torch.backends.mps.is_available()
            else "cpu"
        )
    try:
        device = torch.device(name)
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError) as error:
        reason = str(error).splitlines()[0]
        raise InputError(
            f"device {str(name)!r} cannot be used ({reason}): choose auto, cpu, cuda or mps"
        ) from None
    return device
