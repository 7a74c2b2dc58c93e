"""Detect objects in images, videos and camera pictures: one loop over inputs and outputs."""

import errno
import sys
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager
from dataclasses import replace
from itertools import islice
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from centernet.errors import InputError, require_at_least
from centernet.inference.count_totals import CountTotals
from centernet.inference.detector import Detector
from centernet.inference.inputs import Video
from centernet.inference.label_options import DEFAULT_LABELS, require_labels
from centernet.inference.output_base import Output
from centernet.inference.output_paths import ResultName
from centernet.inference.outputs import OutputContext, WindowClosed, make_outputs
from centernet.inference.pictures import Picture, PictureSource, open_source
from centernet.inference.prediction import Prediction
from centernet.inference.run_summary import RunSummary
from centernet.inference.thresholds import DEFAULT_SCORE_THRESHOLD, Threshold
from centernet.inference.window import require_screen

# Up to this number of images, the detections in each are printed.
_MAX_PRINTED = 20
# Default number of images per batch; on a CPU 20 to 25 % faster than single images.
_BATCH_SIZE = 8
# A batch ends early when its pictures have more bytes, as photographs of 100 megapixels do.
_GROUP_BYTES = 200_000_000
# The exit status that shells report for a program ended by Ctrl-C.
_INTERRUPTED = 130
# Write errors that would also occur for the next file.
_FATAL_ERRORS = (errno.ENOSPC, errno.EDQUOT, errno.EROFS)


def detect(
    source: str,
    weights: str | Path,
    *,
    output: str | Path,
    threshold: Threshold = DEFAULT_SCORE_THRESHOLD,
    extras: Sequence[str] = (),
    labels: str = DEFAULT_LABELS,
    count: bool = False,
    batch_size: int | None = None,
    device: str = "auto",
    **options: Any,
) -> int:
    """Detect objects in a source, and save pictures or a video with the detections.

    Args:
        source: an image, folder, glob, video, camera number, or URL.
        weights: as for :meth:`.Detector.load`.
        output: folder for the results; it is created.
        threshold: minimum score, as for :class:`.Detector`.
        extras: outputs beside the pictures: heatmaps, json, csv, show.
        labels: text of the labels in pictures, see :meth:`.Prediction.draw`.
        count: print the calibrated counts, and write them onto the pictures.
        batch_size: pictures per batch; None chooses.
        device: as for :meth:`.Detector.load`.
        **options: ``engine``, and those of :class:`.InferenceConfig`.

    Returns:
        The exit status: 0, 1 if an image failed or a video is truncated, 130 after Ctrl-C, which
        keeps the results so far.

    Raises:
        InputError: an option, the source or the weights are wrong, or nothing could be read.
    """
    require_at_least(1, batch_size=batch_size)
    require_labels(labels)
    if "show" in extras:
        require_screen()  # before the weights are loaded
    opened = open_source(source, folder := Path(output))
    detector = Detector.load(weights, device=device, **options)
    thresholds, video = detector.thresholds(threshold), opened.video
    summary = _make_summary(detector, opened, count)
    stem, fps, info = opened.stem, video.fps if video else None, detector.engine.info
    context = OutputContext(folder, stem, fps, info, thresholds, summary, labels, count)
    outputs = make_outputs(context, extras)
    _make_folder(folder)
    run = Run(
        detector,
        outputs,
        summary,
        thresholds=thresholds,
        heatmaps="heatmaps" in extras,
        batch_size=batch_size or _default_batch_size(detector, extras, video),
    )
    status = run(opened)
    if summary.pictures:
        print(f"{summary.text()}\nsaved in {folder}")
    elif not status:
        raise InputError(f"nothing in {opened.name} could be read")
    return status or int(summary.failed > 0)


