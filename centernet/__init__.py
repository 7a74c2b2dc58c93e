"""CenterNet, "Objects as Points": an object detector that predicts a heatmap for each class."""

import importlib
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

if TYPE_CHECKING:
    from centernet.inference.detector import Detector
    from centernet.inference.video.tracking import Tracker
    from centernet.models import official
    from centernet.models.centernet import CenterNet

__all__ = ["CenterNet", "Detector", "Tracker", "official"]

_CLASSES = {
    "CenterNet": "centernet.models.centernet",
    "Detector": "centernet.inference.detector",
    "Tracker": "centernet.inference.video.tracking",
}
_MODULES = {"official": "centernet.models.official"}


def __getattr__(name: str) -> Any:
    """Import on first use, so that the command line starts quickly."""
    if name in _MODULES:
        return importlib.import_module(_MODULES[name])
    if name not in _CLASSES:
        raise AttributeError(f"module 'centernet' has no attribute {name!r}")
    return getattr(importlib.import_module(_CLASSES[name]), name)
