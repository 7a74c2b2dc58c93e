"""Means over a training epoch, whose running sums are part of checkpoints within the epoch.

A callback takes part if it has ``epoch_sums``, a vector of sums over the steps of the epoch.
"""

from collections.abc import Mapping
from typing import Any

import torch
from lightning.pytorch import Callback, LightningModule, Trainer
from torch import Tensor


class LossMeans(Callback):
    """Logs the mean of each loss term over the images of an epoch.

    Lightning can do that, too, but takes 2 ms for it at every step.

    Attributes:
        epoch_sums: float32 sums of the terms, each multiplied by the number of images, and the
            number of images.
    """

    def __init__(self) -> None:
        """Start without a step."""
        self.epoch_sums = torch.zeros(0)
        self._names: tuple[str, ...] = ()

    def add(self, terms: Mapping[str, Tensor], images: int) -> None:
        """Add the loss terms of a batch; the sum of all terms is named ``loss``."""
        self._names = tuple(terms)
        values = torch.stack([term.detach().float() for term in terms.values()])
        step = torch.cat([values, values.new_ones(1)]) * images
        known = len(self.epoch_sums) == len(step)
        self.epoch_sums = self.epoch_sums.to(step.device) + step if known else step

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Log the means over the images of all processes."""
        *sums, images = trainer.strategy.reduce(self.epoch_sums, reduce_op="sum")
        names = [name if name == "loss" else f"loss/{name}" for name in self._names]
        pl_module.log_dict({name: s / images for name, s in zip(names, sums, strict=True)})
        self.epoch_sums = torch.zeros(0)


def collect_sums(trainer: Trainer) -> dict[str, Tensor]:
    """The current ``epoch_sums`` of every callback that has them.

    All processes must call this.

    Returns:
        Float32 tensors (processes, n) by the name of the callback.
    """
    return {name: gather(trainer, c.epoch_sums) for name, c in _callbacks(trainer).items()}


def gather(trainer: Trainer, value: Tensor) -> Tensor:
    """Stack a vector of every process: (n,) becomes (processes, n), on the CPU."""
    strategy = trainer.strategy
    return strategy.all_gather(value.to(strategy.root_device)).reshape(-1, len(value)).cpu()


def restore_sums(trainer: Trainer, sums: dict[str, Tensor]) -> None:
    """Restore the sums; call before the first step."""
    for name, callback in _callbacks(trainer).items():
        if name in sums:
            callback.epoch_sums = _of_process(trainer, sums[name])


def _callbacks(trainer: Trainer) -> dict[str, Any]:
    callbacks = trainer.callbacks  # type: ignore[attr-defined] # set by a connector
    return {c.state_key: c for c in callbacks if hasattr(c, "epoch_sums")}


def _of_process(trainer: Trainer, sums: Tensor) -> Tensor:
    """The sums of this process; the first gets all if the number of processes changed."""
    if len(sums) == trainer.world_size:
        return sums[trainer.global_rank]
    return sums.sum(0) if trainer.is_global_zero else torch.zeros_like(sums[0])
