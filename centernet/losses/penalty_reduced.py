"""The penalty-reduced focal loss of "Objects as Points" (Zhou et al., 2019), the default.

Equation 1, with x a logit, p = sigmoid(x), Y the target heatmap and N the number of positive cells
(in the paper of objects; they differ only if two objects of a class share a cell)::

    L = -1/N sum  (1 - p)^alpha log(p)                  where Y = 1
                  (1 - Y)^beta p^alpha log(1 - p)       elsewhere
"""

import torch
import torch.nn.functional as F
from torch import Tensor

from centernet.losses.fused_focal import FusedPenaltyReducedFocalLoss
from centernet.losses.inputs import broadcast_to, sigmoid_power, true_class_logits

# beta in Eq. 1: the exponent of the weight of negatives near a center.
PENALTY_EXPONENT = 4.0

# Above this number of cells on a CPU the fused form is used: it needs no memory for temporaries and
# does not wait for threads (see centernet.losses.fused_focal). Below, both take the same time. Time
# of loss and gradient relative to the plain form, 128 x 128, one CPU thread: 0.8 for 16 images of 3
# classes, 0.2 for 8 of 80. The fused form keeps one tensor for the backward pass instead of six.
FUSED_ABOVE = 2**15
# The same on other devices.
FUSED_ABOVE_ON_GPU = 2**23


def penalty_reduced_focal_loss(
    logits: Tensor,
    heatmap: Tensor,
    mask: Tensor | None = None,
    *,
    alpha: float = 2.0,
    beta: float = PENALTY_EXPONENT,
    normalizer: Tensor | float | None = None,
) -> Tensor:
    """Compute the focal loss that reduces the penalty for negatives near a center (Eq. 1).

    The original code clamps p to [1e-4, 1 - 1e-4] and therefore has no gradient where
    abs(x) > 9.2. This function does not clamp.

    Args:
        logits: x, (B, C, h, w) or any other shape.
        heatmap: Y, same shape, in [0, 1]. A cell is positive where Y is exactly 1.
        mask: bool, broadcasts to the logits. Cells where it is False add neither loss nor gradient
            if their logits are finite.
        alpha: focusing parameter, at least 0; larger values reduce the weight of easy cells.
        beta: exponent of the weight (1 - Y)^beta of the negatives, at least 0.
        normalizer: replaces the divisor N = max(1, number of positives that are not masked out).

    Returns:
        A scalar, float64 for float64 logits, else float32.

    Raises:
        ValueError: the heatmap has another shape than the logits, the mask does not broadcast to
            the logits, or alpha or beta is negative.
    """
    if not (alpha >= 0 and beta >= 0):
        raise ValueError(f"alpha and beta must not be negative, got {alpha} and {beta}")
    if heatmap.shape != logits.shape:
        raise ValueError(
            f"heatmap {tuple(heatmap.shape)} and logits {tuple(logits.shape)} "
            "must have the same shape"
        )
    if mask is not None:
        mask = broadcast_to("mask", mask, logits.shape)
    if normalizer is None:
        positive = heatmap == 1 if mask is None else (heatmap == 1) & mask
        normalizer = positive.sum().clamp(min=1)
    if logits.numel() > (FUSED_ABOVE if logits.device.type == "cpu" else FUSED_ABOVE_ON_GPU):
        return FusedPenaltyReducedFocalLoss.apply(logits, heatmap, mask, alpha, beta, normalizer)
    return _equation_1(logits, heatmap, mask, alpha, beta) / normalizer


def _equation_1(
    logits: Tensor, heatmap: Tensor, mask: Tensor | None, alpha: float, beta: float
) -> Tensor:
    """Eq. 1 before the division by N, with p_t = p where Y = 1 and 1 - p elsewhere."""
    x_t = true_class_logits(logits, heatmap == 1)
    weight = center_distance_weight(heatmap.to(x_t.dtype), beta)
    if mask is not None:
        weight = weight * mask
    modulation = sigmoid_power(-x_t, alpha)  # (1 - p_t)^alpha
    log_p_t = F.logsigmoid(x_t)
    return -(weight * modulation * log_p_t).sum()


def center_distance_weight(heatmap: Tensor, beta: float = PENALTY_EXPONENT) -> Tensor:
    """Compute (1 - Y)^beta for negatives and 1 for positives, the weight of each cell in Eq. 1.

    Args:
        heatmap: Y, any shape, in [0, 1].
        beta: the exponent.
    """
    weight = 1 - heatmap
    if beta == 4:
        weight.square_().square_()  # 13 times as fast as pow_(4)
    else:
        weight.pow_(beta)
    return torch.where(heatmap == 1, 1, weight)
