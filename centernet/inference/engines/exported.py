"""Engines for exported models (.onnx), and their metadata; the engine of ONNX Runtime.

Nothing here imports PyTorch.
"""

import json
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np
from numpy.typing import NDArray

from centernet.errors import InputError, first_line
from centernet.files import open_regular
from centernet.inference.config import InferenceConfig
from centernet.inference.counting import CountCalibration
from centernet.inference.engines.base import EngineInfo, EngineResult
from centernet.inference.probabilities import logit
from centernet.sizes import format_size

INPUT = "images"
DETECTIONS = ("boxes", "scores", "labels")
HEATMAP = "heatmap"  # an output only of a model that was exported with --maps
CELLS = "cells"  # an output only of a network with heatmaps
_METADATA = (
    "class_names",
    "stride",
    "size_multiple",
    "image_size",
    "thresholds",
    "top_k",
    "version",
)
_OPTIONAL = _RADIUS, _POINTS, _COUNTING = "radius", "points", "counting"
# ONNX Runtime's name for each device, the fastest last.
_PROVIDERS = {"cpu": "CPUExecutionProvider", "cuda": "CUDAExecutionProvider"}


def metadata_of(info: EngineInfo, version: str) -> dict[str, str]:
    """The metadata of an exported model by name, as JSON; :func:`read_info` reads them.

    Args:
        info: properties of the network; those that the outputs tell are not stored.
        version: version of this package.
    """
    counting = info.counting and info.counting.as_dict()
    values = vars(info) | {"version": version, _POINTS: info.point_sizes, _COUNTING: counting}
    return {name: json.dumps(values[name], ensure_ascii=False) for name in (*_METADATA, *_OPTIONAL)}


def read_info(
    weights: str | Path, metadata: Mapping[str, str], outputs: Sequence[str]
) -> EngineInfo:
    """The properties of an exported model.

    Args:
        weights: the file, for errors.
        metadata: the metadata of the file, see :func:`metadata_of`.
        outputs: names of the model's outputs.

    Raises:
        InputError: the model is not one of ``centernet export``, or its metadata are damaged.
    """
    missing = [f"the output {name}" for name in DETECTIONS if name not in outputs]
    missing += [f"{name} in its metadata" for name in _METADATA if name not in metadata]
    if missing:
        raise InputError(f"{weights} was not written by `centernet export`: it lacks {missing[0]}")
    try:
        values = {name: json.loads(metadata[name]) for name in _METADATA}
        size, thresholds = values["image_size"], values["thresholds"]
        radius, points, counting = (json.loads(metadata.get(n, "null")) for n in _OPTIONAL)
        info = EngineInfo(
            class_names=tuple(map(str, values["class_names"])),
            thresholds=None if thresholds is None else tuple(map(_number_or_none, thresholds)),
            stride=int(values["stride"]),
            size_multiple=int(values["size_multiple"]),
            image_size=None if size is None else (int(size[0]), int(size[1])),
            top_k=int(values["top_k"]),
            has_heatmaps=HEATMAP in outputs,
            has_cells=CELLS in outputs,
            radius=None if radius is None else int(radius),
            point_sizes=None if points is None else tuple(map(_number_or_none, points)),
            counting=CountCalibration.from_stored(counting, len(values["class_names"])),
        )
    except (ValueError, TypeError, LookupError) as error:
        raise InputError(f"{weights}: the metadata are damaged ({error})") from None
    numbers = (info.stride, info.size_multiple, info.top_k, *(info.image_size or ()))
    by_class = (info.class_names, info.thresholds, info.point_sizes)
    if min(numbers) < 1 or len({len(values) for values in by_class if values}) != 1:
        raise InputError(f"{weights}: the metadata are damaged ({info})")
    return info


def _number_or_none(value: Any) -> float | None:
    return None if value is None else float(value)


