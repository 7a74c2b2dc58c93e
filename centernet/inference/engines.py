"""Engines: run a network on a batch of images.

The :class:`.Detector` accesses a network only through the :class:`Engine` protocol. To add an
engine, add a class here and an entry in ``_ENGINES``.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter
from typing import TYPE_CHECKING, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from centernet.errors import InputError
from centernet.inference import tta
from centernet.inference.config import InferenceConfig

if TYPE_CHECKING:
    from centernet.models.base import DetectionModel


@dataclass(frozen=True)
class EngineInfo:
    """Properties of a network that a :class:`.Detector` uses.

    Attributes:
        class_names: class names by label.
        thresholds: the best score threshold of each class, None for a class without one; None if
            the weights store none.
        stride: input pixels per heatmap cell.
        size_multiple: height and width of the input must be multiples of this.
        image_size: (height, width) the network was trained at; None if it takes images at their
            own size.
        top_k: maximum number of detections per image.
        has_heatmaps: whether the network predicts heatmaps.
    """

    class_names: tuple[str, ...]
    thresholds: tuple[float | None, ...] | None
    stride: int
    size_multiple: int
    image_size: tuple[int, int] | None
    top_k: int
    has_heatmaps: bool

    def require_heatmaps(self, option: str) -> None:
        """Raise InputError, for ``option``, if the network has no heatmaps."""
        if not self.has_heatmaps:
            raise InputError(f"{option} needs heatmaps, but the network of these weights has none")


@dataclass(frozen=True)
class EngineResult:
    """Detections in a batch of B images.

    Attributes:
        detections: B dicts, best first: ``boxes`` (K, 4) float32 xyxy in input pixels, ``scores``
            (K,) in [0, 1], ``labels`` (K,) int64.
        heatmaps: (B, C, h, w) float32 logits if requested, else None. An engine whose
            network returns probabilities takes their logit.
        network_seconds: time of the network alone, without decoding where the two are separate.
    """

    detections: list[dict[str, NDArray]]
    heatmaps: NDArray[np.float32] | None
    network_seconds: float


class Engine(Protocol):
    """Runs a network on batches of images.

    Attributes:
        name: as in ``Detector.load(engine=name)``.
        info: the properties of the network.
        device: device of the network.
    """

    name: str
    info: EngineInfo
    device: torch.device

    def run(self, images: NDArray[np.uint8], *, heatmaps: bool = False) -> EngineResult:
        """Detect objects in a batch.

        Args:
            images: (B, H, W, 3) uint8 RGB, H and W multiples of ``info.size_multiple``.
            heatmaps: also return the heatmaps, for a network that has them.
        """


class TorchEngine:
    """Runs a network in PyTorch.

    Attributes:
        name: "torch".
        info: the properties of the network.
        device: device of the network.
        network: the network, in eval mode on the device.
    """

    name = "torch"

    def __init__(
        self,
        network: "DetectionModel",
        class_names: Sequence[str],
        *,
        image_size: tuple[int, int] | None,
        device: str | torch.device = "auto",
        config: InferenceConfig | None = None,
    ) -> None:
        """Move a network to a device.

        Args:
            network: trained network.
            class_names: class names by label.
            image_size: (height, width) the network was trained at; None for none.
            device: see :func:`choose_device`.
            config: options of inference; ``flip`` and ``top_k`` are used.

        Raises:
            InputError: the device is not available, or ``flip`` is on and the network has no
                heatmaps.
        """
        config = config or InferenceConfig()
        self.device = choose_device(device)
        self.network = network.eval().to(self.device)
        self.info = EngineInfo(
            class_names=tuple(class_names),
            thresholds=network.thresholds,
            stride=network.stride,
            size_multiple=network.size_multiple,
            image_size=image_size,
            top_k=config.max_detections(network.top_k),
            has_heatmaps=network.has_heatmaps,
        )
        self._flip = config.flip
        if config.flip:
            self.info.require_heatmaps("flip")

    @classmethod
    def load(
        cls, weights: str | Path, *, device: str | torch.device, config: InferenceConfig
    ) -> "TorchEngine":
        """Load a checkpoint (.ckpt) or released weights (.pth). Nothing in the file is executed.

        Raises:
            InputError: as for the constructor; or the file is missing, damaged or of another kind.
        """
        # Here, because timm and torchvision take seconds to import.
        from centernet.models.pretrained import load_weights

        network, image_size = load_weights(weights)
        return cls(
            network, network.class_names, image_size=image_size, device=device, config=config
        )

    @torch.inference_mode()
    def forward(self, images: NDArray[np.uint8]) -> dict[str, Tensor]:
        """The raw outputs of the network for a batch (B, H, W, 3) uint8 RGB, on the device."""
        batch = torch.from_numpy(images).permute(0, 3, 1, 2).to(self.device)
        return tta.forward(self.network, batch, flip=self._flip)

    def run(self, images: NDArray[np.uint8], *, heatmaps: bool = False) -> EngineResult:
        """Detect objects in a batch, see :meth:`Engine.run`."""
        start = perf_counter()
        outputs = self.forward(images)
        if self.device.type != "cpu":
            torch.accelerator.synchronize(self.device)
        seconds = perf_counter() - start
        detections = [
            {name: value.cpu().numpy() for name, value in result.items()}
            for result in self.network.decode(outputs, top_k=self.info.top_k)
        ]
        maps = outputs["heatmap"].float().cpu().numpy() if heatmaps else None
        return EngineResult(detections, maps, seconds)


_ENGINES: dict[str, Callable[..., Engine]] = {TorchEngine.name: TorchEngine.load}


def load_engine(
    weights: str | Path,
    *,
    engine: str = "auto",
    device: str | torch.device = "auto",
    config: InferenceConfig | None = None,
) -> Engine:
    """Load weights into an engine.

    Args:
        weights: a checkpoint of ``fit`` (.ckpt) or of the original release (.pth).
        engine: name of the engine; ``auto`` takes the one for this kind of file.
        device: see :func:`choose_device`.
        config: options of inference.

    Raises:
        InputError: the engine is unknown, the weights cannot be loaded, the device is not
            available, or the network does not support an option.
    """
    name = TorchEngine.name if engine == "auto" else engine
    if name not in _ENGINES:
        raise InputError(f"engine must be auto or one of {', '.join(_ENGINES)}, got {engine!r}")
    return _ENGINES[name](weights, device=device, config=config or InferenceConfig())


def choose_device(name: str | torch.device) -> torch.device:
    """The device of that name, as cpu or cuda:1; ``auto`` takes CUDA, else MPS, else the CPU.

    Raises:
        InputError: the device is not available.
    """
    if name == "auto":
        mps = "mps" if torch.backends.mps.is_available() else "cpu"
        name = "cuda" if torch.cuda.is_available() else mps
    try:
        device = torch.device(name)
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError) as error:
        reason = str(error).splitlines()[0]
        raise InputError(
            f"device {str(name)!r} cannot be used ({reason}): choose auto, cpu, cuda or mps"
        ) from None
    return device
