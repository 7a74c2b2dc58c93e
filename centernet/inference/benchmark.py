"""Measure how fast engines run a network on this machine."""

from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import suppress
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path
from statistics import median, quantiles
from time import perf_counter

import numpy as np

from centernet.errors import InputError, first_line
from centernet.inference.config import InferenceConfig
from centernet.inference.engines import Engine, load_engine

DEFAULT_BATCH_SIZES = (1, 8)
DEFAULT_SECONDS = 5.0
_WARM_UP = 3  # batches; the first one compiles
_MIN_BATCHES = 5
_DEFAULT_SIZE = (512, 512)  # of networks that take images at their own size


@dataclass(frozen=True)
class BatchTime:
    """Times of batches of one size.

    Attributes:
        batch_size: images per batch.
        median: seconds per batch.
        p95: seconds that 95 % of the batches stay below.
        batches: number of measured batches.
    """

    batch_size: int
    median: float
    p95: float
    batches: int

    @property
    def images_per_second(self) -> float:
        """Images per second at the median."""
        return self.batch_size / self.median


@dataclass(frozen=True)
class Measurement:
    """Speed of an engine.

    Attributes:
        engine: name of the engine.
        device: its device.
        input_size: (height, width) of the network inputs.
        load_seconds: time to import the libraries and to load the weights.
        times: for each batch size.
        memory: largest resident memory of the process in bytes; None where it is unknown.
    """

    engine: str
    device: str
    input_size: tuple[int, int]
    load_seconds: float
    times: tuple[BatchTime, ...]
    memory: int | None


def measure(
    weights: str | Path,
    engine: str,
    *,
    device: str = "auto",
    batch_sizes: Sequence[int] = DEFAULT_BATCH_SIZES,
    seconds: float = DEFAULT_SECONDS,
    precision: str = InferenceConfig.precision,
) -> Measurement:
    """Measure an engine in a process of its own, from network input to detections.

    Args:
        weights: a checkpoint or an exported model.
        engine: name of the engine.
        device: as for :func:`.load_engine`.
        batch_sizes: images per batch.
        seconds: duration of the measurement of each batch size.
        precision: see :class:`.InferenceConfig`.

    Raises:
        InputError: the engine cannot run the weights.
    """
    arguments = (str(weights), engine, device, tuple(batch_sizes), seconds, precision)
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as process:
        try:
            return process.submit(_measure_here, *arguments).result()
        except BrokenProcessPool:
            raise InputError(f"the process of engine {engine} died, out of memory?") from None


def _measure_here(
    weights: str,
    name: str,
    device: str,
    batch_sizes: Sequence[int],
    seconds: float,
    precision: str,
) -> Measurement:
    """Measure an engine in this process."""
    start = perf_counter()
    config = InferenceConfig(precision=precision)
    engine = load_engine(weights, engine=name, device=device, config=config)
    load_seconds = perf_counter() - start
    multiple = engine.info.size_multiple
    height, width = (
        multiple * -(-side // multiple) for side in engine.info.image_size or _DEFAULT_SIZE
    )
    try:
        times = tuple(_time_batches(engine, size, (height, width), seconds) for size in batch_sizes)
    except InputError:
        raise
    except Exception as error:
        # Compilers and runtimes raise dozens of types, and not all can be sent to the parent.
        raise InputError(f"engine {name} failed: {first_line(error)}") from None
    return Measurement(
        engine.name, engine.device, (height, width), load_seconds, times, _peak_memory()
    )


def _time_batches(
    engine: Engine, batch_size: int, input_size: tuple[int, int], seconds: float
) -> BatchTime:
    generator = np.random.default_rng(0)
    images = generator.integers(0, 256, (batch_size, *input_size, 3), np.uint8)
    for _ in range(_WARM_UP):
        engine.run(images)
    times: list[float] = []
    while sum(times) < seconds or len(times) < _MIN_BATCHES:
        start = perf_counter()
        engine.run(images)
        times.append(perf_counter() - start)
    return BatchTime(
        batch_size, median(times), quantiles(times, n=20, method="inclusive")[-1], len(times)
    )


def _peak_memory() -> int | None:
    """The largest resident memory of this process in bytes, where Linux tells it."""
    # Not resource.getrusage, which returns the parent's peak if that is larger.
    with suppress(OSError, StopIteration):
        lines = Path("/proc/self/status").read_text().splitlines()
        peak = next(line for line in lines if line.startswith("VmHWM:"))
        return int(peak.split()[1]) * 1024
    return None
