"""The order of the samples in each epoch."""

from collections.abc import Iterator

import numpy as np
from torch.utils.data import Sampler


class EpochSampler(Sampler[tuple[int, int]]):
    """Yields (epoch, index) pairs in an order that depends only on seed and epoch.

    Every process gets a part of the samples. The i-th batches of all processes together contain
    the same samples for any number of processes.
    """

    def __init__(
        self,
        length: int,
        *,
        batch_size: int,
        shuffle: bool,
        seed: int = 0,
        rank: int = 0,
        world_size: int = 1,
    ) -> None:
        """Sample ``length`` indices.

        Args:
            length: number of samples in the dataset.
            batch_size: batch size over all processes. When shuffling, the last incomplete batch is
                dropped; if there is less than one batch, samples are repeated so that every
                process has the same number.
            shuffle: whether to shuffle. Otherwise every index is used, and the first indices are
                repeated so that every process has the same number.
            seed: seed of the order.
            rank: rank of this process.
            world_size: number of processes.
        """
        self.length, self.batch_size, self.shuffle, self.seed = length, batch_size, shuffle, seed
        self.rank, self.world_size, self.epoch = rank, world_size, 0
        self._start = (0, 0)

    def set_epoch(self, epoch: int) -> None:
        """Choose the epoch; the training loop calls this."""
        self.epoch = epoch

    def start(self, epoch: int, position: int) -> None:
        """Resume within an epoch: skip its first ``position`` samples of this process."""
        self._start = (epoch, position)

    def __iter__(self) -> Iterator[tuple[int, int]]:
        order = np.arange(self.length)
        if self.shuffle:
            order = np.random.default_rng([self.seed, self.epoch]).permutation(order)
        own = np.resize(order, self._rounded())[self.rank :: self.world_size]
        epoch, position = self._start
        for index in own[position if self.epoch == epoch else 0 :]:
            yield self.epoch, int(index)

    def __len__(self) -> int:
        return self._rounded() // self.world_size

    def _rounded(self) -> int:
        """Samples of all processes. Each has the same number; otherwise they would block."""
        if self.shuffle and self.length >= self.batch_size:
            return self.length - self.length % self.batch_size
        return -(-self.length // self.world_size) * self.world_size
