"""Detect objects in images, videos and camera pictures."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from centernet.errors import InputError, require_at_least
from centernet.inference.count_totals import CountTotals
from centernet.inference.detector import Detector
from centernet.inference.inputs import Video
from centernet.inference.label_options import DEFAULT_LABELS, require_labels
from centernet.inference.outputs import OutputContext, make_outputs
from centernet.inference.pictures import PictureSource, open_source
from centernet.inference.run import Run
from centernet.inference.run_summary import RunSummary
from centernet.inference.thresholds import DEFAULT_SCORE_THRESHOLD, Threshold
from centernet.inference.video.zone_setup import ZoneSetup
from centernet.inference.window import require_screen

# Up to this number of images, the detections in each are printed.
_MAX_PRINTED = 20
# Default number of images per batch; on a CPU 20 to 25 % faster than single images.
_BATCH_SIZE = 8


def detect(
    source: str,
    weights: str | Path,
    *,
    output: str | Path,
    threshold: Threshold = DEFAULT_SCORE_THRESHOLD,
    extras: Sequence[str] = (),
    labels: str = DEFAULT_LABELS,
    count: bool = False,
    lines: Sequence[str] = (),
    zones: Sequence[str | Path] = (),
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
        lines: values of ``--line``, as for :func:`.read_shapes`.
        zones: files of lines and zones, as for :func:`.read_shapes`.
        batch_size: pictures per batch; None chooses.
        device: as for :meth:`.Detector.load`.
        **options: ``engine``, and those of :class:`.InferenceConfig`.

    Returns:
        The exit status: 0; 1 if an image failed or a video is truncated; 130 after Ctrl-C.

    Raises:
        InputError: an option, the source or the weights are wrong, or nothing could be read.
    """
    require_at_least(1, batch_size=batch_size)
    require_labels(labels)
    if "show" in extras:
        require_screen()  # before the weights are loaded
    opened = open_source(source, folder := Path(output))
    setup = ZoneSetup.read(lines, zones, opened)
    detector = Detector.load(weights, device=device, **options)
    thresholds, video = detector.thresholds(threshold), opened.video
    summary = _make_summary(detector, opened, count)
    stem, fps, info = opened.stem, video.fps if video else None, detector.engine.info
    context = OutputContext(folder, stem, fps, info, thresholds, summary, labels, count)
    outputs = [*make_outputs(context, extras), *setup.outputs(folder)]
    run = Run(
        detector,
        outputs,
        summary,
        thresholds=thresholds,
        steps=setup.steps(),
        heatmaps="heatmaps" in extras,
        batch_size=batch_size or _default_batch_size(detector, extras, video),
    )
    return _finish(run, opened, folder)


def _finish(run: Run, opened: PictureSource, folder: Path) -> int:
    """Run, and print the summary and the folder of the results; the exit status."""
    _make_folder(folder)
    status, summary = run(opened), run.summary
    if summary.pictures:
        print(f"{summary.text()}\nsaved in {folder}")
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
