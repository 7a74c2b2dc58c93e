"""The heatmap loss of "Objects as Points", the default."""

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.autograd.function import once_differentiable

from centernet.losses.inputs import expanded

# How strongly negatives near a centre are played down, here and where the other losses are used on
# heatmaps: the paper's beta.
PENALTY_EXPONENT = 4.0

# Elements per piece and thread on the CPU: enough for PyTorch to use all threads, and few enough
# for a piece's buffers to stay in the cache.
_PER_THREAD = 65536
# From here on, log(1 + e^x) is x to the last digit of float64.
_LINEAR_FROM = 40.0


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

    On a CPU most of a plain loss's time goes into fresh memory for its temporaries. Here all pieces
    share three small buffers, and the gradient's own memory serves as the fourth.
    """

    @staticmethod
    def forward(ctx, logits, heatmap, mask, alpha, beta, normalizer):
        dtype = torch.float64 if logits.dtype == torch.float64 else torch.float32
        on_cpu = logits.device.type == "cpu"
        length = _PER_THREAD * torch.get_num_threads() if on_cpu else max(1, logits.numel())
        length = min(length, max(1, logits.numel()))
        buffers = [torch.empty(length, dtype=dtype, device=logits.device) for _ in range(3)]
        pieces = [t.reshape(-1) for t in (logits, heatmap) + (() if mask is None else (mask,))]
        gradient = None
        if ctx.needs_input_grad[0]:
            # float32 also for half-precision logits: a loss scale multiplies in later, and must not
            # be too late.
            gradient = torch.empty(logits.shape, dtype=dtype, device=logits.device)
            pieces.append(gradient.view(-1))
        sums = []
        for x, y, *rest in zip(*(p.split(length) for p in pieces), strict=True):
            keep = rest.pop(0) if mask is not None else None
            own = [buffer[: len(x)] for buffer in buffers]
            sums.append(
                _focal_piece(x.to(dtype), y.to(dtype), keep, alpha, beta, normalizer, own, *rest)
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
    buffers: list[Tensor],
    gradient: Tensor | None = None,
) -> Tensor:
    """Sum of the loss over flat cells, not yet normalised; d loss / d x goes to ``gradient``."""
    p, cross_entropy, weight = buffers
    # A GPU is not asked what there is, for the answer would have to be waited for.
    highest = 1.0 if x.device.type != "cpu" else y.max().item() if len(y) else 0.0
    weight.fill_(1)
    if highest:
        power_(weight.sub_(y), beta)
    if highest == 1:
        positive = y == 1
        weight.masked_fill_(positive, 1)
        x = torch.where(positive, -x, x)
    if keep is not None:
        weight.mul_(keep)
    torch.sigmoid(x, out=p)
    F.softplus(x, threshold=_LINEAR_FROM, out=cross_entropy)
    if alpha == 2:
        weight.mul_(p).mul_(p)
    else:
        weight.mul_(p.pow(alpha))
    if gradient is not None:
        torch.mul(cross_entropy, alpha, out=gradient)
        gradient.addcmul_(p, gradient, value=-1).add_(p).mul_(weight).div_(normalizer)
        if highest == 1:
            torch.where(positive, -gradient, gradient, out=gradient)
    # Added up in pairs, which a dot product is not.
    return weight.mul_(cross_entropy).sum()


def power_(base: Tensor, exponent: float) -> Tensor:
    """Power of a base, in its place; squaring twice is far faster than ``pow(x, 4)``."""
    if exponent == 4:
        return base.square_().square_()
    return base.pow_(exponent)
