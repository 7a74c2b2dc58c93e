"""Dynamic batching: one thread owns the detector and predicts the images that wait together."""

import ctypes
import threading
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from time import perf_counter

import numpy as np
from numpy.typing import NDArray

from centernet.inference.detector import Detector
from centernet.inference.prediction import Prediction

# Seconds without images, after which freed memory is returned to the system.
_IDLE_SECONDS = 5.0
# The longest time that a batch waits for images that are being decoded.
_WAIT_SECONDS = 0.005


@dataclass(frozen=True)
class Job:
    """An image that waits for the network.

    Attributes:
        image: (H, W, 3) uint8 RGB.
        thresholds: (C,) the score threshold of each class.
        future: receives the prediction and the seconds of waiting. Cancel it to drop the job,
            which works until its batch starts.
        start: time of the submission.
    """

    image: NDArray[np.uint8]
    thresholds: NDArray[np.float64]
    future: "Future[tuple[Prediction, float]]" = field(default_factory=Future)
    start: float = field(default_factory=perf_counter)


class Batcher:
    """Predicts images in batches, in a thread of its own.

    A batch takes all images that wait, up to its size. It starts at once, unless further images are
    being decoded at this moment; then it waits for them for at most 5 ms.
    """

    def __init__(
        self,
        detector: Detector,
        batch_size: int,
        *,
        on_batch: Callable[[int], object] = lambda size: None,
    ) -> None:
        """Start the thread.

        Args:
            detector: no other thread may use it.
            batch_size: maximum number of images per batch.
            on_batch: called with the number of images of each batch.
        """
        self._detector, self._batch_size, self._on_batch = detector, batch_size, on_batch
        self._jobs: deque[Job] = deque()
        self._preparing, self._stopping, self._rested = 0, False, True
        self._changed = threading.Condition()
        self._thread = threading.Thread(target=self._run, name="inference", daemon=True)
        self._thread.start()

    @property
    def alive(self) -> bool:
        """Whether the thread takes jobs."""
        return self._thread.is_alive() and not self._stopping

    @property
    def waiting(self) -> int:
        """Number of images that wait."""
        return len(self._jobs)

    @contextmanager
    def preparing(self) -> Iterator[None]:
        """Announce an image, which is submitted after this context."""
        self._preparing += 1  # changed by the thread of the event loop only
        try:
            yield
        finally:
            self._preparing -= 1

    def submit(
        self, image: NDArray[np.uint8], thresholds: NDArray[np.float64]
    ) -> "Future[tuple[Prediction, float]]":
        """Add an image; see :class:`Job`.

        Raises:
            RuntimeError: the thread has ended.
        """
        job = Job(image, thresholds)
        with self._changed:
            if not self.alive:
                raise RuntimeError("the inference thread has ended")
            self._jobs.append(job)
            self._changed.notify()
        return job.future

    def close(self) -> None:
        """Predict the images that wait, then end the thread."""
        with self._changed:
            self._stopping = True
            self._changed.notify()
        self._thread.join()

    def _run(self) -> None:
        try:
            while (batch := self._next_batch()) is not None:
                if not batch:
                    return_freed_memory()
                self._predict_all(batch)
                del batch  # the images would stay in memory until the next batch
        finally:
            with self._changed:
                self._stopping = True
                left, self._jobs = self._jobs, deque()
            for job in left:
                if job.future.set_running_or_notify_cancel():
                    job.future.set_exception(RuntimeError("the inference thread has ended"))

    def _next_batch(self) -> list[Job] | None:
        """The next jobs; none after some seconds without jobs; None when the thread shall end."""
        batch: list[Job] = []
        patience = None if self._rested else _IDLE_SECONDS
        with self._changed:
            self._rested = not self._changed.wait_for(self._has_work, patience)
            if self._rested:
                return []
            if not self._jobs:
                return None
            self._changed.wait_for(self._is_complete, _WAIT_SECONDS)
            while self._jobs and len(batch) < self._batch_size:
                job = self._jobs.popleft()
                if job.future.set_running_or_notify_cancel():
                    batch.append(job)
        return batch

    def _has_work(self) -> bool:
        return bool(self._jobs) or self._stopping

    def _is_complete(self) -> bool:
        return len(self._jobs) >= self._batch_size or not self._preparing

    def _predict_all(self, batch: Sequence[Job]) -> None:
        for group in _same_thresholds(batch):
            self._predict(group)

    def _predict(self, jobs: Sequence[Job]) -> None:
        """Predict jobs of the same thresholds; if they fail together, each alone."""
        start = perf_counter()
        try:
            predictions = self._detector.predict_batch(
                [job.image for job in jobs],
                self._batch_size,
                threshold=jobs[0].thresholds,
                heatmaps=False,
            )
        except Exception as error:
            if len(jobs) > 1:
                for job in jobs:
                    self._predict([job])
            else:
                jobs[0].future.set_exception(error)
            return
        with suppress(Exception):
            self._on_batch(len(jobs))
        for job, prediction in zip(jobs, predictions, strict=True):
            job.future.set_result((prediction, start - job.start))


def _same_thresholds(jobs: Sequence[Job]) -> list[list[Job]]:
    """Jobs in groups that one call of the detector can predict."""
    groups: dict[bytes, list[Job]] = {}
    for job in jobs:
        groups.setdefault(job.thresholds.tobytes(), []).append(job)
    return list(groups.values())


def return_freed_memory() -> None:
    """Return memory that the C allocator keeps for reuse to the system, where glibc is used.

    After a burst of requests it keeps some hundred megabytes.
    """
    with suppress(OSError, AttributeError, TypeError):  # Windows, musl, macOS
        ctypes.CDLL(None).malloc_trim(0)
