"""Detections drawn on images, videos and camera pictures: the ``detect`` command."""

import argparse
import contextlib
import errno
import json
import sys
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, TextIO

import cv2
import numpy as np
import supervision as sv
from numpy.typing import NDArray
from tqdm import tqdm

from centernet.errors import InputError
from centernet.inference.detector import Detector, Prediction
from centernet.inference.drawing import draw
from centernet.inference.inputs import Video, find_images
from centernet.inference.output_paths import (
    Files,
    class_word,
    image_files,
    keep_off_originals,
    remote_image_files,
    video_stem,
)
from centernet.inference.outputs import LinesFile, VideoFile, require_screen, show, write_picture
from centernet.inference.remote_images import RemoteImage, fetch_image
from centernet.inference.thresholds import USUAL, Threshold

# Up to this many images, what was found is printed for each.
_FEW = 20
# Smaller pictures are drawn enlarged, or the letters would hide them.
_LEAST_SIDE = 320
# What shells report of a program that Ctrl-C ended.
_INTERRUPTED = 130
# Errors of writing that the next file would meet as well.
_HOPELESS = (errno.ENOSPC, errno.EDQUOT, errno.EROFS)


def upscale_for_drawing(prediction: Prediction) -> Prediction:
    """The same prediction on a picture large enough to draw on."""
    image = prediction.image
    factor = -(-_LEAST_SIDE // max(image.shape[:2]))
    if factor <= 1:
        return prediction
    found, maps = prediction.detections, prediction.heatmaps
    return replace(
        prediction,
        image=cv2.resize(image, None, fx=factor, fy=factor, interpolation=cv2.INTER_CUBIC),
        detections=replace(found, xyxy=found.xyxy * factor),
        heatmaps=maps and replace(maps, matrix=maps.matrix * factor),
    )


class RunSummary:
    """Counts what is found and the time it takes, and writes the JSON lines."""

    def __init__(self, lines: LinesFile | TextIO | None = None) -> None:
        """Count from nothing; ``lines`` gets one JSON object per picture."""
        self.pictures = self.failed = 0
        self.found: Counter[str] = Counter()
        self.seconds: Counter[str] = Counter()
        self._lines = lines

    def add(self, source: str, prediction: Prediction, frame: int | None = None) -> str:
        """Count one picture; return what was found in words."""
        found = prediction.detections
        names = Counter(found["class_name"].tolist())
        self.pictures += 1
        self.found += names
        self.seconds.update(prediction.seconds)
        if self._lines:
            height, width = prediction.image.shape[:2]
            line: dict[str, Any] = {"source": source} | ({} if frame is None else {"frame": frame})
            line |= {"width": width, "height": height, "detections": _as_dicts(found)}
            self._lines.write(json.dumps(line, ensure_ascii=False) + "\n")
        return _in_words(names)

    def summary(self) -> str:
        """How many pictures, what was found, and the milliseconds per picture by step."""
        steps = {name: 1000 * seconds / self.pictures for name, seconds in self.seconds.items()}
        each = ", ".join(f"{name} {milliseconds:.1f}" for name, milliseconds in steps.items())
        return (
            f"{self.pictures} picture{'s' * (self.pictures != 1)}: {_in_words(self.found)}\n"
            f"{sum(steps.values()):.1f} ms per picture: {each}"
        )


def detect_images(
    detector: Detector,
    paths: Sequence[Path],
    output: Path,
    tally: RunSummary,
    *,
    threshold: Threshold = USUAL,
    heatmaps: bool = False,
    window: bool = False,
) -> None:
    """Detect in image files; of several, one that fails is reported and skipped.

    Raises:
        InputError: the only image fails, or writing fails for a reason that holds for all images.
    """
    for path, files in tqdm(
        image_files(paths, output).items(), unit="image", disable=len(paths) == 1
    ):
        try:
            prediction, drawn = _predict_and_save(detector, path, files, threshold, heatmaps)
        except InputError as error:
            if len(paths) == 1 or getattr(error.__context__, "errno", None) in _HOPELESS:
                raise
            tally.failed += 1
            tqdm.write(f"skipped: {error}", file=sys.stderr)
            continue
        words = tally.add(str(path), prediction)
        if len(paths) <= _FEW:
            tqdm.write(f"{path.name}: {words}")
        if window and not show(drawn, still=True):
            return


def detect_remote_image(
    detector: Detector,
    image: RemoteImage,
    output: Path,
    tally: RunSummary,
    *,
    threshold: Threshold = USUAL,
    heatmaps: bool = False,
    window: bool = False,
) -> None:
    """Detect in a downloaded image."""
    files = remote_image_files(image.name, output)
    prediction, drawn = _predict_and_save(detector, image.pixels, files, threshold, heatmaps)
    print(f"{files[0].name}: {tally.add(image.name, prediction)}")
    if window:
        show(drawn, still=True)


def _predict_and_save(
    detector: Detector,
    image: Path | NDArray[np.uint8],
    files: Files,
    threshold: Threshold,
    heatmaps: bool,
) -> tuple[Prediction, NDArray[np.uint8]]:
    """Write all files of one image; return its prediction and the drawn picture."""
    picture, stem = files
    prediction = detector.predict(image, threshold=threshold, heatmaps=heatmaps)
    shown = upscale_for_drawing(prediction)
    drawn = draw(shown.image, shown.detections)
    write_picture(picture, drawn)
    if heatmaps:
        _save_heatmaps(shown, stem, detector.thresholds(threshold))
        prediction.heatmaps.save(f"{stem}.npz", threshold=detector.thresholds(threshold))
    return prediction, drawn


def _save_heatmaps(prediction: Prediction, stem: Path, threshold: NDArray[np.float64]) -> None:
    """Overlays of all classes together and of each that has a peak."""
    maps = prediction.heatmaps
    write_picture(Path(f"{stem}.heatmap.jpg"), maps.overlay(prediction.image))
    for label in sorted(set(maps.peaks(threshold)["label"].tolist())):
        overlay = maps.overlay(prediction.image, label)
        write_picture(Path(f"{stem}.heatmap-{class_word(maps.class_names, label)}.jpg"), overlay)


def detect_video(
    detector: Detector,
    video: Video,
    output: Path,
    tally: RunSummary,
    *,
    threshold: Threshold = USUAL,
    heatmaps: bool = False,
    window: bool = False,
) -> None:
    """Detect in a video, camera or stream, until its end, Ctrl-C, or q in the window.

    A truncated video is reported and counts as failed.
    """
    if video.kind == "video":
        keep_off_originals([output], [Path(video.name)])
    stem = output / video_stem(video)
    with contextlib.ExitStack() as stack:
        file = stack.enter_context(VideoFile(Path(f"{stem}.mp4"), video.fps))
        heat = stack.enter_context(VideoFile(Path(f"{stem}.heatmap.mp4"), video.fps))
        frames = stack.enter_context(tqdm(video, total=video.length, unit="frame"))
        for number, frame in enumerate(frames):
            prediction = detector.predict(frame, threshold=threshold, bgr=True, heatmaps=heatmaps)
            tally.add(video.name, prediction, number)
            shown = upscale_for_drawing(prediction)
            drawn = draw(shown.image, shown.detections)
            file.write(drawn)
            if heatmaps:
                heat.write(shown.heatmaps.overlay(shown.image))
            if window and not show(drawn, still=False):
                return
    if video.truncated:
        tally.failed += 1
        print(
            f"{video.name} is truncated: {video.frames} of {video.length} frames could be read",
            file=sys.stderr,
        )


def _as_dicts(found: sv.Detections) -> list[dict[str, Any]]:
    return [
        {"class": name, "label": int(label), "score": float(score), "box": box.tolist()}
        for name, label, score, box in zip(
            found["class_name"].tolist(), found.class_id, found.confidence, found.xyxy, strict=True
        )
    ]


def _in_words(names: Counter[str]) -> str:
    return ", ".join(f"{count} {name}" for name, count in names.most_common()) or "nothing"


def run(options: argparse.Namespace) -> int:
    """Do what the options of the command line say.

    Returns:
        The exit status: 0, 1 if an image failed or a video is truncated, 130 after Ctrl-C, which
        keeps what was done so far.

    Raises:
        InputError: an option, the source or the weights are wrong, or nothing could be read.
    """
    if options.show:
        require_screen()
    paths = find_images(options.source)
    remote = fetch_image(options.source) if paths is None else None
    video = Video(options.source) if paths is None and remote is None else None
    detector = Detector.load(
        options.weights,
        device=options.device,
        resolution=options.resolution,
        flip=options.flip,
        scales=options.scales,
        top_k="auto" if options.top_k is None else options.top_k,
        nms=options.nms,
    )
    if options.heatmaps:
        detector.require_heatmaps("--heatmaps")
    threshold = detector.thresholds(options.threshold)
    _make_folder(options.output)
    lines = LinesFile(options.output / "detections.jsonl") if options.json else None
    how = {"threshold": threshold, "heatmaps": options.heatmaps, "window": options.show}
    tally, status = RunSummary(lines), 0
    with lines or contextlib.nullcontext():
        try:
            if video:
                detect_video(detector, video, options.output, tally, **how)
            elif remote:
                detect_remote_image(detector, remote, options.output, tally, **how)
            else:
                detect_images(detector, paths, options.output, tally, **how)
        except KeyboardInterrupt:
            print("stopped")
            status = _INTERRUPTED
    if tally.pictures:
        print(f"{tally.summary()}\nsaved in {options.output}")
    elif not status:
        raise InputError(f"nothing in {video.name if video else options.source} could be read")
    return status or int(tally.failed > 0)


def _make_folder(path: Path) -> None:
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        reason = "it is a file, give a folder" if path.is_file() else error.strerror
        raise InputError(f"cannot write to output {path}: {reason}") from None
