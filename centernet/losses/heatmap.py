"""The heatmap losses by name. To add a loss, add one line to ``HEATMAP_LOSSES``.

A heatmap loss is called as ``loss(logits, heatmap, mask, normalizer=N)``, where

* ``logits`` are x, of any shape;
* ``heatmap`` is Y, of the same shape: values in [0, 1] with 1 at the centers, or bool targets such
  as those of anchors, which have no values in between;
* ``mask`` is None or bool and broadcasts to the logits; False cells add neither loss nor
  gradient if their logits are finite;
* ``normalizer`` is the number of positives: target cells that are 1.

All treat the center cells as positives and multiply the loss of a negative by (1 - Y)^4, the
weight in "Objects as Points", Eq. 1. They differ in the classification loss; GHM also in its scale.
RetinaNet (:mod:`centernet.models.retinanet`) uses the same losses, with anchors instead of cells.
"""

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from centernet.errors import InputError
from centernet.losses.focal import focal_loss_star, sigmoid_focal_loss
from centernet.losses.ghm import GHMClassificationLoss
from centernet.losses.penalty_reduced import center_distance_weight, penalty_reduced_focal_loss

HeatmapLoss = Callable[..., Tensor]


def _cell_weight(heatmap: Tensor) -> Tensor | None:
    """(1 - Y)^4, and 1 at the centers; None, which is 1 everywhere, for bool targets."""
    return None if heatmap.dtype == torch.bool else center_distance_weight(heatmap)


def from_binary_loss(loss: Callable[..., Tensor]) -> HeatmapLoss:
    """Make a heatmap loss from a binary loss of logits and bool targets.

    Args:
        loss: called as ``loss(logits, targets, weight=..., reduction="sum", **options)``, with bool
            targets that are True at the centers.
    """

    def heatmap_loss(
        logits: Tensor, heatmap: Tensor, mask: Tensor | None, *, normalizer: Tensor, **options: Any
    ) -> Tensor:
        weight = _cell_weight(heatmap)
        if mask is not None:
            weight = mask if weight is None else weight * mask
        total = loss(logits, heatmap == 1, weight=weight, reduction="sum", **options)
        return total / normalizer

    return heatmap_loss


class GHMHeatmapLoss(GHMClassificationLoss):
    """:class:`GHMClassificationLoss` with the center cells as positives.

    It is the mean over the regions of their mean cross-entropy and needs no normalizer.
    Its scale is that of the loss of one cell: the absolute gradients of all cells sum to at most
    (bins + 1) / (2 bins), 0.55 by default, while those of each L1 term sum to 1 before the weight.
    """

    def forward(
        self,
        logits: Tensor,
        targets: Tensor,
        mask: Tensor | None = None,
        *,
        weight: Tensor | None = None,
        normalizer: Tensor | None = None,
    ) -> Tensor:
        """Compute the loss of a batch.

        Args:
            logits: x, any shape.
            targets: the heatmap Y or bool targets, same shape.
            mask: bool, broadcasts to the logits; False cells are ignored.
            weight: replaces the weight (1 - Y)^4 of the negatives.
            normalizer: not used; the other heatmap losses need it.
        """
        weight = _cell_weight(targets) if weight is None else weight
        return super().forward(logits, targets == 1, mask, weight=weight)


# Functions, or modules if they have a state. Options are further keyword arguments.
HEATMAP_LOSSES: dict[str, HeatmapLoss | type[nn.Module]] = {
    "penalty_reduced_focal": penalty_reduced_focal_loss,
    "focal": from_binary_loss(sigmoid_focal_loss),
    "focal_star": from_binary_loss(focal_loss_star),
    "ghm": GHMHeatmapLoss,
}


def make_heatmap_loss(
    name: str,
    options: Mapping[str, Any] | None = None,
    losses: Mapping[str, HeatmapLoss | type[nn.Module]] = HEATMAP_LOSSES,
) -> HeatmapLoss:
    """Make the heatmap loss of a name.

    Args:
        name: a key of ``losses``.
        options: keyword arguments of the loss that differ from its defaults.
        losses: the available losses.

    Returns:
        A heatmap loss; see :mod:`centernet.losses.heatmap` for its arguments.

    Raises:
        InputError: the name or an option is unknown, or the value of an option is invalid.
    """
    if name not in losses:
        raise InputError(f"unknown heatmap_loss {name!r}: choose {', '.join(losses)}")
    entry, options = losses[name], options or {}
    try:
        if isinstance(entry, type):
            return entry(**options)
        loss = partial(entry, **options)
        # A call detects invalid options now rather than in the first training step.
        loss(torch.zeros(1), torch.ones(1), None, normalizer=torch.ones(()))
    except (TypeError, ValueError) as error:
        raise InputError(f"heatmap_loss_options {options} of {name}: {error}") from None
    return loss
