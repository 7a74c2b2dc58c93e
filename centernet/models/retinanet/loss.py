"""What training a RetinaNet minimises: the anchors' classes, and L1 on the boxes of objects."""

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

import torch
from torch import Tensor

from centernet.errors import InputError
from centernet.losses.detection import DetectionLoss, averaged_counts
from centernet.losses.focal import focal_loss_star, sigmoid_focal_loss
from centernet.losses.ghm import GHMClassificationLoss
from centernet.losses.heatmap import HEATMAP_LOSSES, make_heatmap_loss
from centernet.losses.inputs import to_float
from centernet.models.retinanet.anchors import AnchorTargets


def _on_anchors(
    loss: Callable[..., Tensor],
    logits: Tensor,
    target: Tensor,
    mask: Tensor | None,
    *,
    normalizer: Tensor,
    **options: Any,
) -> Tensor:
    """A binary loss, divided by the number of positive anchors."""
    return loss(logits, target, weight=mask, reduction="sum", **options) / normalizer


class HarmonizedAnchorLoss(GHMClassificationLoss):
    """:class:`GHMClassificationLoss` of the anchors, which needs no number to divide by."""

    def forward(
        self, logits: Tensor, target: Tensor, mask: Tensor | None, *, normalizer: Tensor
    ) -> Tensor:
        """The loss of a batch; the normalizer is for the others."""
        return super().forward(logits, target, mask)


# What makes each loss from its options, as in HEATMAP_LOSSES.
ANCHOR_LOSSES: dict[str, Callable[..., Callable[..., Tensor]]] = {
    "focal": partial(partial, _on_anchors, sigmoid_focal_loss),
    "focal_star": partial(partial, _on_anchors, focal_loss_star),
    "ghm": HarmonizedAnchorLoss,
}


class RetinaNetLoss(DetectionLoss):
    """A RetinaNet's loss: a classification loss on all anchors, L1 on the positive ones' boxes."""

    def __init__(
        self,
        weights: Mapping[str, float] | None = None,
        heatmap_loss: str = "focal",
        heatmap_loss_options: Mapping[str, Any] | None = None,
    ) -> None:
        """Choose the loss of the classes.

        Args:
            weights: by term name where they differ from the paper's classification 1, boxes 1.
            heatmap_loss: focal (the paper's), focal_star, or ghm, whose scale differs, see
                :class:`centernet.losses.HarmonizedHeatmapLoss`.
            heatmap_loss_options: of that loss, where they differ from its defaults.

        Raises:
            InputError: there is no such term, loss or option, or the loss needs a heatmap.
        """
        super().__init__({"classification": 1.0, "boxes": 1.0}, weights)
        if heatmap_loss in HEATMAP_LOSSES.keys() - ANCHOR_LOSSES.keys():
            raise InputError(
                f"heatmap_loss {heatmap_loss!r} needs a heatmap, which a RetinaNet does not have: "
                f"choose {', '.join(ANCHOR_LOSSES)}"
            )
        self.classification_loss = make_heatmap_loss(
            heatmap_loss, heatmap_loss_options, ANCHOR_LOSSES
        )

    def forward(
        self, stacks: Sequence[Mapping[str, Tensor]], targets: AnchorTargets
    ) -> dict[str, Tensor]:
        """Terms by name.

        Args:
            stacks: what the forward_stacks method of the network returns.
            targets: what :func:`~centernet.models.retinanet.anchors.encode_anchors` returns.

        Returns:
            Scalars ``classification`` and ``boxes`` (not weighted), and ``loss``, their weighted
            sum.
        """
        (outputs,) = stacks
        logits = outputs["classification"]
        (positives,) = averaged_counts(
            torch.tensor(len(targets.anchor_index), device=logits.device)
        )
        boxes = to_float(outputs["boxes"][targets.batch_index, targets.anchor_index])
        return self.with_sum(
            {
                "classification": self.classification_loss(
                    logits, targets.classification, targets.mask, normalizer=positives
                ),
                "boxes": (boxes - targets.boxes).abs().sum() / positives,
            }
        )
