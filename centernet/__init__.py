"""CenterNet, objects as points: an object detector whose heatmaps you can look at."""

import importlib
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

if TYPE_CHECKING:
    from centernet.inference.detector import Detector
    from centernet.models.centernet import CenterNet

__all__ = ["CenterNet", "Detector"]

_HOME = {"CenterNet": "centernet.models.centernet", "Detector": "centernet.inference.detector"}


def __getattr__(name: str) -> Any:
    """Import the large parts when first asked for, so that the command line answers at once."""
    if name not in _HOME:
        raise AttributeError(f"module 'centernet' has no attribute {name!r}")
    return getattr(importlib.import_module(_HOME[name]), name)
