"""The loop of ``detect`` over the pictures of a source: read, predict, change, write."""

import errno
import signal
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager
from functools import partial
from itertools import islice
from typing import NoReturn

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from centernet.errors import InputError
from centernet.inference.detector import Detector
from centernet.inference.output_base import Output, Step
from centernet.inference.output_paths import ResultName
from centernet.inference.pictures import Picture, PictureSource
from centernet.inference.predict_pictures import predict_pictures
from centernet.inference.prediction import Prediction
from centernet.inference.run_summary import RunSummary
from centernet.inference.window import WindowClosed

# The exit status that shells report for a program ended by Ctrl-C, and by SIGTERM.
_INTERRUPTED, _TERMINATED = 130, 143
# Write errors that would also occur for the next file.
_FATAL_ERRORS = (errno.ENOSPC, errno.EDQUOT, errno.EROFS)


class Terminated(KeyboardInterrupt):
    """The process has received SIGTERM, as services and containers do at their end."""


class DetectRun:
    """Reads the pictures of a source, predicts, applies the steps, and writes the outputs."""

    def __init__(
        self,
        detector: Detector,
        outputs: Sequence[Output],
        summary: RunSummary,
        *,
        thresholds: NDArray[np.float64],
        steps: Sequence[Step] = (),
        heatmaps: bool = False,
        candidates: bool = False,
        batch_size: int = 1,
    ) -> None:
        """Prepare a run.

        Args:
            detector: detector to run.
            outputs: outputs that receive each prediction, in this order.
            summary: the output that counts failures.
            thresholds: (C,) the score threshold of each class; a step can lower them.
            steps: change each prediction before the outputs receive it, in this order.
            heatmaps: predict heatmaps, too.
            candidates: predict :attr:`.Prediction.candidates`, too.
            batch_size: pictures that are read, and maximum number per forward pass.
        """
        self.detector, self.outputs, self.summary = detector, outputs, summary
        self.heatmaps, self.batch_size = heatmaps, batch_size
        self.steps, self.candidates = steps, candidates
        for step in reversed(steps):
            thresholds = step.thresholds(thresholds)
        self.thresholds = thresholds

    def __call__(self, source: PictureSource) -> int:
        """Run; return 0, or 130 after Ctrl-C, 143 after SIGTERM, which keep the results so far.

        Raises:
            InputError: the only image of a source, or a video, fails; or all further writes would.
        """
        with ExitStack() as stack:
            stack.enter_context(_raise_on_sigterm())
            # The files are finished in the reverse order: first the video, then the lines.
            for output in reversed(self.outputs):
                stack.enter_context(output)
            try:
                self._loop(source)
            except WindowClosed:
                return 0
            except KeyboardInterrupt as error:
                print("stopped")
                return _TERMINATED if isinstance(error, Terminated) else _INTERRUPTED
        self._check_complete(source)
        return 0

    def remarks(self) -> list[str]:
        """Lines about the run for the end of its summary."""
        return []

    def _loop(self, source: PictureSource) -> None:
        one = source.total == 1 and source.video is None
        unit = "image" if source.video is None else "frame"
        fatal = one or source.video is not None
        with (
            closing(source.pictures),
            tqdm(total=source.total, unit=unit, disable=one) as progress,
        ):
            while batch := list(islice(source.pictures, self.batch_size)):
                for prediction, name in self._predict(batch, fatal):
                    with self._skip_failure(fatal):
                        changed = self._change(prediction, name)
                        for output in self.outputs:
                            output.write(changed, name)
                progress.update(len(batch))

    def _change(self, prediction: Prediction, name: ResultName) -> Prediction:
        """Apply the steps."""
        for step in self.steps:
            prediction = step(prediction, name)
        return prediction

    def _predict(
        self, batch: Sequence[Picture], fatal: bool
    ) -> Iterator[tuple[Prediction, ResultName]]:
        """Read and predict a batch, without the pictures that cannot be read."""
        return predict_pictures(
            self.detector,
            batch,
            thresholds=self.thresholds,
            batch_size=self.batch_size,
            guard=partial(self._skip_failure, fatal),
            heatmaps=self.heatmaps,
            candidates=self.candidates,
        )

    @contextmanager
    def _skip_failure(self, fatal: bool) -> Iterator[None]:
        """Report and count an InputError of one picture, unless it is fatal for the run."""
        try:
            yield
        except InputError as error:
            if fatal or getattr(error.__context__, "errno", None) in _FATAL_ERRORS:
                raise
            self.summary.failed += 1
            tqdm.write(f"skipped: {error}", file=sys.stderr)

    def _check_complete(self, source: PictureSource) -> None:
        """Report a truncated video, and count it as failed."""
        video = source.video
        if video is not None and video.truncated:
            self.summary.failed += 1
            print(
                f"{video.name} is truncated: {video.frames} of {video.length} frames could be read",
                file=sys.stderr,
            )


@contextmanager
def _raise_on_sigterm() -> Iterator[None]:
    """Raise Terminated at SIGTERM, so that files are finished; only the main thread can do so."""

    def terminate(*_: object) -> NoReturn:
        raise Terminated

    if threading.current_thread() is not threading.main_thread():
        yield
        return
    previous = signal.signal(signal.SIGTERM, terminate)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, previous)
