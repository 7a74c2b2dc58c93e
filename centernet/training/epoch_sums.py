"""Running sums of the means of an epoch, for checkpoints within the epoch.

Lightning has no public access to what it has logged so far, so this module reads private attributes
of its result collection. Tests of resuming within an epoch fail when they change.
"""

from typing import Any

import torch
from lightning.pytorch import Trainer
from torch import Tensor


def collect_sums(trainer: Trainer) -> dict[str, Tensor]:
    """The current sums of everything that is averaged over the training epoch.

    All processes must call this. The sums are those of the logged values, and the ``epoch_sums`` of
    every callback that has them.

    Returns:
        Float32 tensors (processes, n) by name. For a logged value n is 2: its sum and its count.
    """
    own = {
        name: torch.stack([metric.value, metric.cumulated_batch_size.to(metric.value.dtype)])
        for name, metric in _means(trainer).items()
        if not metric.has_reset
    }
    own |= {name: callback.epoch_sums for name, callback in _callbacks(trainer).items()}
    return {name: gather(trainer, value) for name, value in own.items()}


def gather(trainer: Trainer, value: Tensor) -> Tensor:
    """Stack a vector of every process: (n,) becomes (processes, n), on the CPU."""
    strategy = trainer.strategy
    return strategy.all_gather(value.to(strategy.root_device)).reshape(-1, len(value)).cpu()


def restore_callback_sums(trainer: Trainer, sums: dict[str, Tensor]) -> None:
    """Restore the sums of the callbacks; call before the first step."""
    for name, callback in _callbacks(trainer).items():
        if name in sums:
            callback.epoch_sums = _of_process(trainer, sums[name])


def add_logged_sums(trainer: Trainer, sums: dict[str, Tensor]) -> None:
    """Add the sums to those of the first step, which logged the first values.

    Addition commutes, so the result equals that of an uninterrupted epoch to the last bit.
    """
    for name, metric in _means(trainer).items():
        if name in sums:
            value, count = _of_process(trainer, sums[name]).to(metric.value.device)
            metric.value = metric.value + value
            metric.cumulated_batch_size = metric.cumulated_batch_size + count.long()
            metric._computed = None


def _means(trainer: Trainer) -> dict[str, Any]:
    results = trainer.fit_loop.epoch_loop._results
    return {
        name: metric
        for name, metric in results.items()
        if metric.is_tensor and metric.meta.on_epoch and metric.meta.is_mean_reduction
    }


def _callbacks(trainer: Trainer) -> dict[str, Any]:
    callbacks = trainer.callbacks  # type: ignore[attr-defined] # set by a connector
    return {c.state_key: c for c in callbacks if hasattr(c, "epoch_sums")}


def _of_process(trainer: Trainer, sums: Tensor) -> Tensor:
    """The sums of this process; the first gets all if the number of processes changed."""
    if len(sums) == trainer.world_size:
        return sums[trainer.global_rank]
    return sums.sum(0) if trainer.is_global_zero else torch.zeros_like(sums[0])