class ExportedEngine(ABC):
    """Runs a model of ``centernet export``; subclasses call a runtime.

    Attributes:
        name: as in ``Detector.load(engine=name)``.
        info: the properties of the network.
        device: name of the device.
    """

    name: str
    device: str

    def __init__(self, info: EngineInfo, config: InferenceConfig) -> None:
        """Take the properties of a model and the options of inference; ``top_k`` is used.

        Raises:
            InputError: an option is not possible with an exported model.
        """
        if config.flip:
            raise InputError(
                "flip needs the raw outputs of the network, which an exported model does not "
                "have: use the checkpoint (.ckpt)"
            )
        if config.precision != "float32":
            raise InputError(f"precision {config.precision} needs a checkpoint (.ckpt)")
        top_k = info.top_k if config.top_k == "auto" else config.max_detections(info.top_k)
        if top_k > info.top_k:
            raise InputError(
                f"top_k must be at most {info.top_k}, the number in the exported model, got "
                f"{top_k}: export the checkpoint again with --top-k {top_k}"
            )
        self.info = replace(info, top_k=top_k)

    @property
    def radius(self) -> int | None:
        """See :class:`.EngineInfo`."""
        return self.info.radius

    @abstractmethod
    def compute(self, images: NDArray[np.uint8], outputs: Sequence[str]) -> list[NDArray]:
        """The named outputs of the model for a batch (B, H, W, 3)."""

    def run(self, images: NDArray[np.uint8], *, heatmaps: bool = False) -> EngineResult:
        """Detect objects in a batch, see :meth:`.Engine.run`.

        Raises:
            InputError: height or width is not a multiple of ``info.size_multiple``, or the runtime
                fails.
        """
        height, width = images.shape[1:3]
        if height % self.info.size_multiple or width % self.info.size_multiple:
            raise InputError(
                f"input size {format_size((height, width))}: both sides must be multiples of "
                f"{self.info.size_multiple}"
            )
        start = perf_counter()
        names = [*DETECTIONS, *([CELLS] if self.info.has_cells else [])]
        try:
            values = self.compute(images, [*names, HEATMAP] if heatmaps else names)
        except Exception as error:
            # Such as too little memory; the runtimes' exceptions have no common base class.
            raise InputError(f"{self.name} failed: {first_line(error)}") from error
        seconds = perf_counter() - start
        found = [
            {
                name: value[row, : self.info.top_k]
                for name, value in zip(names, values, strict=False)
            }
            for row in range(len(images))
        ]
        return EngineResult(found, logit(values[-1]) if heatmaps else None, seconds)


class OnnxRuntimeEngine(ExportedEngine):
    """Runs an exported model in ONNX Runtime, on the CPU or with CUDA."""

    name = "onnxruntime"

    def __init__(
        self, weights: str | Path, *, device: str = "auto", config: InferenceConfig | None = None
    ) -> None:
        """Load a model.

        Args:
            weights: an ``.onnx`` file of ``centernet export``.
            device: ``cpu``, ``cuda``; ``auto`` takes CUDA if this ONNX Runtime has it.
            config: options of inference.

        Raises:
            InputError: the file is missing, damaged or of another kind, the device is not
                available, or an option is not possible.
        """
        import onnxruntime  # here, because the other engines do not need it

        check_file(weights)
        available = onnxruntime.get_available_providers()
        devices = [device for device, provider in _PROVIDERS.items() if provider in available]
        self.device = choose_runtime_device(device, devices, self.name)
        options = onnxruntime.SessionOptions()
        options.log_severity_level = 4  # errors are raised, too
        index = str(device).partition(":")[2]
        settings = {"device_id": index} if index and self.device == "cuda" else {}
        try:
            self._session = onnxruntime.InferenceSession(
                str(weights), options, providers=[(_PROVIDERS[self.device], settings)]
            )
        except Exception as error:
            # ONNX Runtime raises a dozen exception types without a common base class.
            raise damaged(weights, error) from None
        if _PROVIDERS[self.device] not in self._session.get_providers():
            # ONNX Runtime takes the CPU where the libraries of CUDA are missing.
            if str(device) != "auto":
                raise InputError(
                    f"device {str(device)!r} cannot be used by {self.name}: the libraries of CUDA "
                    "cannot be loaded; choose cpu"
                )
            self.device = "cpu"
        metadata = self._session.get_modelmeta().custom_metadata_map
        names = [output.name for output in self._session.get_outputs()]
        super().__init__(read_info(weights, metadata, names), config or InferenceConfig())

    def compute(self, images: NDArray[np.uint8], outputs: Sequence[str]) -> list[NDArray]:
        """The named outputs of the model for a batch (B, H, W, 3)."""
        return self._session.run(list(outputs), {INPUT: images})


def check_file(weights: str | Path) -> None:
    """Raise InputError if a model file cannot be read: the runtimes' own messages are long."""
    try:
        open_regular(weights).close()
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise InputError(f"cannot read weights {weights}: {reason}") from None


def damaged(weights: str | Path, error: Exception) -> InputError:
    """The error for a file that a runtime cannot load, with the last line of its message."""
    reason = (str(error).strip() or type(error).__name__).splitlines()[-1]
    return InputError(f"{weights} is damaged or not an ONNX model, export it again ({reason})")


def choose_runtime_device(name: str, available: Sequence[str], runtime: str) -> str:
    """The device of that name; ``auto`` takes the last one that is available.

    Raises:
        InputError: the runtime does not have the device.
    """
    kind = str(name).partition(":")[0]
    if kind == "auto":
        return available[-1]
    if kind not in available:
        raise InputError(
            f"device {str(name)!r} cannot be used by {runtime} here: choose auto or "
            f"{' or '.join(available)}"
        )
    return kind
