"""Gradient harmonising: every region of gradient norms counts as much, however many are in it.

Li, Liu, Wang: "Gradient Harmonized Single-stage Detector", 2019, the classification loss GHM-C. The
gradient of cross-entropy by the logit has the norm g = |p - target|. Its range [0, 1] is cut into
``bins`` regions of equal width. GD(g), the gradient density, is the number of examples in g's
region divided by the region's width, that is, times ``bins``.
"""

from collections.abc import Sequence

import torch
import torch.distributed
import torch.nn.functional as F
from torch import Tensor, nn

from centernet.losses.inputs import binary, expanded, signed_logits

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
    """Cross-entropy of each example divided by its gradient density (Li et al., GHM-C).

    sum_i weight_i CE_i / GD(g_i). As GD is the number of examples in the region times ``bins``,
    this is the mean over the regions of the mean cross-entropy inside each; a region without
    examples adds nothing. No gradient flows through the density.

    Args:
        logits: any shape; one number per example and class.
        targets: of the same shape, bool, or numbers that are 0 or 1.
        mask: bool, broadcasts to the logits; examples where it is False are not counted and, if
            their logits are finite, add neither loss nor gradient.
        bins: number of regions.
        density: (bins,) the share of the examples in each region, to be used instead of this
            batch's; times the number of examples here, and at least one example per region.
        weight: factor for the cross-entropy of each example, broadcasts to the logits. The counts
            do not know it.

    Returns:
        A scalar, float64 for float64 logits and float32 for all others.

    Raises:
        ValueError: fewer than one bin, a density of another length, targets of another shape or
            value, or a mask or weight that does not broadcast.
    """
    _check_bins(bins)
    x_t = signed_logits(logits, binary(targets, logits))
    region = _regions(x_t, mask, bins)
    examples = _counts(region, bins)
    if density is not None:
        density = torch.as_tensor(density, dtype=x_t.dtype, device=x_t.device)
        if density.shape != (bins,):
            raise ValueError(f"density {tuple(density.shape)} must have the shape ({bins},)")
        examples = (density * examples.sum()).clamp(min=1)
    return _harmonized(x_t, region, examples, weight)


class GHMClassificationLoss(nn.Module):
    """:func:`ghm_classification_loss` with a density that remembers earlier batches or epochs.

    One batch's density is noisy where batches are small. Two remedies: a running mean over batches
    (``momentum``), or the density of a whole epoch (``schedule``).

    Under several processes the examples of all are counted, and each process divides by the average
    over the processes, so that the averaged gradient is that of the whole batch in one process.
    What is counted is kept in buffers and so in checkpoints; in eval mode nothing is.
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
        """Start with nothing counted.

        Args:
            bins: number of regions.
            momentum: of the running mean of the density over batches, in [0, 1): 0 takes the batch
                as it is. The mean starts with the first batch.
            schedule: "batch" takes the density of the batch, or its running mean; "epoch" that of
                the whole previous epoch, and in the first epoch that of the batch; "settle" that of
                the batch until an epoch's mean loss is no longer lower than the one before by
                ``settle_tolerance`` of it, from then on that of the previous epoch. The last two
                need :meth:`end_epoch`.
            settle_tolerance: see ``schedule``.

        Raises:
            ValueError: fewer than one bin, momentum outside [0, 1), an unknown schedule, or a
                negative tolerance.
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
        # Shares of the examples: of recent batches, or of the previous epoch; 0 before the first.
        self.register_buffer("density", torch.zeros(bins))
        # Of the epoch so far. Whole numbers: float32 would stop counting at 2^24.
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
        """The loss of a batch; arguments and result as for :func:`ghm_classification_loss`."""
        x_t = signed_logits(logits, binary(targets, logits))
        region = _regions(x_t, mask, self.bins)
        counts = _counts(region, self.bins)
        processes = _all_reduce(counts) if self.training else 1
        total = counts.sum().clamp(min=1)
        # Chosen on the device: nothing here waits for it.
        by_epoch = self.by_epoch & (self.schedule != "batch")
        keep = torch.where(by_epoch, 1.0, self.momentum * self.density.any())
        density = torch.lerp(counts / total, self.density, keep)
        examples = torch.where(keep == 0, counts, (density * total).clamp(min=1)) / processes
        loss = _harmonized(x_t, region, examples, weight)
        if self.training:
            self._remember(counts, density, loss.detach())
        return loss

    @torch.no_grad()
    def _remember(self, counts: Tensor, density: Tensor, loss: Tensor) -> None:
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
        """Tell the schedule that an epoch of training has ended; without a batch in it, nothing."""
        if self.schedule == "batch" or not self.counts.any():
            return
        if self.schedule == "epoch":
            self.by_epoch.fill_(True)
        else:
            mean = self.loss_sum / self.calls
            wanted = (1 - self.settle_tolerance) * self.last_loss
            self.by_epoch |= (self.last_loss > 0) & (mean > wanted)
            self.last_loss.copy_(mean)
        if self.by_epoch:
            self.density.copy_(self.counts / self.counts.sum())
        for counter in (self.counts, self.loss_sum, self.calls):
            counter.zero_()


