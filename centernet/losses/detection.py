"""Losses of networks: named terms and their weighted sum."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import torch
import torch.distributed
from torch import Tensor, nn

from centernet.errors import InputError
from centernet.heads import DEFAULT_BOX_HEAD, LossContext, select_heads
from centernet.losses.boxes import BOX_CELLS, DEFAULT_BOX_CELLS
from centernet.losses.ghm import GHMClassificationLoss
from centernet.losses.heatmap import make_heatmap_loss
from centernet.targets import Targets


class DetectionLoss(nn.Module):
    """Base class: named terms, and their weighted sum.

    Under several processes a subclass divides each term by its count averaged over the processes,
    see :func:`averaged_counts`, so that the averaged gradient is that of the full batch in one
    process.

    Attributes:
        weights: weight of each term.
    """

    def __init__(
        self, defaults: Mapping[str, float], weights: Mapping[str, float] | None = None
    ) -> None:
        """Set the weights of the terms.

        Args:
            defaults: weight of every term, by name.
            weights: weights that differ from the defaults.

        Raises:
            InputError: ``weights`` contains an unknown term.
        """
        super().__init__()
        unknown = set(weights or ()) - defaults.keys()
        if unknown:
            raise InputError(
                f"unknown loss_weights {', '.join(unknown)}: choose from {', '.join(defaults)}"
            )
        self.weights = dict(defaults) | dict(weights or {})
        self.register_load_state_dict_pre_hook(_keep_own_state)

    def with_sum(self, terms: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """The terms, and ``loss``, their weighted sum."""
        weighted = [self.weights[name] * term for name, term in terms.items()]
        return dict(terms) | {"loss": torch.stack(weighted).sum()}

    def end_epoch(self) -> None:
        """Notify the modules that count epochs that a training epoch has ended."""
        for part in self.modules():
            if isinstance(part, GHMClassificationLoss):
                part.end_epoch()


class CenterNetLoss(DetectionLoss):
    """Loss of a CenterNet: one term per head, averaged over the network's stacks.

    "Objects as Points" (Zhou et al., 2019), Eq. 4, with other heads and losses to choose from.
    """

    def __init__(
        self,
        weights: Mapping[str, float] | None = None,
        heatmap_loss: str = "penalty_reduced_focal",
        heatmap_loss_options: Mapping[str, Any] | None = None,
        box_head: str = DEFAULT_BOX_HEAD,
        box_cells: str = DEFAULT_BOX_CELLS,
        heads: Iterable[str] | None = None,
    ) -> None:
        """Choose the losses of the heatmap and of the boxes.

        Args:
            weights: weights that differ from the ``loss_weight`` of the head.
            heatmap_loss: a key of :data:`centernet.losses.HEATMAP_LOSSES`.
            heatmap_loss_options: options of that loss that differ from its defaults.
            box_head: box head of the network: ``size``, trained with L1 at the center cells, or
                ``sides``, trained with generalized IoU.
            box_cells: which cells learn ``sides``, see :func:`centernet.losses.box_samples`.
            heads: names of the further heads of the network.

        Raises:
            InputError: a term, loss, option, head or kind of cells is unknown.
        """
        chosen = select_heads(box_head, heads)
        super().__init__({name: head.loss_weight for name, head in chosen.items()}, weights)
        if box_cells not in BOX_CELLS:
            raise InputError(f"unknown box_cells {box_cells!r}: choose {' or '.join(BOX_CELLS)}")
        self.heads, self.box_cells = chosen, box_cells
        self.heatmap_loss = make_heatmap_loss(heatmap_loss, heatmap_loss_options)

    def forward(
        self, stacks: Sequence[Mapping[str, Tensor]], targets: Targets
    ) -> dict[str, Tensor]:
        """Compute the terms.

        Args:
            stacks: result of :meth:`centernet.CenterNet.forward_stacks`.
            targets: result of :func:`centernet.targets.encode_targets`.

        Returns:
            A scalar per head by its name, not weighted, and ``loss``, their weighted sum.
        """
        positives = (targets.heatmap == 1).sum()
        counts = torch.tensor([len(targets.label), targets.num_boxes], device=positives.device)
        num_positives, num_objects, num_boxes = averaged_counts(positives, *counts)
        context = LossContext(
            num_positives, num_objects, num_boxes, self.heatmap_loss, self.box_cells
        )
        terms = {}
        for name, head in self.heads.items():
            losses = [head.loss(outputs[name], targets, context) for outputs in stacks]
            terms[name] = torch.stack(losses).mean()
        return self.with_sum(terms)


def averaged_counts(*counts: Tensor) -> list[Tensor]:
    """Counts averaged over the processes, each at least 1."""
    averaged = torch.stack(counts).float()
    if torch.distributed.is_available() and torch.distributed.is_initialized():
        torch.distributed.all_reduce(averaged)
        averaged /= torch.distributed.get_world_size()
    return list(averaged.clamp(min=1))


def _keep_own_state(loss: nn.Module, state_dict: dict[str, Any], prefix: str, *_: Any) -> None:
    """Ignore buffers of a checkpoint that do not fit this loss, and keep its own instead.

    Only GHM has buffers. A checkpoint may come from a run with another heatmap loss.
    """
    own = loss.state_dict(prefix=prefix)
    for name in [n for n in state_dict if n.startswith(prefix)]:
        if name not in own or state_dict[name].shape != own[name].shape:
            del state_dict[name]
    for name, value in own.items():
        state_dict.setdefault(name, value)
