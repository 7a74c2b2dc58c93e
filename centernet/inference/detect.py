"""Detect objects in images, videos and camera pictures."""

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from centernet.errors import InputError, require_at_least
from centernet.inference.count_totals import CountTotals
from centernet.inference.detector import Detector
from centernet.inference.label_options import DEFAULT_LABELS, require_labels
from centernet.inference.outputs import OutputContext, make_outputs
from centernet.inference.pictures import PictureSource, open_source
from centernet.inference.predict_pictures import default_batch_size
from centernet.inference.run import DetectRun
from centernet.inference.run_summary import RunSummary
from centernet.inference.thresholds import DEFAULT_SCORE_THRESHOLD, Threshold
from centernet.inference.video.audio import open_audio
from centernet.inference.video.live import LiveRun
from centernet.inference.video.setup import VideoSetup
from centernet.inference.video.viewer import Viewer
from centernet.inference.window import require_screen

# Up to this number of images, the detections in each are printed.
_MAX_PRINTED = 20


def detect(
    source: str | Sequence[str],
    weights: str | Path,
    *,
    output: str | Path,
    threshold: Threshold = DEFAULT_SCORE_THRESHOLD,
    extras: Sequence[str] = (),
    labels: str = DEFAULT_LABELS,
    count: bool = False,
    track: bool = False,
    live: bool = False,
    audio: bool = False,
    lines: Sequence[str] = (),
    zones: Sequence[str | Path] = (),
    batch_size: int | None = None,
    device: str = "auto",
    **options: Any,
) -> int:
    """Detect objects in a source, and save pictures or a video with the detections.

    Args:
        source: an image, folder, glob, video, camera number, or URL; or several images and folders.
        weights: as for :meth:`.Detector.load`.
        output: folder for the results; it is created.
        threshold: minimum score, as for :class:`.Detector`.
        extras: outputs beside the pictures: heatmaps, json, csv, show.
        labels: text of the labels in pictures, see :meth:`.Prediction.draw`.
        count: print the calibrated counts, and write them onto the pictures.
        track: track the objects of a video: ids, trails, and a file NAME.mot.txt.
        live: process a video file as a camera: frames come at their times, and are dropped while
            the network is busy. Cameras and endless streams always are.
        audio: copy the audio of a video file into the video with boxes.
        lines: values of ``--line``, as for :func:`.read_shapes`.
        zones: files of lines and zones, as for :func:`.read_shapes`.
        batch_size: pictures per batch; None chooses.
        device: as for :meth:`.Detector.load`.
        **options: ``engine``, and those of :class:`.InferenceConfig`.

    Returns:
        The exit status: 0, 1 if an image failed or a video is truncated, 130 after Ctrl-C, 143
        after SIGTERM, which keep the results so far.

    Raises:
        InputError: an option, the source or the weights are wrong, or nothing could be read.
    """
    require_at_least(1, batch_size=batch_size)
    require_labels(labels)
    if "show" in extras:
        require_screen()  # before the weights are loaded
    opened = open_source(source, folder := Path(output))
    setup = VideoSetup.read(opened, live=live, audio=audio, track=track, lines=lines, zones=zones)
    detector = Detector.load(weights, device=device, **options)
    thresholds = detector.thresholds(threshold)
    context = _make_context(detector, opened, setup, folder, thresholds, labels, count)
    run = _make_run(detector, context, setup, extras, batch_size)
    _make_folder(folder)
    return _finish(run, opened, folder)


def _make_context(
    detector: Detector,
    opened: PictureSource,
    setup: VideoSetup,
    folder: Path,
    thresholds: NDArray[np.float64],
    labels: str,
    count: bool,
) -> OutputContext:
    return OutputContext(
        folder,
        opened.stem,
        opened.video.fps if opened.video else None,
        detector.engine.info,
        thresholds,
        _make_summary(detector, opened, count),
        labels,
        count,
        open_audio(setup.audio) if setup.audio else None,
    )


def _make_run(
    detector: Detector,
    context: OutputContext,
    setup: VideoSetup,
    extras: Sequence[str],
    batch_size: int | None,
) -> DetectRun:
    """The run with its outputs, which may need features that the network lacks."""
    is_shown, thresholds = "show" in extras, context.thresholds
    # A live preview is recorded on request.
    outputs = make_outputs(
        context, [*extras, *setup.extras()], pictures=not (setup.live and is_shown)
    )
    viewer = next((output for output in outputs if isinstance(output, Viewer)), None)
    # Shown pictures must not wait for each other.
    default_size = 1 if is_shown else default_batch_size(detector)
    return (partial(LiveRun, viewer=viewer) if setup.live else DetectRun)(
        detector,
        [*outputs, *setup.outputs(context.folder)],
        context.summary,
        thresholds=thresholds,
        steps=setup.steps(thresholds, detector.class_names),
        heatmaps="heatmaps" in extras or viewer is not None,
        candidates=viewer is not None,
        batch_size=1 if setup.live else batch_size or default_size,
    )


def _finish(run: DetectRun, opened: PictureSource, folder: Path) -> int:
    """Run, and print the summary and the folder of the results; the exit status."""
    status, summary = run(opened), run.summary
    is_saved = any(not isinstance(output, RunSummary | Viewer) for output in run.outputs)
    if summary.pictures:
        saved = [f"saved in {folder}"] * is_saved
        print("\n".join([summary.text(), *run.remarks(), *saved]))
    elif not status:
        raise InputError(f"nothing in {opened.name} could be read")
    return status or int(summary.failed > 0)


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


def _make_folder(path: Path) -> None:
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        reason = "it is a file, give a folder" if path.is_file() else error.strerror
        raise InputError(f"cannot write to output {path}: {reason}") from None
