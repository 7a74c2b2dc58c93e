"""GHM-C (Li, Liu, Wang: "Gradient Harmonized Single-stage Detector", 2019).

With x a logit, p = sigmoid(x) and CE the cross-entropy, the gradient of CE with respect to x has
the norm g = |p - target|. The range [0, 1] of g is divided into ``bins`` regions of equal width.
The gradient density GD(g) is the number of examples in the region of g divided by the width of the
region, that is, multiplied by ``bins``. The loss is::

    L = sum_i CE_i / GD(g_i)
"""

from collections.abc import Sequence

import torch
import torch.distributed
import torch.nn.functional as F
from torch import Tensor, nn

from centernet.losses.inputs import as_bool_targets, broadcast_to, true_class_logits

_SCHEDULES = ("batch", "epoch", "settle")


def ghm_classification_loss(
    logits: Tensor,
    targets: Tensor,
    mask: Tensor | None = None,
    *,
    bins: int = 10,
    density: Tensor | Sequence[float] | None = None,
    weight: Tensor | None = None,
) -> Tensor:
    """Divide the cross-entropy of each example by its gradient density: sum_i w_i CE_i / GD(g_i).

    This equals the mean over the regions of the mean cross-entropy in each region, where a region
    without examples counts as 0. No gradient flows through the density.

    Args:
        logits: x, any shape; one number per example and class.
        targets: same shape; bool, or numbers that are 0 or 1.
        mask: bool, broadcasts to the logits. Examples where it is False are not counted and, if
            their logits are finite, add neither loss nor gradient.
        bins: number of regions.
        density: (bins,) fraction of the examples in each region. It replaces the density of this
            batch: each fraction is multiplied by the number of examples in this batch, and each
            region has at least one example.
        weight: factor w for the cross-entropy of each example; broadcasts to the logits. It does
            not change the counts.

    Returns:
        A scalar, float64 for float64 logits, else float32.

    Raises:
        ValueError: bins is below 1, the density has another length than bins, the targets have
            another shape than the logits or other values than 0 and 1, or the mask or weight does
            not broadcast.
    """
    _check_bins(bins)
    x_t = true_class_logits(logits, as_bool_targets(targets, logits))
    region = _regions(x_t, mask, bins)
    examples = _counts(region, bins)
    if density is not None:
        density = torch.as_tensor(density, dtype=x_t.dtype, device=x_t.device)
        if density.shape != (bins,):
            raise ValueError(f"density {tuple(density.shape)} must have the shape ({bins},)")
        examples = (density * examples.sum()).clamp(min=1)
    return _divide_by_density(x_t, region, examples, weight)


class GHMClassificationLoss(nn.Module):
    """:func:`ghm_classification_loss` with a density from earlier batches or epochs.

    The density of one batch is noisy if the batch is small. Two options reduce the noise: a running
    mean over batches (``momentum``, from the paper), or the density of an epoch (``schedule``, an
    addition of this project).

    With several processes, the counts are summed over all processes, and each process divides by
    their average, so that the averaged gradient equals that of the complete batch in one process.
    The counts are buffers and therefore part of checkpoints. In eval mode nothing is counted.
    """

    density: Tensor
    counts: Tensor
    calls: Tensor
    loss_sum: Tensor
    last_loss: Tensor
    by_epoch: Tensor

    def __init__(
        self,
        bins: int = 10,
        momentum: float = 0.0,
        schedule: str = "batch",
        settle_tolerance: float = 0.01,
    ) -> None:
        """Create a loss without any counts.

        Args:
            bins: number of regions.
            momentum: momentum of the running mean of the density over batches, in [0, 1); 0 uses
                the density of the batch. The mean starts with the first batch.
            schedule: ``batch`` uses the density of the batch, or its running mean. ``epoch`` uses
                the density of the previous epoch, and that of the batch in the first epoch.
                ``settle`` uses that of the batch until the mean loss of an epoch is no longer lower
                than that of the previous epoch by the fraction ``settle_tolerance``, and the
                density of the previous epoch from then on. The last two need :meth:`end_epoch`.
            settle_tolerance: see ``schedule``.

        Raises:
            ValueError: bins is below 1, momentum is outside [0, 1), the schedule is unknown, or the
                tolerance is negative.
        """
        super().__init__()
        _check_bins(bins)
        if not 0 <= momentum < 1:
            raise ValueError(f"momentum must be in [0, 1), got {momentum}")
        if schedule not in _SCHEDULES:
            raise ValueError(f"unknown schedule {schedule!r}: choose {', '.join(_SCHEDULES)}")
        if not settle_tolerance >= 0:
            raise ValueError(f"settle_tolerance must not be negative, got {settle_tolerance}")
        self.bins, self.momentum, self.schedule = bins, momentum, schedule
        self.settle_tolerance = settle_tolerance
        # Fractions of the examples, of recent batches or of the previous epoch; all 0 before the
        # first batch.
        self.register_buffer("density", torch.zeros(bins))
        # Counts of the current epoch, as integers: float32 cannot count beyond 2^24.
        self.register_buffer("counts", torch.zeros(bins, dtype=torch.long))
        self.register_buffer("calls", torch.tensor(0))
        self.register_buffer("loss_sum", torch.tensor(0.0))
        self.register_buffer("last_loss", torch.tensor(0.0))
        self.register_buffer("by_epoch", torch.tensor(False))

    def forward(
        self,
        logits: Tensor,
        targets: Tensor,
        mask: Tensor | None = None,
        *,
        weight: Tensor | None = None,
    ) -> Tensor:
        """Compute the loss of a batch; arguments as for :func:`ghm_classification_loss`."""
        x_t = true_class_logits(logits, as_bool_targets(targets, logits))
        region = _regions(x_t, mask, self.bins)
        counts = _counts(region, self.bins)
        processes = _all_reduce(counts) if self.training else 1
        total = counts.sum().clamp(min=1)
        # Tensor operations instead of Python conditions avoid a synchronization with the GPU.
        by_epoch = self.by_epoch & (self.schedule != "batch")
        # Weight of the stored density: 1 uses it alone, 0 (also before the first batch) that of
        # this batch alone.
        stored_weight = torch.where(by_epoch, 1.0, self.momentum * self.density.any())
        density = torch.lerp(counts / total, self.density, stored_weight)
        stored = (density * total).clamp(min=1)
        examples = torch.where(stored_weight == 0, counts, stored) / processes
        loss = _divide_by_density(x_t, region, examples, weight)
        if self.training:
            self._remember(counts, density, loss.detach())
        return loss

    @torch.no_grad()
    def _remember(self, counts: Tensor, density: Tensor, loss: Tensor) -> None:
        """Update the buffers after a training step."""
        self.density.copy_(torch.where(counts.any(), density, self.density))
        if self.schedule == "batch":
            return
        self.counts += counts
        if self.schedule == "settle":
            total = loss.to(self.loss_sum.dtype, copy=True)
            processes = _all_reduce(total)
            self.loss_sum += total / processes
            self.calls += 1

    @torch.no_grad()
    def end_epoch(self) -> None:
        """End a training epoch for ``schedule``; an epoch without batches changes nothing."""
        if self.schedule == "batch" or not self.counts.any():
            return
        if self.schedule == "epoch":
            self.by_epoch.fill_(True)
        else:
            mean = self.loss_sum / self.calls
            required = (1 - self.settle_tolerance) * self.last_loss
            self.by_epoch |= (self.last_loss > 0) & (mean > required)
            self.last_loss.copy_(mean)
        if self.by_epoch:
            self.density.copy_(self.counts / self.counts.sum())
        for counter in (self.counts, self.loss_sum, self.calls):
            counter.zero_()


