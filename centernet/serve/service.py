"""From image files to detections: decoding in threads, then batches in the inference thread."""

import asyncio
import io
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from time import perf_counter
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray
from starlette.exceptions import HTTPException

from centernet import __version__
from centernet.data.image_headers import count_pixels, read_size
from centernet.data.images import decode_image
from centernet.errors import InputError
from centernet.inference.detector import Detector
from centernet.inference.records import detections_record
from centernet.inference.thresholds import Threshold
from centernet.serve.batcher import Batcher
from centernet.serve.bodies import BUSY, Upload, make_budget
from centernet.serve.budget import Budget, Lease
from centernet.serve.limits import Limits
from centernet.serve.metrics import Metrics
from centernet.sizes import format_size

# Threads that decode images. The network uses all cores; more threads would only use more memory.
_DECODERS = 2
# A progressive JPEG of a camera or tool has about ten. Each takes as long as decoding the image.
_MAX_SCANS = 64
_JPEG_START, _JPEG_SCAN = b"\xff\xd8", b"\xff\xda"

Result = TypeVar("Result")


@dataclass(frozen=True)
class Answer:
    """The detections in the images of a request.

    Attributes:
        images: one JSON object per image, see :func:`.detections_record`.
        seconds: time by step, the sum of all images: ``load`` (decode and preprocess), ``wait``,
            ``network``, ``decode`` (the detections).
    """

    images: list[dict[str, Any]]
    seconds: dict[str, float]


