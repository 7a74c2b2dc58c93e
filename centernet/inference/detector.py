"""A trained network as a function from images to detections: the class most people need."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from time import perf_counter
from typing import TYPE_CHECKING, Any

import numpy as np
import supervision as sv
import torch
from numpy.typing import NDArray
from torch import Tensor

from centernet import geometry
from centernet.data import preprocess
from centernet.data.images import load_image
from centernet.data.preprocess import InputView
from centernet.errors import InputError, require_at_least
from centernet.inference import tta
from centernet.inference.heatmaps import Heatmaps
from centernet.inference.thresholds import USUAL, Threshold, per_class_thresholds
from centernet.inference.tta import InferenceConfig
from centernet.models.base import DetectionModel
from centernet.models.pretrained import load_weights

if TYPE_CHECKING:
    from centernet.data.images import ImageLike


# Batches of images that Detector.batch holds, to find those of one size among them.
_WINDOW = 4


@dataclass(frozen=True)
class Prediction:
    """Everything about one image: what was found, and the heatmaps it was found in.

    Attributes:
        image: (H, W, 3) uint8 RGB, upright.
        detections: boxes in image pixels, best first.
        heatmaps: probabilities, and where their cells lie in the image; None where they were not
            asked for, or the network has none.
        seconds: time spent by step: ``load`` (read and preprocess), ``network``, ``decode``.
    """

    image: NDArray[np.uint8]
    detections: sv.Detections
    heatmaps: Heatmaps | None
    seconds: dict[str, float]


class Detector:
    """Finds objects in images with a trained network.

    >>> detector = Detector.load("runs/custom/best.ckpt")        # doctest: +SKIP
    >>> detections = detector("street.jpg", threshold=0.4)       # doctest: +SKIP
    >>> detections.xyxy, detections.confidence, detections["class_name"]  # doctest: +SKIP

    Attributes:
        class_names: by class id.
        device: where the network runs.
        modes: test-time augmentation and limits.
        top_k: most detections per image.
    """

    def __init__(
        self,
        network: DetectionModel,
        class_names: Sequence[str],
        *,
        device: str | torch.device = "auto",
        image_size: tuple[int, int] | None = (512, 512),
        **modes: Any,
    ) -> None:
        """Wrap a network; :meth:`load` is the usual way.

        Args:
            network: trained.
            class_names: by class id.
            device: ``auto`` takes CUDA, else MPS, else the CPU.
            image_size: (height, width) that the network was trained for; None for none.
            **modes: test-time augmentation and limits, see :class:`.InferenceConfig`.

        Raises:
            InputError: the device cannot be used, or a mode is wrong or not one of this network.
        """
        self.class_names = tuple(class_names)
        self.device = choose_device(device)
        self.modes = InferenceConfig(**modes)
        sides = {"auto": image_size, "keep": None}
        resolution = self.modes.resolution
        # (height, width) or longest side that images are scaled to; None leaves them as they are.
        self._fit = sides[resolution] if resolution in sides else int(resolution)
        self.top_k = network.top_k if self.modes.top_k == "auto" else self.modes.top_k
        self._network = network.eval().to(self.device)
        if self.modes.flip:
            self.require_heatmaps("flip")

    @classmethod
    def load(
        cls,
        weights: str | Path,
        *,
        device: str | torch.device = "auto",
        resolution: int | str = "auto",
        flip: bool = False,
        scales: Sequence[float] = (1.0,),
        top_k: int | str = "auto",
        nms: float | str | None = None,
    ) -> "Detector":
        """Make a detector of a checkpoint of ``train.py fit`` or of the original release.

        Nothing in the file is executed.

        Args:
            weights: ``.ckpt`` of this project or ``.pth`` of the release.
            device: ``auto`` takes CUDA, else MPS, else the CPU.
            resolution: the longest side that images are scaled to, in pixels; ``auto`` for the size
                the network was trained for; ``keep`` for the image's own size, which is also what
                ``auto`` means for released weights.
            flip: look at the mirrored image too; better, at twice the cost.
            scales: look at the image scaled by each of these; better still, and slower.
            top_k: most detections per image; ``auto`` for as many as the training data asked for,
                at least 100.
            nms: ``soft``, or the IoU above which the weaker of two boxes of a class is dropped; by
                default soft for several scales and none for one.

        Raises:
            InputError: the file is missing, damaged, or no such checkpoint, or an option is wrong.
        """
        network, image_size = load_weights(weights)
        return cls(
            network,
            network.class_names,
            device=device,
            image_size=image_size,
            resolution=resolution,
            flip=flip,
            scales=scales,
            top_k=top_k,
            nms=nms,
        )

    def __call__(
        self,
        image: "ImageLike",
        *,
        threshold: Threshold = USUAL,
        bgr: bool = False,
        clip: bool = True,
    ) -> sv.Detections:
        """Detect objects.

        Args:
            image: a path, a PIL image, or an array (H, W, 3), also (H, W) or (H, W, 4), uint8 or
                uint16.
            threshold: least score; one number, one per class, a dict by class name, such as
                ``{"cat": 0.5}`` (0.3 for the other classes), or ``best``: for each class the
                threshold at which F1 was highest in validation.
            bgr: whether the channels of an array are in OpenCV's order.
            clip: cut boxes to the image.

        Returns:
            Boxes in image pixels, best first, with ``data["class_name"]``.

        Raises:
            InputError: the image cannot be read, or is no image; or the threshold is wrong.
        """
        return self.predict(
            image, threshold=threshold, bgr=bgr, clip=clip, heatmaps=False
        ).detections

    def batch(
        self,
        images: "Iterable[ImageLike]",
        *,
        batch_size: int = 8,
        threshold: Threshold = USUAL,
        bgr: bool = False,
        clip: bool = True,
    ) -> list[sv.Detections]:
        """Detect in several images; further arguments are those of a call.

        Args:
            images: any number; some batches of them are in memory at a time.
            batch_size: most network inputs in one forward pass; those of one size share a pass.
            threshold: least score.
            bgr: whether the channels of arrays are in OpenCV's order.
            clip: cut boxes to their image.
        """
        require_at_least(1, batch_size=batch_size)
        found: list[sv.Detections] = []
        remaining = iter(images)
        while window := list(islice(remaining, _WINDOW * batch_size)):
            found += self._batch(window, batch_size, threshold, bgr, clip)
        return found

    def _batch(
        self,
        images: "Sequence[ImageLike]",
        batch_size: int,
        threshold: Threshold,
        bgr: bool,
        clip: bool,
    ) -> list[sv.Detections]:
        """All images at once, in passes of ``batch_size``."""
        pixels = [load_image(image, bgr=bgr) for image in images]
        views = [(i, view) for i, image in enumerate(pixels) for view in self._views(image)]
        found: list[list[Mapping[str, NDArray]]] = [[] for _ in pixels]
        sizes = [view.pixels.shape[:2] for _, view in views]
        for batch in preprocess.same_size_batches(sizes, batch_size):
            owners, alike = zip(*(views[number] for number in batch), strict=True)
            outputs = self._forward(alike)
            for owner, result in zip(owners, self._decode(outputs, alike), strict=True):
                found[owner].append(result)
        return [
            self._detections(results, image.shape[:2], threshold, clip)
            for results, image in zip(found, pixels, strict=True)
        ]

    def heatmaps(self, image: "ImageLike", *, bgr: bool = False) -> Heatmaps:
        """The class probabilities at every cell of an image, to look at or to save."""
        self.require_heatmaps("heatmaps()")
        return self.predict(image, bgr=bgr).heatmaps

    def require_heatmaps(self, what: str) -> None:
        """Raise InputError if the network has no heatmaps, which ``what`` needs."""
        if not self._network.has_heatmaps:
            raise InputError(f"{what} needs heatmaps, which the network of these weights lacks")

    @property
    def network(self) -> DetectionModel:
        """The network, in eval mode, where it runs."""
        return self._network

    def thresholds(self, threshold: Threshold) -> NDArray[np.float64]:
        """The threshold of each class, (C,); see :func:`.per_class_thresholds`."""
        return per_class_thresholds(threshold, self._network.thresholds, self.class_names)

    def outputs(self, image: "ImageLike") -> tuple[NDArray[np.uint8], InputView, dict[str, Tensor]]:
        """The network's raw outputs.

        Returns:
            The image (H, W, 3) uint8 RGB, the network input made of it, and the network's outputs
            for it, a batch of one; of several scales those of the nearest to 1.
        """
        pixels = load_image(image)
        view = self._views(pixels)[self._shown]
        return pixels, view, self._forward([view])

    @property
    def _shown(self) -> int:
        """The view whose scale is nearest to 1."""
        return int(np.argmin(np.abs(np.log(self.modes.scales))))

    def predict(
        self,
        image: "ImageLike",
        *,
        threshold: Threshold = USUAL,
        bgr: bool = False,
        clip: bool = True,
        heatmaps: bool = True,
    ) -> Prediction:
        """Detections, heatmaps and timings of one image from one pass; arguments as for calling.

        Without ``heatmaps``, or from a network that has none, they are None, which saves time.
        """
        start = perf_counter()
        pixels = load_image(image, bgr=bgr)
        views = self._views(pixels)
        loaded = perf_counter()
        outputs = [self._forward([view]) for view in views]
        if self.device.type != "cpu":
            torch.accelerator.synchronize(self.device)
        computed = perf_counter()
        wanted = heatmaps and self._network.has_heatmaps
        maps = self._heatmaps(outputs, views) if wanted else None
        found = [self._decode(o, [view])[0] for o, view in zip(outputs, views, strict=True)]
        detections = self._detections(found, pixels.shape[:2], threshold, clip)
        decoded = perf_counter()
        return Prediction(
            pixels,
            detections,
            maps,
            {"load": loaded - start, "network": computed - loaded, "decode": decoded - computed},
        )

    def _heatmaps(
        self, outputs: Sequence[dict[str, Tensor]], views: Sequence[InputView]
    ) -> Heatmaps:
        logits = outputs[self._shown]["heatmap"][0].float().cpu().numpy()
        stride = np.array([self._network.stride, self._network.stride, 1])
        matrix = geometry.invert(views[self._shown].matrix) * stride
        return Heatmaps(logits, matrix, self.class_names)

    def _views(self, pixels: NDArray[np.uint8]) -> list[InputView]:
        return [
            preprocess.make_view(pixels, self._fit, self._network.size_multiple, scale)
            for scale in self.modes.scales
        ]

    @torch.inference_mode()
    def _forward(self, views: Sequence[InputView]) -> dict[str, Tensor]:
        """The maps of views of one size."""
        pixels = torch.from_numpy(np.stack([view.pixels for view in views]))
        images = pixels.permute(0, 3, 1, 2).to(self.device)
        return tta.forward(self._network, images, flip=self.modes.flip)

    def _decode(
        self, outputs: dict[str, Tensor], views: Sequence[InputView]
    ) -> list[dict[str, NDArray]]:
        """The detections in each view, their boxes in image pixels."""
        results = self._network.decode(outputs, top_k=self.top_k)
        return [
            tta.to_image(result, view.matrix) for result, view in zip(results, views, strict=True)
        ]

    def _detections(
        self,
        views: Sequence[Mapping[str, NDArray]],
        image_size: tuple[int, int],
        threshold: Threshold,
        clip: bool,
    ) -> sv.Detections:
        """Of all views of one image."""
        found = tta.join(views, self.modes, self.top_k)
        if clip:
            found = tta.clip_to_image(found, image_size)
        labels = found["labels"]
        kept = found["scores"] >= self.thresholds(threshold)[labels]
        return sv.Detections(
            xyxy=found["boxes"][kept],
            confidence=found["scores"][kept],
            class_id=labels[kept],
            data={"class_name": np.array(self.class_names, dtype=str)[labels[kept]]},
        )


def choose_device(name: str | torch.device) -> torch.device:
    """The device of that name; ``auto`` takes CUDA, else MPS, else the CPU.

    Raises:
        InputError: the device cannot be used.
    """
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
