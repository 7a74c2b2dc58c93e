"""The heatmap loss of "Objects as Points", the default."""

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.autograd.function import once_differentiable

from centernet.losses.inputs import expanded

# How strongly negatives near a centre are played down, here and where the other losses are used on
# heatmaps: the paper's beta.
PENALTY_EXPONENT = 4.0

# Elements per piece on the CPU: temporaries stay in the cache, and below the size from which the C
# library maps fresh pages for every one of them, which is what most of a naive loss's time goes
# into.
_CPU_CHUNK = 16384


def penalty_reduced_focal_loss(
    logits: Tensor,
    heatmap: Tensor,
    mask: Tensor | None = None,
    *,
    alpha: float = 2.0,
    beta: float = PENALTY_EXPONENT,
    normalizer: Tensor | float | None = None,
) -> Tensor:
    """Focal loss whose negatives count less near a centre ("Objects as Points", Eq. 1).

    Where Y = 1: -(1 - p)^alpha log(p). Elsewhere: -(1 - Y)^beta p^alpha log(1 - p). The sum over
    all cells is divided by the number of positives. The original clamps p to [1e-4, 1 - 1e-4] and
    so has no gradient beyond logits of about +-9.2; this one is exact everywhere.

    Args:
        logits: (B, C, h, w), or any shape.
        heatmap: Y of the same shape, in [0, 1]; a cell is positive where it is exactly 1.
        mask: bool, broadcasts to the logits; cells where it is False add nothing, neither loss nor
            gradient.
        alpha: how strongly easy cells are played down.
        beta: how strongly negatives near a centre are.
        normalizer: what the sum is divided by, instead of max(1, number of positives that are not
            masked out).

    Returns:
        A scalar, float64 for float64 logits and float32 for all others.

    Raises:
        ValueError: the heatmap has another shape than the logits, or the mask does not broadcast to
            it.
    """
    if heatmap.shape != logits.shape:
        raise ValueError(
            f"heatmap {tuple(heatmap.shape)} and logits {tuple(logits.shape)} must have one shape"
        )
    if mask is not None:
        mask = expanded("mask", mask, logits.shape)
    if normalizer is None:
        positive = heatmap == 1 if mask is None else (heatmap == 1) & mask
        normalizer = positive.sum().clamp(min=1)
    return _PenaltyReducedFocalLoss.apply(logits, heatmap, mask, alpha, beta, normalizer)


class _PenaltyReducedFocalLoss(torch.autograd.Function):
    """Loss and gradient in one pass over the logits, in pieces; only the gradient is kept.

    With z = -x where Y = 1 and z = x elsewhere, both cases are f(z) = sigmoid(z)^alpha softplus(z),
    and f'(z) = sigmoid(z)^alpha (alpha (1 - sigmoid(z)) softplus(z) + sigmoid(z)).
    """

    @staticmethod
    def forward(ctx, logits, heatmap, mask, alpha, beta, normalizer):
        dtype = torch.float64 if logits.dtype == torch.float64 else torch.float32
        pieces = [t.reshape(-1) for t in (logits, heatmap) + (() if mask is None else (mask,))]
        length = _CPU_CHUNK if logits.device.type == "cpu" else max(1, logits.numel())
        gradient = None
        if ctx.needs_input_grad[0]:
            # float32 also for half-precision logits: a loss scale multiplies in later, and must not
            # be too late.
            gradient = torch.empty(logits.shape, dtype=dtype, device=logits.device)
            pieces.append(gradient.view(-1))
        sums = []
        for parts in zip(*(p.split(length) for p in pieces), strict=True):
            x, y, *rest = parts
            keep = rest.pop(0) if mask is not None else None
            sums.append(
                _focal_piece(x.to(dtype), y.to(dtype), keep, alpha, beta, normalizer, *rest)
            )
        ctx.dtype = logits.dtype
        ctx.save_for_backward(gradient)
        # Many partial sums want float64; one piece, as on a GPU, does not: not every GPU has it.
        total = torch.stack(sums).sum(dtype=torch.float64) if len(sums) > 1 else sums[0]
        return (total / normalizer).to(dtype)

    @staticmethod
    @once_differentiable
    def backward(ctx, grad_output):
        (gradient,) = ctx.saved_tensors
        if grad_output.device.type != "cpu" or grad_output != 1:
            gradient = gradient * grad_output
        return gradient.to(ctx.dtype), None, None, None, None, None


def _focal_piece(
    x: Tensor,
    y: Tensor,
    keep: Tensor | None,
    alpha: float,
    beta: float,
    normalizer: Tensor | float,
    gradient: Tensor | None = None,
) -> Tensor:
    """Sum of the loss over flat cells, not yet normalised; d loss / d x goes to ``gradient``."""
    positive = y == 1
    weight = power(1 - y, beta)
    sign = None
    if x.device.type != "cpu" or positive.any():
        weight = weight.masked_fill(positive, 1)
        sign = 1 - 2 * positive.to(x.dtype)
        x = x * sign
    if keep is not None:
        weight = weight * keep
    p = torch.sigmoid(x)
    cross_entropy = -F.logsigmoid(-x)
    weight *= power(p, alpha)
    if gradient is not None:
        slope = torch.rsub(p, 1).mul_(alpha).mul_(cross_entropy).add_(p).mul_(weight)
        if sign is not None:
            slope *= sign
        torch.div(slope, normalizer, out=gradient)
    return torch.dot(weight, cross_entropy)


def power(base: Tensor, exponent: float) -> Tensor:
    """Power of a base; squaring twice is far faster than ``pow(x, 4)``."""
    if exponent == 2:
        return base.square()
    if exponent == 4:
        return base.square().square_()
    return base.pow(exponent)
