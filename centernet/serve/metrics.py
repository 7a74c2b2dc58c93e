"""Metrics of the server in the format of Prometheus."""

from collections.abc import Mapping

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    ProcessCollector,
    generate_latest,
)

from centernet import __version__

_SECONDS = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)
_SIZES = (1, 2, 3, 4, 6, 8, 12, 16, 24, 32)


class Metrics:
    """The counters of one server; they are not shared between servers of a process.

    Attributes:
        active: number of requests for detection that the server works on or that wait.
        waiting: number of images that wait for the network.
        batches: number of images per batch.
    """

    def __init__(self) -> None:
        """Start from zero."""
        # Also the memory, CPU time and open files of the process, on Linux.
        registry = self._registry = CollectorRegistry()
        ProcessCollector(registry=registry)
        build = Gauge("centernet_build_info", "Version", ["version"], registry=registry)
        build.labels(__version__).set(1)
        self._requests = Counter(
            "centernet_requests", "Answered requests", ["path", "status"], registry=registry
        )
        self._seconds = Histogram(
            "centernet_request_seconds",
            "Seconds from the head of a request to the end of its answer",
            ["path"],
            buckets=_SECONDS,
            registry=registry,
        )
        self._images = Counter("centernet_images", "Images detected in", registry=registry)
        self._steps = Counter(
            "centernet_step_seconds",
            "Seconds by step, total of all images",
            ["step"],
            registry=registry,
        )
        self.batches = Histogram(
            "centernet_batch_size", "Images per batch", buckets=_SIZES, registry=registry
        )
        self.active = Gauge(
            "centernet_requests_active", "Requests for detection in work", registry=registry
        )
        self.waiting = Gauge(
            "centernet_images_waiting", "Images that wait for the network", registry=registry
        )

    def add_request(self, path: str, status: int, seconds: float) -> None:
        """Count an answered request; ``path`` must be one of few."""
        self._requests.labels(path, str(status)).inc()
        self._seconds.labels(path).observe(seconds)

    def add_images(self, number: int, seconds: Mapping[str, float]) -> None:
        """Count images, and their seconds by step."""
        self._images.inc(number)
        for step, value in seconds.items():
            self._steps.labels(step).inc(value)

    def text(self) -> bytes:
        """All metrics in the text format."""
        return generate_latest(self._registry)
