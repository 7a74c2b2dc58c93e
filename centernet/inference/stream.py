"""Predictions of the pictures of a source, one after another: images, videos, cameras, streams."""

import logging
from collections.abc import Generator, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Self

import numpy as np
from numpy.typing import NDArray

from centernet.errors import InputError, require_at_least
from centernet.inference.inputs import Video
from centernet.inference.output_base import Step
from centernet.inference.pictures import Picture, PictureSource, open_source
from centernet.inference.predict_pictures import default_batch_size, predict_pictures
from centernet.inference.prediction import Prediction
from centernet.inference.video.slot import Slot
from centernet.inference.video.tracking import TrackingStep
from centernet.inference.video.worker import Worker

if TYPE_CHECKING:
    from centernet.inference.detector import Detector

log = logging.getLogger(__name__)

# A source as ``Detector.stream`` takes it.
Source = str | Path | int | Sequence[str | Path]

# Seconds that the end of a stream waits for a camera, which may hang.
_PATIENCE = 2.0


class PredictionStream(Iterator[Prediction]):
    """The predictions of a source, made by :meth:`centernet.Detector.stream`.

    Images and frames are read and predicted when they are asked for, in batches. Of a camera or an
    endless stream the newest frame is predicted; frames that arrive meanwhile are dropped. An image
    that cannot be read is skipped with a warning, unless it is the only one.

    Attributes:
        name: name of the source; a URL without password and query.
        total: number of images or frames; None if it is not known.
        fps: frames per second of a video; None for images.
        skipped: number of images that could not be read so far.
    """

    def __init__(
        self,
        detector: "Detector",
        source: Source,
        *,
        thresholds: NDArray[np.float64],
        batch_size: int | None = None,
        heatmaps: bool = False,
        track: bool = False,
    ) -> None:
        """Open a source; arguments as for :meth:`centernet.Detector.stream`.

        Args:
            detector: detector to run.
            source: the source.
            thresholds: (C,) the score threshold of each class.
            batch_size: images or frames per batch; None chooses.
            heatmaps: predict heatmaps, too.
            track: track the objects of a video.

        Raises:
            InputError: an option is wrong, or the source cannot be opened.
        """
        require_at_least(1, batch_size=batch_size)
        if heatmaps:
            detector.engine.info.require_heatmaps("heatmaps=True")
        opened = open_source(_as_text(source), None)
        self._video = opened.video
        self.name, self.total = opened.name, opened.total
        self.fps = opened.video.fps if opened.video else None
        self.skipped = 0
        steps: list[Step] = []
        if track:
            if self.fps is None:
                raise InputError(f"track needs a video, a camera or a stream, got {self.name}")
            steps.append(TrackingStep(thresholds, detector.class_names, self.fps))
            thresholds = steps[0].thresholds(thresholds)
        live = opened.video is not None and opened.video.live
        self._predict = partial(
            predict_pictures,
            detector,
            thresholds=thresholds,
            batch_size=1 if live else batch_size or default_batch_size(detector),
            heatmaps=heatmaps,
        )
        self._predictions = self._run(opened, steps)

    def __next__(self) -> Prediction:
        """The prediction of the next image or frame.

        Raises:
            InputError: a video or the only image cannot be read.
        """
        return next(self._predictions)

    def close(self) -> None:
        """End the stream, and release the camera or file."""
        self._predictions.close()
        if self._video:
            self._video.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _run(
        self, source: PictureSource, steps: Sequence[Step]
    ) -> Generator[Prediction, None, None]:
        fatal = source.video is not None or source.total == 1
        pictures = source.pictures
        if source.video is not None and source.video.live:
            pictures = _newest(pictures, source.video)
        batch_size = self._predict.keywords["batch_size"]
        try:
            while batch := list(islice(pictures, batch_size)):
                for prediction, name in self._predict(batch, guard=partial(self._guard, fatal)):
                    for step in steps:
                        prediction = step(prediction, name)
                    yield prediction
        finally:
            pictures.close()

    @contextmanager
    def _guard(self, fatal: bool) -> Iterator[None]:
        """Count an image that cannot be read, and warn of it."""
        try:
            yield
        except InputError as error:
            if fatal:
                raise
            self.skipped += 1
            log.warning("skipped: %s", error)


def _as_text(source: Source) -> str | list[str]:
    """A source as the command line takes it."""
    if isinstance(source, str | Path | int):
        return str(source)
    if not source:
        raise InputError("source is an empty list: give images or folders")
    return [str(one) for one in source]


def _newest(
    pictures: Generator[Picture, None, None], video: Video
) -> Generator[Picture, None, None]:
    """The newest frame whenever one is asked for; a thread reads the camera."""
    slot: Slot[Picture] = Slot()

    def read() -> None:
        for picture in pictures:
            slot.put(picture)

    worker = Worker("capture", read, slot.close)
    worker.start()
    try:
        while not slot.finished:
            if picture := slot.take():
                yield picture
        if worker.error:
            raise worker.error
    finally:
        video.stop()
        slot.close()
        worker.join(_PATIENCE)
