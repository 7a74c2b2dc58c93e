"""What training minimises: the heatmap's loss, and L1 on size and offset at the centres."""

from collections.abc import Mapping, Sequence
from typing import Any

import torch
import torch.distributed
from torch import Tensor, nn

from centernet.errors import InputError
from centernet.losses.ghm import GHMClassificationLoss
from centernet.losses.heatmap import make_heatmap_loss
from centernet.losses.inputs import in_full
from centernet.targets import Targets


def l1_at_centers(
    prediction: Tensor,
    target: Tensor,
    batch_index: Tensor,
    cell_index: Tensor,
    *,
    normalizer: Tensor | float | None = None,
) -> Tensor:
    """Mean absolute error of a map, read only at the objects' centre cells.

    The sum is divided by 2 max(1, N): the paper's Eq. 2 and 3 divide by N, the released code, whose
    weights 0.1 and 1 are used here, by N times the two numbers of an object.

    Args:
        prediction: (B, 2, h, w).
        target: (N, 2).
        batch_index: (N,) image of each object.
        cell_index: (N,) y * w + x of its cell.
        normalizer: used for N instead of the number of objects.

    Returns:
        A scalar, float64 for float64 predictions and float32 for all others.
    """
    found = in_full(prediction.flatten(2)[batch_index, :, cell_index])
    count = max(1, len(target)) if normalizer is None else normalizer
    return (found - target).abs().sum() / (2 * count)


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
    ) -> None:
        """Choose the loss of the heatmap.

        All have the centre cells as positives, and weigh the negatives by (1 - Y)^4, so that only
        the classification loss differs.

        Args:
            weights: by term name where they differ from the paper's heatmap 1, size 0.1, offset 1.
            heatmap_loss: penalty_reduced_focal, focal, focal_star, or ghm, whose scale differs, see
                :class:`centernet.losses.HarmonizedHeatmapLoss`.
            heatmap_loss_options: of that loss, where they differ from its defaults.

        Raises:
            InputError: there is no such term, loss or option.
        """
        super().__init__({"heatmap": 1.0, "size": 0.1, "offset": 1.0}, weights)
        self.heatmap_loss = make_heatmap_loss(heatmap_loss, heatmap_loss_options)

    def forward(
        self, stacks: Sequence[Mapping[str, Tensor]], targets: Targets
    ) -> dict[str, Tensor]:
        """Terms by name.

        Args:
            stacks: what :meth:`centernet.CenterNet.forward_stacks` returns.
            targets: what :func:`centernet.targets.encode_targets` returns.

        Returns:
            Scalars ``heatmap``, ``size``, ``offset`` (not weighted), and ``loss``, their weighted
            sum.
        """
        peaks, objects = averaged_counts(
            (targets.heatmap == 1).sum(),
            torch.tensor(len(targets.label), device=targets.heatmap.device),
        )
        terms = {name: 0.0 for name in self.weights}
        for outputs in stacks:
            heatmap = self.heatmap_loss(
                outputs["heatmap"], targets.heatmap, targets.mask, normalizer=peaks
            )
            terms["heatmap"] += heatmap / len(stacks)
            for name in ("size", "offset"):
                error = l1_at_centers(
                    outputs[name],
                    getattr(targets, name),
                    targets.batch_index,
                    targets.cell_index,
                    normalizer=objects,
                )
                terms[name] += error / len(stacks)
        return self.with_sum(terms)


def averaged_counts(*counts: Tensor) -> list[Tensor]:
    """Counts averaged over the processes, each at least 1."""
    averaged = torch.stack(counts).float()
    if torch.distributed.is_available() and torch.distributed.is_initialized():
        torch.distributed.all_reduce(averaged)
        averaged /= torch.distributed.get_world_size()
    return list(averaged.clamp(min=1))
