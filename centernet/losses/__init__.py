"""Loss functions: the focal loss family, GHM, regression losses, and the loss of a CenterNet.

All functions take logits or raw predictions. They are correct in float64, float32, bfloat16 and
float16, and sum in at least float32. In the equations, x is a logit, p = sigmoid(x) its
probability, Y the target heatmap and N a count. Each loss keeps the symbols of its paper: the
focusing exponent is alpha in "Objects as Points" and gamma in "Focal Loss", where alpha weights the
positives.
"""

from typing import TYPE_CHECKING, Any

from centernet.losses.boxes import (
    BOX_CELLS,
    DEFAULT_BOX_CELLS,
    BoxSamples,
    box_samples,
    giou_loss_at_cells,
    l1_at_centers,
)
from centernet.losses.focal import focal_loss_star, sigmoid_focal_loss, softmax_focal_loss
from centernet.losses.ghm import (
    GHMClassificationLoss,
    ghm_classification_loss,
    gradient_shares,
)
from centernet.losses.heatmap import HEATMAP_LOSSES, GHMHeatmapLoss
from centernet.losses.penalty_reduced import penalty_reduced_focal_loss

if TYPE_CHECKING:
    from centernet.losses.detection import CenterNetLoss, DetectionLoss

__all__ = [
    "BOX_CELLS",
    "DEFAULT_BOX_CELLS",
    "HEATMAP_LOSSES",
    "BoxSamples",
    "CenterNetLoss",
    "DetectionLoss",
    "GHMClassificationLoss",
    "GHMHeatmapLoss",
    "box_samples",
    "focal_loss_star",
    "ghm_classification_loss",
    "giou_loss_at_cells",
    "gradient_shares",
    "l1_at_centers",
    "penalty_reduced_focal_loss",
    "sigmoid_focal_loss",
    "softmax_focal_loss",
]


def __getattr__(name: str) -> Any:
    """Import CenterNetLoss on first use: it imports the heads, which import this package."""
    if name not in ("CenterNetLoss", "DetectionLoss"):
        raise AttributeError(f"module 'centernet.losses' has no attribute {name!r}")
    from centernet.losses import detection

    return getattr(detection, name)
