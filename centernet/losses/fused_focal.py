"""The penalty-reduced focal loss, fused: loss and gradient in one pass over large heatmaps.

:mod:`centernet.losses.penalty_reduced` explains the equation and decides when this form is used.
Both forms have equal values and gradients.
"""

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.autograd.function import once_differentiable

# On a CPU, heatmaps of up to so many cells are computed by one thread, in at most 10 ms. Several
# threads would wait for each other in each of some 300 operations; where other work occupies the
# cores, that takes longer than the operations.
_ONE_THREAD_UP_TO = 2**20
# Cells per piece on one thread: fewer than PyTorch divides among threads (32,768).
_CELLS_OF_ONE_THREAD = 32_000
# Cells per piece and thread of larger heatmaps: the larger, the fewer waits; the buffers of a piece
# still fit in the cache.
_CELLS_PER_THREAD = 2**18
# Above this value, log(1 + e^x) equals x in float64.
_SOFTPLUS_IS_LINEAR_FROM = 40.0


class FusedPenaltyReducedFocalLoss(torch.autograd.Function):
    """Eq. 1 of "Objects as Points" with a hand-written gradient.

    Let z = -x where Y = 1 and z = x elsewhere, so that sigmoid(z) = 1 - p_t and
    softplus(z) = -log p_t. The loss of a cell is w f(z), with w = 1 or (1 - Y)^beta and
    f(z) = sigmoid(z)^alpha softplus(z). Its derivative is
    f'(z) = sigmoid(z)^alpha (alpha (1 - sigmoid(z)) softplus(z) + sigmoid(z)).

    The forward pass processes the cells in pieces that share three small buffers. It computes the
    gradient in place of a fourth buffer and keeps nothing else for the backward pass.
    """

    @staticmethod
    def forward(
        ctx: Any,
        logits: Tensor,
        heatmap: Tensor,
        mask: Tensor | None,
        alpha: float,
        beta: float,
        normalizer: Tensor | float,
    ) -> Tensor:
        """Compute the loss; arguments as for :func:`.penalty_reduced_focal_loss`, mask expanded."""
        dtype = torch.float64 if logits.dtype == torch.float64 else torch.float32
        # float32 also for half-precision logits: the loss scale multiplies in later, and small
        # gradients would already be 0 by then.
        gradient = (
            torch.empty(logits.shape, dtype=dtype, device=logits.device)
            if ctx.needs_input_grad[0]
            else None
        )
        length = _piece_length(logits)
        buffers = [torch.empty(length, dtype=dtype, device=logits.device) for _ in range(3)]
        x_pieces, y_pieces = logits.reshape(-1).split(length), heatmap.reshape(-1).split(length)
        masks = mask.reshape(-1).split(length) if mask is not None else [None] * len(x_pieces)
        gradients = (
            gradient.view(-1).split(length) if gradient is not None else [None] * len(x_pieces)
        )
        sums = [
            _add_piece(
                x.to(dtype),
                y.to(dtype),
                piece_mask,
                alpha,
                beta,
                normalizer,
                [buffer[: len(x)] for buffer in buffers],
                piece_gradient,
            )
            for x, y, piece_mask, piece_gradient in zip(
                x_pieces, y_pieces, masks, gradients, strict=True
            )
        ]
        ctx.dtype = logits.dtype
        ctx.save_for_backward(gradient)
        # float64 for the many partial sums on a CPU. A GPU has one piece, and some GPUs have no
        # float64.
        total = torch.stack(sums).sum(dtype=torch.float64) if len(sums) > 1 else sums[0]
        return (total / normalizer).to(dtype)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad_output: Tensor) -> tuple[Tensor | None, ...]:
        """Scale the gradient of the forward pass."""
        (gradient,) = ctx.saved_tensors
        if grad_output.device.type != "cpu" or grad_output != 1:
            gradient = gradient * grad_output
        return gradient.to(ctx.dtype), None, None, None, None, None


def _piece_length(logits: Tensor) -> int:
    """Number of cells that are processed at a time."""
    cells = max(1, logits.numel())
    if logits.device.type != "cpu":
        return cells
    if cells <= _ONE_THREAD_UP_TO:
        return min(cells, _CELLS_OF_ONE_THREAD)
    return min(cells, _CELLS_PER_THREAD * torch.get_num_threads())


def _add_piece(
    z: Tensor,
    y: Tensor,
    mask: Tensor | None,
    alpha: float,
    beta: float,
    normalizer: Tensor | float,
    buffers: list[Tensor],
    gradient: Tensor | None,
) -> Tensor:
    """Return the loss of flat cells with the logits z, summed; write d loss / d x to gradient."""
    error, cross_entropy, weight = buffers  # error: sigmoid(z) = 1 - p_t
    # Most pieces of a heatmap are all 0 and need neither the power nor the positives. On a GPU the
    # answer would cost a synchronization.
    highest = 1.0 if z.device.type != "cpu" else y.max().item() if len(y) else 0.0
    weight.fill_(1)
    if highest:
        weight.sub_(y)
        if beta == 4:
            weight.square_().square_()  # 13 times as fast as pow_(4)
        else:
            weight.pow_(beta)
    if highest == 1:
        positive = y == 1
        weight.masked_fill_(positive, 1)
        z = torch.where(positive, -z, z)
    if mask is not None:
        weight.mul_(mask)
    torch.sigmoid(z, out=error)
    F.softplus(z, threshold=_SOFTPLUS_IS_LINEAR_FROM, out=cross_entropy)  # type: ignore[call-arg]  # the stub lacks out=
    if alpha == 2:
        weight.mul_(error).mul_(error)
    else:
        weight.mul_(error.pow(alpha))
    if gradient is not None:
        torch.mul(cross_entropy, alpha, out=gradient)
        gradient.addcmul_(error, gradient, value=-1).add_(error).mul_(weight).div_(normalizer)
        if highest == 1:
            torch.where(positive, -gradient, gradient, out=gradient)
    # A sum adds pairwise; a dot product would add one by one.
    return weight.mul_(cross_entropy).sum()
