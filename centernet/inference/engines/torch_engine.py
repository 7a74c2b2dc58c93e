"""Engines in PyTorch: plain, and compiled."""

from collections.abc import Callable, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from time import perf_counter
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from centernet.errors import InputError, first_line
from centernet.heads import HEADS
from centernet.inference.config import InferenceConfig
from centernet.inference.counting import CountCalibration
from centernet.inference.engines.base import EngineInfo, EngineResult

if TYPE_CHECKING:
    from centernet.models.base import DetectionModel


class TorchEngine:
    """Runs a network in PyTorch.

    Attributes:
        name: "torch".
        info: the properties of the network.
        device: name of the network's device.
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
        self._device = choose_device(device)
        self.device = str(self._device)
        self.network = network.eval().to(self._device)
        self._compute: Callable[[Tensor], dict[str, Tensor]] = self.network
        self._precision = _half_precision(config.precision, self._device)
        self.info = EngineInfo(
            class_names=tuple(class_names),
            thresholds=network.thresholds,
            stride=network.stride,
            size_multiple=network.size_multiple,
            image_size=image_size,
            top_k=config.max_detections(network.top_k),
            has_heatmaps=network.has_heatmaps,
            has_cells=network.has_heatmaps,
            point_sizes=network.point_sizes,
            counting=CountCalibration.from_stored(network.counting, len(class_names)),
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
        # The format of the images: otherwise every call converts the weights to it.
        network = network.to(memory_format=torch.channels_last)
        return cls(
            network, network.class_names, image_size=image_size, device=device, config=config
        )

    @cached_property
    def radius(self) -> int | None:
        """The distance in pixels beyond which no pixel influences a cell; None if unlimited."""
        from centernet.models.receptive_field import receptive_radius

        return receptive_radius(self.network, self._device)

    @torch.inference_mode()
    def forward(self, images: NDArray[np.uint8]) -> dict[str, Tensor]:
        """The raw outputs of the network for a batch (B, H, W, 3) uint8 RGB, on the device."""
        batch = torch.from_numpy(images).permute(0, 3, 1, 2).to(self._device)
        with torch.autocast(self._device.type, self._precision, enabled=bool(self._precision)):
            return flip_forward(self._compute, batch) if self._flip else self._compute(batch)

    def run(self, images: NDArray[np.uint8], *, heatmaps: bool = False) -> EngineResult:
        """Detect objects in a batch, see :meth:`Engine.run`."""
        start = perf_counter()
        outputs = self.forward(images)
        if self._device.type != "cpu":
            torch.accelerator.synchronize(self._device)
        seconds = perf_counter() - start
        decoded = self.network.decode(outputs, top_k=self.info.top_k)
        detections = [as_arrays(result) for result in decoded]
        maps = outputs["heatmap"].float().cpu().numpy() if heatmaps else None
        return EngineResult(detections, maps, seconds)


class CompiledEngine(TorchEngine):
    """Runs a network that ``torch.compile`` has compiled, again for each new size of the input."""

    name = "compile"

    def __init__(
        self, network: "DetectionModel", class_names: Sequence[str], **options: Any
    ) -> None:
        """Prepare the compilation; arguments as for :class:`TorchEngine`."""
        super().__init__(network, class_names, **options)
        compiled = torch.compile(self.network, dynamic=False)

        def compute(images: Tensor) -> dict[str, Tensor]:
            try:
                return compiled(images)
            except RuntimeError as error:  # also where there is no C++ compiler
                raise InputError(
                    f"engine compile failed ({first_line(error)}): use the engine torch"
                ) from None

        self._compute = compute


def as_arrays(values: Mapping[str, Tensor]) -> dict[str, NDArray]:
    """Tensors by name as arrays."""
    return {name: value.cpu().numpy() for name, value in values.items()}


def flip_forward(
    compute: Callable[[Tensor], dict[str, Tensor]], images: Tensor
) -> dict[str, Tensor]:
    """Combine the outputs of a network for images with those for the mirrored images.

    Each head decides how the two are combined, see :meth:`centernet.heads.Head.flip`.

    Args:
        compute: network with heads of :mod:`centernet.heads`.
        images: (B, 3, H, W).
    """
    both = compute(torch.cat([images, images.flip(-1)]))  # 2 B of each output
    outputs = {}
    for name, values in both.items():
        upright, mirrored = values.chunk(2)
        outputs[name] = HEADS[name].flip(upright, mirrored.flip(-1))
    return outputs


def _half_precision(name: str, device: torch.device) -> torch.dtype | None:
    """The data type of a precision for autocast; None for float32.

    Raises:
        InputError: the device is a CPU, which is slower in half precision.
    """
    if name == "float32":
        return None
    if device.type == "cpu":
        raise InputError(f"precision {name} needs a GPU, the device is cpu: use float32")
    return getattr(torch, name)


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
        reason = first_line(error)
        raise InputError(
            f"device {str(name)!r} cannot be used ({reason}): choose auto, cpu, cuda or mps"
        ) from None
    return device
