"""What training minimises: the heatmap's loss, and that of the boxes at the objects' cells."""

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

import torch
import torch.distributed
from torch import Tensor, nn

from centernet.errors import InputError
from centernet.losses.boxes import BOX_CELLS, box_samples, giou_loss_at_cells, l1_at_centers
from centernet.losses.ghm import GHMClassificationLoss
from centernet.losses.heatmap import make_heatmap_loss
from centernet.targets import Targets

# Of the terms that say what a box is, by the network's head.
_BOX_WEIGHTS = {"size": {"size": 0.1, "offset": 1.0}, "sides": {"sides": 2.0}}


class DetectionLoss(nn.Module):
    """Named terms of a loss, and their weighted sum.

    Under several processes every term is divided by the average over the processes of its count, so
    that the averaged gradient is that of the whole batch in one process.

    Attributes:
        weights: of the terms.
    """

    def __init__(
        self, defaults: Mapping[str, float], weights: Mapping[str, float] | None = None
    ) -> None:
        """Weigh the terms.

        Args:
            defaults: weight by name of every term.
            weights: where they differ.

        Raises:
            InputError: there is no such term.
        """
        super().__init__()
        unknown = set(weights or ()) - defaults.keys()
        if unknown:
            raise InputError(
                f"loss_weights names {', '.join(unknown)}: the terms are {', '.join(defaults)}"
            )
        self.weights = dict(defaults) | dict(weights or {})

    def with_sum(self, terms: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """The terms, and ``loss``, their weighted sum."""
        return dict(terms) | {"loss": sum(self.weights[name] * terms[name] for name in terms)}

    def end_epoch(self) -> None:
        """Tell the parts that keep count of epochs that one of training has ended."""
        for part in self.modules():
            if isinstance(part, GHMClassificationLoss):
                part.end_epoch()

    def _load_from_state_dict(
        self, state_dict: dict[str, Any], prefix: str, *args: Any, **kwargs: Any
    ) -> None:
        """Take a state of the same loss; what another one has counted is of no use to this one."""
        own = self.state_dict(prefix=prefix)
        for name in [n for n in state_dict if n.startswith(prefix)]:
            if name not in own or state_dict[name].shape != own[name].shape:
                del state_dict[name]
        for name, value in own.items():
            state_dict.setdefault(name, value)
        super()._load_from_state_dict(state_dict, prefix, *args, **kwargs)


class CenterNetLoss(DetectionLoss):
    """A CenterNet's loss: the terms are averaged over the network's stacks."""

    def __init__(
        self,
        weights: Mapping[str, float] | None = None,
        heatmap_loss: str = "penalty_reduced_focal",
        heatmap_loss_options: Mapping[str, Any] | None = None,
        box_head: str = "size",
        box_cells: str = "gaussian",
    ) -> None:
        """Choose the losses of the heatmap and of the boxes.

        All of the heatmap have the centre cells as positives, and weigh the negatives by (1 - Y)^4,
        so that only the classification loss differs.

        Args:
            weights: by term name where they differ from the paper's heatmap 1, size 0.1, offset 1,
                or from heatmap 1, sides 2.
            heatmap_loss: penalty_reduced_focal, focal, focal_star, or ghm, whose scale differs, see
                :class:`centernet.losses.GHMHeatmapLoss`.
            heatmap_loss_options: of that loss, where they differ from its defaults.
            box_head: the network's: ``size``, which with ``offset`` learns by L1 at the centre
                cells, or ``sides``, which learns by generalised IoU.
            box_cells: of ``sides``, which cells learn an object's box, see
                :func:`centernet.losses.box_samples`.

        Raises:
            InputError: there is no such term, loss, option or kind of cells.
        """
        super().__init__({"heatmap": 1.0} | _BOX_WEIGHTS[box_head], weights)
        self.heatmap_loss = make_heatmap_loss(heatmap_loss, heatmap_loss_options)
        if box_cells not in BOX_CELLS:
            raise InputError(f"unknown box_cells {box_cells!r}: choose {' or '.join(BOX_CELLS)}")
        self.box_head, self.box_cells = box_head, box_cells

    def forward(
        self, stacks: Sequence[Mapping[str, Tensor]], targets: Targets
    ) -> dict[str, Tensor]:
        """Terms by name.

        Args:
            stacks: what :meth:`centernet.CenterNet.forward_stacks` returns.
            targets: what :func:`centernet.targets.encode_targets` returns.

        Returns:
            Scalars ``heatmap``, and ``size`` and ``offset`` or ``sides`` (not weighted), and
            ``loss``, their weighted sum.
        """
        peaks, objects = averaged_counts(
            (targets.heatmap == 1).sum(),
            torch.tensor(len(targets.label), device=targets.heatmap.device),
        )
        of_boxes = self._sides(targets) if self.box_head == "sides" else self._size(targets)
        terms = {name: 0.0 for name in self.weights}
        for outputs in stacks:
            heatmap = self.heatmap_loss(
                outputs["heatmap"], targets.heatmap, targets.mask, normalizer=peaks
            )
            terms["heatmap"] += heatmap / len(stacks)
            for name, loss in of_boxes.items():
                terms[name] += loss(outputs[name], normalizer=objects) / len(stacks)
        return self.with_sum(terms)

    def _size(self, targets: Targets) -> dict[str, Callable[..., Tensor]]:
        where = {"batch_index": targets.batch_index, "cell_index": targets.cell_index}
        return {
            name: partial(l1_at_centers, target=getattr(targets, name), **where)
            for name in ("size", "offset")
        }

    def _sides(self, targets: Targets) -> dict[str, Callable[..., Tensor]]:
        samples = box_samples(targets, self.box_cells)
        return {"sides": partial(giou_loss_at_cells, samples=samples)}


def averaged_counts(*counts: Tensor) -> list[Tensor]:
    """Counts averaged over the processes, each at least 1."""
    averaged = torch.stack(counts).float()
    if torch.distributed.is_available() and torch.distributed.is_initialized():
        torch.distributed.all_reduce(averaged)
        averaged /= torch.distributed.get_world_size()
    return list(averaged.clamp(min=1))