@torch.no_grad()
def gradient_shares(
    gradient: Tensor, logits: Tensor, targets: Tensor, edges: Sequence[float]
) -> Tensor:
    """Compute the fractions of a loss's gradient that come from easy and hard examples.

    Args:
        gradient: gradient of the loss with respect to the logits.
        logits: x, same shape.
        targets: same shape; bool, or numbers that are 0 or 1.
        edges: n ascending numbers in (0, 1) that divide the range of g = |p - target| into n + 1
            regions.

    Returns:
        (n + 1,) fraction of the sum of absolute gradients, easiest region first; all 0 if every
        gradient is 0.
    """
    norm = torch.sigmoid(-true_class_logits(logits, as_bool_targets(targets, logits)))
    boundaries = torch.tensor(edges, dtype=norm.dtype, device=norm.device)
    region = torch.bucketize(norm, boundaries, right=True)
    size = gradient.to(norm.dtype).abs()
    sums = torch.stack([torch.where(region == i, size, 0).sum() for i in range(len(edges) + 1)])
    total = sums.sum()
    return sums / torch.where(total > 0, total, 1)


def _check_bins(bins: int) -> None:
    """Raise ValueError if there is no region."""
    if bins < 1:
        raise ValueError(f"bins must be at least 1, got {bins}")


@torch.no_grad()
def _regions(x_t: Tensor, mask: Tensor | None, bins: int) -> Tensor:
    """Return the region of each example, 0 to bins - 1, and ``bins`` for masked examples."""
    norm = torch.sigmoid(-x_t)
    # The clamp gives NaN logits a region too, so that the loss becomes NaN and the count works.
    region = (norm * bins).long().clamp_(0, bins - 1)
    if mask is not None:
        region = region.masked_fill(~broadcast_to("mask", mask, x_t.shape), bins)
    return region


def _counts(region: Tensor, bins: int) -> Tensor:
    """Count the examples in each region: (bins,)."""
    return torch.bincount(region.flatten(), minlength=bins + 1)[:bins]


def _divide_by_density(
    x_t: Tensor, region: Tensor, examples: Tensor, weight: Tensor | None
) -> Tensor:
    """Sum the cross-entropies, each divided by its density; ``examples`` (bins,) per region."""
    inverse = 1 / (examples.to(x_t.dtype) * len(examples))
    # The region of the masked examples, the last one, has the factor 0.
    factor = torch.cat([inverse, inverse.new_zeros(1)])[region]
    if weight is not None:
        factor = factor * broadcast_to("weight", weight, x_t.shape).to(x_t.dtype)
    return -(factor * F.logsigmoid(x_t)).sum()


def _all_reduce(tensor: Tensor) -> int:
    """Sum a tensor over all processes in place; return the number of processes."""
    if not (torch.distributed.is_available() and torch.distributed.is_initialized()):
        return 1
    torch.distributed.all_reduce(tensor)
    return torch.distributed.get_world_size()
