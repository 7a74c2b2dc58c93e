"""The losses that can be chosen for the heatmap, by name."""

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from centernet.errors import InputError
from centernet.losses.focal import focal_loss_star, sigmoid_focal_loss
from centernet.losses.ghm import GHMClassificationLoss
from centernet.losses.penalty_reduced import (
    PENALTY_EXPONENT,
    penalty_reduced_focal_loss,
    power_,
)


def distance_weight(heatmap: Tensor) -> Tensor:
    """(1 - Y)^4, the default loss's penalty for negatives near a centre, and 1 at the centres."""
    return power_(1 - heatmap, PENALTY_EXPONENT).masked_fill_(heatmap == 1, 1)


def _at_centers(
    loss: Callable[..., Tensor],
    logits: Tensor,
    heatmap: Tensor,
    mask: Tensor | None,
    *,
    normalizer: Tensor,
    **options: Any,
) -> Tensor:
    """A binary loss whose positives are the centre cells, weighed like the default loss's."""
    weight = distance_weight(heatmap)
    if mask is not None:
        weight = weight * mask
    return loss(logits, heatmap == 1, weight=weight, reduction="sum", **options) / normalizer


class HarmonizedHeatmapLoss(GHMClassificationLoss):
    """:class:`GHMClassificationLoss` whose positives are the centre cells.

    It needs no number of objects to divide by: it is the mean over the regions of their mean
    cross-entropy, and so of the order of one cell's, whatever the number of cells and objects. The
    absolute gradients of all cells sum to at most (bins + 1) / (2 bins), 0.55 by default; those of
    the L1 terms sum to 1 each, before their weights.
    """

    def forward(
        self, logits: Tensor, heatmap: Tensor, mask: Tensor | None, *, normalizer: Tensor
    ) -> Tensor:
        """The loss of a batch; the normalizer is for the others."""
        return super().forward(logits, heatmap == 1, mask, weight=distance_weight(heatmap))


# What makes each loss from its options: partial(partial, f) keeps them for calls of f.
HEATMAP_LOSSES: dict[str, Callable[..., Callable[..., Tensor]]] = {
    "penalty_reduced_focal": partial(partial, penalty_reduced_focal_loss),
    "focal": partial(partial, _at_centers, sigmoid_focal_loss),
    "focal_star": partial(partial, _at_centers, focal_loss_star),
    "ghm": HarmonizedHeatmapLoss,
}


def make_heatmap_loss(
    name: str,
    options: Mapping[str, Any] | None = None,
    losses: Mapping[str, Callable[..., Callable[..., Tensor]]] = HEATMAP_LOSSES,
) -> Callable[..., Tensor]:
    """The loss of that name.

    Args:
        name: a key of ``losses``.
        options: of the loss, where they differ from its defaults.
        losses: those that there are, each made from its options.

    Returns:
        A function of logits, target, mask or None, and the keyword ``normalizer``; the target is
        a heatmap, or for other ``losses`` what they are of.

    Raises:
        InputError: there is no such loss, or its options are wrong.
    """
    if name not in losses:
        raise InputError(f"unknown heatmap_loss {name!r}: choose {', '.join(losses)}")
    try:
        loss = losses[name](**(options or {}))
        if not isinstance(loss, nn.Module):
            # Wrong options shall show now, not in the first step.
            loss(torch.zeros(1), torch.ones(1), None, normalizer=torch.ones(()))
    except (TypeError, ValueError) as error:
        raise InputError(f"heatmap_loss_options {options} of {name}: {error}") from None
    return loss
