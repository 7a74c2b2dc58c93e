"""Engines: run a network on a batch of images.

The :class:`.Detector` accesses a network only through the :class:`Engine` protocol. To add an
engine, add a class to this package and an entry to ``ENGINES``.
"""

import importlib
from operator import attrgetter
from pathlib import Path
from typing import TYPE_CHECKING

from centernet.errors import InputError
from centernet.inference.config import InferenceConfig
from centernet.inference.engines.base import Engine, EngineInfo, EngineResult
from centernet.installation import install_command

if TYPE_CHECKING:
    import torch

__all__ = ["AUTO", "ENGINES", "Engine", "EngineInfo", "EngineResult", "load_engine"]

AUTO = "auto"
EXPORTED = ".onnx"  # suffix of exported models
# For each engine what loads it, and the extra that installs its libraries. A module is imported
# when its engine is used: the libraries take seconds to import and may not be installed.
ENGINES = {
    "torch": ("torch_engine", "TorchEngine.load", "torch"),
    "compile": ("torch_engine", "CompiledEngine.load", "torch"),
    "onnxruntime": ("exported", "OnnxRuntimeEngine", "onnx"),
    "openvino": ("openvino_engine", "OpenVinoEngine", "openvino"),
}
_ENGINES_OF_EXPORTED = ("onnxruntime", "openvino")


def load_engine(
    weights: str | Path,
    *,
    engine: str = AUTO,
    device: "str | torch.device" = "auto",
    config: InferenceConfig | None = None,
) -> Engine:
    """Load weights into an engine.

    Args:
        weights: a checkpoint of ``fit`` (.ckpt) or of the original release (.pth), or an exported
            model (.onnx).
        engine: key of ``ENGINES``; ``auto`` takes ``torch`` for a checkpoint and ``onnxruntime``
            for an exported model.
        device: ``auto``, ``cpu``, ``cuda``, ``cuda:1`` or ``mps``, as far as the engine has it.
        config: options of inference.

    Raises:
        InputError: the engine is unknown, its library is missing, or it does not run such a file;
            the weights cannot be loaded, the device is not available, or the network does not
            support an option.
    """
    name = _name_of_engine(Path(weights), engine)
    module, function, extra = ENGINES[name]
    try:
        load = attrgetter(function)(importlib.import_module(f"{__name__}.{module}"))
        return load(weights, device=device, config=config or InferenceConfig())
    except ModuleNotFoundError as error:
        raise InputError(
            f"engine {name} needs the package {error.name}: {install_command(extra)}"
        ) from None


def engines_of(weights: Path) -> list[str]:
    """Names of the engines that run such a file, the default first."""
    exported = is_exported(weights)
    return [name for name in ENGINES if (name in _ENGINES_OF_EXPORTED) == exported]


def is_exported(weights: Path) -> bool:
    """Whether a file is an exported model, by its suffix."""
    return weights.suffix.lower() == EXPORTED


def _name_of_engine(weights: Path, engine: str) -> str:
    """The engine to use for a file; raises InputError if the requested one does not run it."""
    usable = engines_of(weights)
    if engine == AUTO:
        return usable[0]
    if engine not in ENGINES:
        raise InputError(f"engine must be auto or one of {', '.join(ENGINES)}, got {engine!r}")
    if engine in usable:
        return engine
    if engine in _ENGINES_OF_EXPORTED:
        raise InputError(
            f"engine {engine} needs an exported model (.onnx), got {weights}: run "
            f"`centernet export {weights} {weights.with_suffix(EXPORTED)}`"
        )
    raise InputError(
        f"engine {engine} needs a checkpoint (.ckpt), got {weights}: choose {' or '.join(usable)}"
    )