class Run:
    """The loop over the pictures of a source: read, predict, write."""

    def __init__(
        self,
        detector: Detector,
        outputs: Sequence[Output],
        summary: RunSummary,
        *,
        thresholds: NDArray[np.float64],
        heatmaps: bool = False,
        batch_size: int = 1,
    ) -> None:
        """Prepare a run.

        Args:
            detector: detector to run.
            outputs: outputs that receive each prediction, in this order.
            summary: the output that counts failures.
            thresholds: (C,) the score threshold of each class.
            heatmaps: predict heatmaps, too.
            batch_size: pictures that are read, and maximum number per forward pass.
        """
        self.detector, self.outputs, self.summary = detector, outputs, summary
        self.thresholds, self.heatmaps, self.batch_size = thresholds, heatmaps, batch_size

    def __call__(self, source: PictureSource) -> int:
        """Run; return 0, or 130 after Ctrl-C, which keeps the results so far.

        Raises:
            InputError: the only image of a source, or a video, fails; or all further writes would.
        """
        with ExitStack() as stack:
            # The files are finished in the reverse order: first the video, then the lines.
            for output in reversed(self.outputs):
                stack.enter_context(output)
            stack.enter_context(closing(source.pictures))
            try:
                self._loop(source)
            except WindowClosed:
                return 0
            except KeyboardInterrupt:
                print("stopped")
                return _INTERRUPTED
        self._check_complete(source)
        return 0

    def _loop(self, source: PictureSource) -> None:
        one = source.total == 1 and source.video is None
        unit = "image" if source.video is None else "frame"
        fatal = one or source.video is not None
        with tqdm(total=source.total, unit=unit, disable=one) as progress:
            while batch := list(islice(source.pictures, self.batch_size)):
                for prediction, name in self._predict(batch, fatal):
                    # A step on predictions in the order of frames, as tracking, belongs here.
                    with self._skip_failure(fatal):
                        for output in self.outputs:
                            output.write(prediction, name)
                progress.update(len(batch))

    def _predict(
        self, batch: Sequence[Picture], fatal: bool
    ) -> Iterator[tuple[Prediction, ResultName]]:
        """Read and predict a batch, without the pictures that cannot be read."""
        for group in self._read(batch, fatal):
            predictions = self.detector.predict_batch(
                [image for _, image, _ in group],
                self.batch_size,
                threshold=self.thresholds,
                heatmaps=self.heatmaps,
            )
            for (name, _, reading), prediction in zip(group, predictions, strict=True):
                seconds = prediction.seconds | {"load": prediction.seconds["load"] + reading}
                yield replace(prediction, seconds=seconds), name

    def _read(
        self, batch: Sequence[Picture], fatal: bool
    ) -> Iterator[list[tuple[ResultName, NDArray[np.uint8], float]]]:
        """Read pictures, in groups that fit in memory: name, pixels and seconds of each."""
        group: list[tuple[ResultName, NDArray[np.uint8], float]] = []
        for picture in batch:
            start = perf_counter()
            with self._skip_failure(fatal):
                group.append((picture.name, picture.read(), perf_counter() - start))
            if sum(image.nbytes for _, image, _ in group) > _GROUP_BYTES:
                yield group
                group = []
        if group:
            yield group

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


def _make_summary(detector: Detector, opened: PictureSource, count: bool) -> RunSummary:
    """The summary; raises InputError if it shall count and the weights store no calibration."""
    counts, info, is_video = None, detector.engine.info, opened.video is not None
    if count:
        info.require_counting("--count")
    if count and info.counting:
        images = info.counting.images
        counts = CountTotals(images, video=is_video, plain=detector.config.plain)
    printed = not is_video and (opened.total or 0) <= _MAX_PRINTED
    shrunk = _shrinking_size(detector)
    return RunSummary(detector.top_k, shrunk, printed=printed, counts=counts)


def _shrinking_size(detector: Detector) -> tuple[int, int] | None:
    """The size that pictures are scaled to fit; None if they keep theirs or run in tiles."""
    fit = detector.config.input_fit(detector.engine.info.image_size)
    return fit if isinstance(fit, tuple) and detector.config.tile == "auto" else None


def _default_batch_size(detector: Detector, extras: Sequence[str], video: Video | None) -> int:
    # Live pictures must not wait for each other, and large inputs might not fit in memory together.
    keeps_size = detector.config.input_fit(detector.engine.info.image_size) is None
    one_by_one = keeps_size or "show" in extras or (video is not None and video.live)
    return 1 if one_by_one else _BATCH_SIZE


def _make_folder(path: Path) -> None:
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        reason = "it is a file, give a folder" if path.is_file() else error.strerror
        raise InputError(f"cannot write to output {path}: {reason}") from None
