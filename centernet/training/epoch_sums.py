"""The running sums of an epoch's means, for checkpoints within the epoch."""

from typing import Any

import torch
from lightning.pytorch import Trainer
from torch import Tensor


def collect_sums(trainer: Trainer) -> dict[str, Tensor]:
    """The sums so far of all that is averaged over the training epoch.

    All processes must call this. Beside what the task logs, these are the ``epoch_sums`` of every
    callback that has them.

    Returns:
        By name float32 tensors (processes, n). Of a logged value n is 2: the sum, and what it is
        divided by.
    """
    own = {
        name: torch.stack([metric.value, metric.cumulated_batch_size.to(metric.value.dtype)])
        for name, metric in _means(trainer).items()
        if not metric.has_reset
    }
    own |= {name: callback.epoch_sums for name, callback in _callbacks(trainer).items()}
    device = trainer.strategy.root_device
    return {
        name: trainer.strategy.all_gather(value.to(device)).reshape(-1, len(value)).cpu()
        for name, value in own.items()
    }


def restore_callback_sums(trainer: Trainer, sums: dict[str, Tensor]) -> None:
    """Give the callbacks their sums; before the first step."""
    for name, callback in _callbacks(trainer).items():
        if name in sums:
            callback.epoch_sums = _of_process(trainer, sums[name])


def add_logged_sums(trainer: Trainer, sums: dict[str, Tensor]) -> None:
    """Add the sums to those of the first step, which logged the first values.

    Addition commutes, so the result is to the last bit that of an unbroken epoch.
    """
    for name, metric in _means(trainer).items():
        if name in sums:
            value, count = _of_process(trainer, sums[name]).to(metric.value.device)
            metric.value = metric.value + value
            metric.cumulated_batch_size = metric.cumulated_batch_size + count.long()
            metric._computed = None


def _means(trainer: Trainer) -> dict[str, Any]:
    return {
        name: metric
        for name, metric in trainer.fit_loop.epoch_loop._results.items()
        if metric.is_tensor and metric.meta.on_epoch and metric.meta.is_mean_reduction
    }


def _callbacks(trainer: Trainer) -> dict[str, Any]:
    return {c.state_key: c for c in trainer.callbacks if hasattr(c, "epoch_sums")}


def _of_process(trainer: Trainer, sums: Tensor) -> Tensor:
    """This process's part; the first has all where there were more or fewer processes."""
    if len(sums) == trainer.world_size:
        return sums[trainer.global_rank]
    return sums.sum(0) if trainer.is_global_zero else torch.zeros_like(sums[0])