@torch.no_grad()
def gradient_shares(
    gradient: Tensor, logits: Tensor, targets: Tensor, edges: Sequence[float]
) -> Tensor:
    """How much of a loss's gradient comes from easy and from hard examples.

    Args:
        gradient: of the loss by the logits.
        logits: of the same shape.
        targets: of the same shape, bool, or numbers that are 0 or 1.
        edges: n ascending numbers in (0, 1) that cut the norm g = |p - target| into n + 1 regions.

    Returns:
        (n + 1,) share of the sum of absolute gradients, easiest region first; all 0 where there is
        no gradient at all.
    """
    norm = torch.sigmoid(-signed_logits(logits, binary(targets, logits)))
    edges = torch.tensor(edges, dtype=norm.dtype, device=norm.device)
    region = torch.bucketize(norm, edges, right=True)
    size = gradient.to(norm.dtype).abs()
    sums = torch.stack([torch.where(region == i, size, 0).sum() for i in range(len(edges) + 1)])
    total = sums.sum()
    return sums / torch.where(total > 0, total, 1)


def _check_bins(bins: int) -> None:
    if bins < 1:
        raise ValueError(f"bins must be at least 1, got {bins}")


@torch.no_grad()
def _regions(x_t: Tensor, mask: Tensor | None, bins: int) -> Tensor:
    """Region of each example; ``bins``, one too many, for those that are masked out."""
    norm = torch.sigmoid(-x_t)
    # A logit that is NaN is in some region too: the loss shall be NaN, not the count fail.
    region = (norm * bins).long().clamp_(0, bins - 1)
    return region if mask is None else region.masked_fill(~expanded("mask", mask, x_t.shape), bins)


def _counts(region: Tensor, bins: int) -> Tensor:
    """(bins,) examples in each region."""
    return torch.bincount(region.flatten(), minlength=bins + 1)[:bins]


def _harmonized(x_t: Tensor, region: Tensor, examples: Tensor, weight: Tensor | None) -> Tensor:
    """Sum of the examples' cross-entropy, each divided by its density; ``examples`` (bins,)."""
    share = 1 / (examples.to(x_t.dtype) * len(examples))
    # What is masked out has a region of its own, which weighs nothing.
    harmony = torch.cat([share, share.new_zeros(1)])[region]
    if weight is not None:
        harmony = harmony * expanded("weight", weight, x_t.shape).to(x_t.dtype)
    return -(harmony * F.logsigmoid(x_t)).sum()


def _all_reduce(tensor: Tensor) -> int:
    """Add the tensors of all processes in place; returns the number of processes."""
    if not (torch.distributed.is_available() and torch.distributed.is_initialized()):
        return 1
    torch.distributed.all_reduce(tensor)
    return torch.distributed.get_world_size()
