"""CenterNet, "Objects as Points": an object detector that predicts a heatmap for each class."""

import importlib
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

if TYPE_CHECKING:
    from centernet.api.evaluate import evaluate
    from centernet.api.evaluation_result import ConfusionMatrix, EvaluationResult
    from centernet.api.run import Run
    from centernet.api.train import train
    from centernet.errors import InputError
    from centernet.inference.detector import Detector
    from centernet.inference.prediction import Prediction
    from centernet.inference.video.tracking import Tracker
    from centernet.models import official
    from centernet.models.centernet import CenterNet

__all__ = [
    "CenterNet",
    "ConfusionMatrix",
    "Detector",
    "EvaluationResult",
    "InputError",
    "Prediction",
    "Run",
    "Tracker",
    "evaluate",
    "official",
    "train",
]

# The module of each name.
_NAMES = {
    "CenterNet": "centernet.models.centernet",
    "ConfusionMatrix": "centernet.api.evaluation_result",
    "Detector": "centernet.inference.detector",
    "EvaluationResult": "centernet.api.evaluation_result",
    "InputError": "centernet.errors",
    "Prediction": "centernet.inference.prediction",
    "Run": "centernet.api.run",
    "Tracker": "centernet.inference.video.tracking",
    "evaluate": "centernet.api.evaluate",
    "train": "centernet.api.train",
}
_MODULES = {"official": "centernet.models.official"}


def __getattr__(name: str) -> Any:
    """Import on first use, so that the command line starts quickly."""
    if name in _MODULES:
        return importlib.import_module(_MODULES[name])
    if name not in _NAMES:
        raise AttributeError(f"module 'centernet' has no attribute {name!r}")
    return getattr(importlib.import_module(_NAMES[name]), name)


def __dir__() -> list[str]:
    """Names for the completion of an interpreter."""
    return sorted([*globals(), *__all__])