class Service:
    """A detector for many requests at one time. Only the thread of the event loop calls it.

    Attributes:
        detector: the detector; only the inference thread may predict with it.
        title: name of the model.
        limits: limits of requests.
        metrics: counters.
        stopping: whether the server shuts down.
    """

    def __init__(
        self,
        detector: Detector,
        *,
        title: str,
        limits: Limits,
        threshold: Threshold,
        batch_size: int,
        sha256: str = "",
    ) -> None:
        """Start the threads.

        Args:
            detector: detector that no other thread uses.
            title: name of the model.
            limits: limits of requests.
            threshold: score threshold of requests that give none.
            batch_size: maximum number of images per batch.
            sha256: SHA-256 of the weights.

        Raises:
            InputError: the threshold is invalid.
        """
        self.detector, self.title, self.limits, self._sha256 = detector, title, limits, sha256
        self._default = detector.thresholds(threshold)
        self.metrics, self.stopping = Metrics(), False
        self._batch_size = batch_size
        self._batcher = Batcher(detector, batch_size, on_batch=self.metrics.batches.observe)
        self.metrics.waiting.set_function(lambda: self._batcher.waiting)
        self._decoders = ThreadPoolExecutor(_DECODERS, "decode")
        self._bodies, self._pixels = make_budget(limits), Budget(limits.pixels_in_memory)
        self._active = 0

    @property
    def ready(self) -> bool:
        """Whether images can be detected in."""
        return self._batcher.alive and not self.stopping

    @contextmanager
    def admit(self) -> Iterator[Lease]:
        """Count a request as active; yields its share of the memory for bodies.

        Raises:
            HTTPException: 503 if too many requests are active.
        """
        if self._active >= self.limits.queue or not self._batcher.alive:
            raise HTTPException(
                503, f"the server is busy with {self._active} requests: send it again later", BUSY
            )
        self._active += 1
        self.metrics.active.set(self._active)
        try:
            with self._bodies.lease() as lease:
                yield lease
        finally:
            self._active -= 1
            self.metrics.active.set(self._active)

    async def detect(self, uploads: Sequence[Upload], threshold: Threshold | None) -> Answer:
        """Detect objects in the images of a request.

        Args:
            uploads: the image files.
            threshold: score threshold; None for the default.

        Raises:
            HTTPException: 422 for a file that is no image or has too many pixels, or an invalid
                threshold; 504 after the time limit.
        """
        thresholds = self._default
        if threshold is not None:
            try:
                thresholds = self.detector.thresholds(threshold)
            except InputError as error:
                raise HTTPException(422, str(error)) from None
        tasks = [asyncio.ensure_future(self._detect_in(u, thresholds)) for u in uploads]
        try:
            async with asyncio.timeout(self.limits.timeout):
                found = await asyncio.gather(*tasks)
        except TimeoutError:
            raise HTTPException(
                504, f"no answer within {self.limits.timeout:g} s: the server is busy", BUSY
            ) from None
        finally:
            # After the first error or a timeout, the images that have not started are dropped.
            for task in tasks:
                task.cancel()
        seconds: Counter[str] = Counter()
        for _, steps in found:
            seconds.update(steps)
        self.metrics.add_images(len(found), seconds)
        return Answer([record for record, _ in found], dict(seconds))

    async def _detect_in(
        self, upload: Upload, thresholds: NDArray[np.float64]
    ) -> tuple[dict[str, Any], dict[str, float]]:
        """The record of an image, and its seconds by step."""
        start = perf_counter()
        pixels = await self._in_thread(check_image, upload, self.limits.max_pixels)
        async with self._pixels.reserved(pixels):
            with self._batcher.preparing():
                image = await self._in_thread(decode_image, upload.data, repr(upload.name))
            loaded = perf_counter() - start
            job = self._batcher.submit(image, thresholds)
            del image
            prediction, waited = await asyncio.wrap_future(job)
        steps = prediction.seconds
        seconds = steps | {"load": steps["load"] + loaded, "wait": waited}
        return detections_record(prediction, upload.name), seconds

    async def _in_thread(self, function: Callable[..., Result], *arguments: Any) -> Result:
        """Call a function in a decoding thread; its InputError is the client's."""
        loop = asyncio.get_running_loop()
        try:
            return await loop.run_in_executor(self._decoders, function, *arguments)
        except InputError as error:
            raise HTTPException(422, str(error)) from None

    def about(self) -> dict[str, Any]:
        """Properties of the model and of the server."""
        info, limits = self.detector.engine.info, self.limits
        return {
            "model": self.title,
            "classes": list(info.class_names),
            "best_thresholds": None if info.thresholds is None else list(info.thresholds),
            "thresholds": self._default.tolist(),
            "input_size": None if info.image_size is None else list(info.image_size),
            "max_detections": self.detector.top_k,
            "counts": info.counting is not None,
            "engine": self.detector.engine.name,
            "device": self.detector.device,
            "batch_size": self._batch_size,
            "weights_sha256": self._sha256,
            "version": __version__,
            "limits": {
                "bytes": limits.max_bytes,
                "pixels": limits.max_pixels,
                "images": limits.max_images,
                "seconds": limits.timeout,
                "requests": limits.queue,
            },
        }

    def close(self) -> None:
        """Finish the images that wait, and end the threads."""
        self.stopping = True
        self._decoders.shutdown(cancel_futures=True)
        self._batcher.close()


def check_image(upload: Upload, max_pixels: int) -> int:
    """The number of pixels of an image file, from its header.

    Raises:
        InputError: it is no image, has too many pixels, or takes too long to decode.
    """
    name, data = upload.name, upload.data
    size = read_size(io.BytesIO(data))
    if size is None:
        raise InputError(f"{name!r} is not an image that the server can read ({len(data)} bytes)")
    if (pixels := count_pixels(size, data)) > max_pixels:
        raise InputError(
            f"image {name!r} has {format_size(size)} = {pixels:,} pixels, more than "
            f"{max_pixels:,}: scale it down"
        )
    if data.startswith(_JPEG_START) and (scans := data.count(_JPEG_SCAN)) > _MAX_SCANS:
        raise InputError(f"image {name!r} has {scans} scans, more than {_MAX_SCANS}: save it again")
    return pixels
