"""Data loaders of a training run."""

import logging
import multiprocessing
from collections.abc import Iterator
from typing import Any, Literal

import torch
from torch.utils.data import DataLoader

from centernet.data.dataset import DetectionDataset, collate
from centernet.data.sampler import EpochSampler
from centernet.training.memory import memory_for_images
from centernet.training.stopping import ignore_stop_signals

log = logging.getLogger(__name__)


class ResumableLoader(DataLoader):
    """Batches of a dataset, in the order of an :class:`EpochSampler`.

    An epoch starts when its first batch is requested. The trainer creates the iterator of a resumed
    run before it restores the epoch, and workers that prefetch would take batches of epoch 0.
    """

    def __init__(
        self,
        dataset: DetectionDataset,
        sampler: EpochSampler,
        *,
        batch_size: int,
        workers: int,
        pin_memory: bool,
    ) -> None:
        """Create a loader.

        Args:
            dataset: the samples.
            sampler: the order of the samples of this process.
            batch_size: images per batch of this process.
            workers: number of worker processes; 0 loads in this process.
            pin_memory: whether batches are copied to pinned memory, for a GPU.
        """
        self._order, self._images = sampler, batch_size
        super().__init__(
            dataset,
            sampler=sampler,
            batch_size=batch_size,
            num_workers=workers,
            worker_init_fn=ignore_stop_signals,
            collate_fn=collate,
            pin_memory=pin_memory,
            persistent_workers=workers > 0,
            # Each epoch draws a seed for its workers. Drawn from torch's default generator, it
            # would change the random numbers of a resumed run.
            generator=torch.Generator(),
        )

    def __iter__(self) -> Iterator[Any]:  # type: ignore[override] # torch's iterator class is private
        yield from super().__iter__()

    def start(self, epoch: int, batches: int) -> None:
        """Continue within an epoch, after a number of batches of this process."""
        self._order.start(epoch, batches * self._images)


def keep_images(
    train_set: DetectionDataset,
    val_set: DetectionDataset,
    cache: int | Literal["auto"],
    workers: int,
    processes: int,
) -> None:
    """Keep the decoded images of a training run in memory, as far as they fit.

    Args:
        train_set: the training images.
        val_set: the validation images.
        cache: memory in MB, over all processes; ``auto`` for a part of the free memory.
        workers: number of worker processes per process, which share the memory.
        processes: number of processes of the run.
    """
    capacity = (memory_for_images() if cache == "auto" else cache * 2**20) // processes
    # Other processes than forked ones cannot share the memory.
    if workers and multiprocessing.get_start_method() != "fork":
        capacity = 0
    if capacity:
        log.info("decoded images stay in memory, up to %d MB", capacity // 2**20)
    train_set.keep_images(capacity - capacity // 4, shared=workers > 0)
    val_set.keep_images(capacity // 4, shared=workers > 0)
