"""The loss of a RetinaNet: a classification loss on all anchors, L1 on the boxes of positives."""

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from centernet.errors import InputError
from centernet.losses.detection import DetectionLoss, averaged_counts
from centernet.losses.heatmap import HEATMAP_LOSSES, make_heatmap_loss
from centernet.losses.inputs import to_float
from centernet.models.retinanet.anchors import AnchorTargets

# Eq. 1 of "Objects as Points" is defined on heatmaps; anchors have binary targets.
HEATMAP_ONLY = ("penalty_reduced_focal",)


class RetinaNetLoss(DetectionLoss):
    """The loss of "Focal Loss for Dense Object Detection" (Lin et al., 2017), section 4.

    Both terms are divided by the number of positive anchors, except for ``ghm``, which needs no
    such number.
    """

    def __init__(
        self,
        weights: Mapping[str, float] | None = None,
        heatmap_loss: str = "focal",
        heatmap_loss_options: Mapping[str, Any] | None = None,
    ) -> None:
        """Choose the classification loss.

        Args:
            weights: weight by term name; the default is the paper's ``classification`` 1 and
                ``boxes`` 1.
            heatmap_loss: name of the classification loss: a key of ``HEATMAP_LOSSES`` that is not
                in ``HEATMAP_ONLY``. ``focal`` is the paper's. The scale of ``ghm`` differs, see
                :class:`centernet.losses.GHMHeatmapLoss`.
            heatmap_loss_options: keyword arguments of that loss that differ from its defaults.

        Raises:
            InputError: a term, the loss or an option is unknown, or the loss needs a heatmap.
        """
        super().__init__({"classification": 1.0, "boxes": 1.0}, weights)
        losses = {name: make for name, make in HEATMAP_LOSSES.items() if name not in HEATMAP_ONLY}
        if heatmap_loss in HEATMAP_ONLY:
            raise InputError(
                f"heatmap_loss {heatmap_loss!r} needs a heatmap, and a RetinaNet has none: "
                f"choose {', '.join(losses)}"
            )
        self.classification_loss = make_heatmap_loss(heatmap_loss, heatmap_loss_options, losses)

    def forward(
        self, stacks: Sequence[Mapping[str, Tensor]], targets: AnchorTargets
    ) -> dict[str, Tensor]:
        """Compute the terms of the loss.

        Args:
            stacks: one dict, the outputs of :meth:`.RetinaNet.forward`.
            targets: result of :func:`~centernet.models.retinanet.anchors.encode_anchors`.

        Returns:
            Scalars: ``classification`` and ``boxes``, not weighted, and ``loss``, their weighted
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
