"""Detections drawn on images, videos and camera pictures: the ``detect`` command."""

import argparse
import contextlib
import json
import os
import re
import sys
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from itertools import accumulate
from pathlib import Path
from typing import Any, TextIO

import cv2
import supervision as sv
from numpy.typing import ArrayLike
from tqdm import tqdm

from centernet.detector import Detector, Prediction
from centernet.drawing import draw
from centernet.errors import InputError
from centernet.heatmaps import Heatmaps
from centernet.sinks import VideoFile, require_screen, show, write_picture
from centernet.sources import Video, find_images
from centernet.thresholds import USUAL

# Up to this many images, what was found is printed for each.
_FEW = 20
# Formats that OpenCV writes and browsers show; pictures of others are saved as JPEG.
_KEPT_SUFFIXES = (".jpg", ".jpeg", ".png")
# Smaller pictures are drawn enlarged, or the letters would hide them.
_LEAST_SIDE = 320
# What shells report of a program that Ctrl-C ended.
_INTERRUPTED = 130


def enlarged(prediction: Prediction) -> Prediction:
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


class Tally:
    """Counts what is found and the time it takes, and writes the JSON lines."""

    def __init__(self, lines: TextIO | None = None) -> None:
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
    tally: Tally,
    *,
    threshold: ArrayLike = USUAL,
    heatmaps: bool = False,
    window: bool = False,
) -> None:
    """Detect in image files; among several, an unreadable one is reported and skipped."""
    for path, (picture, stem) in tqdm(
        _targets(paths, output).items(), unit="image", disable=len(paths) == 1
    ):
        try:
            prediction = detector.predict(path, threshold=threshold, heatmaps=heatmaps)
        except InputError as error:
            if len(paths) == 1:
                raise
            tally.failed += 1
            tqdm.write(f"skipped: {error}", file=sys.stderr)
            continue
        words = tally.add(str(path), prediction)
        if len(paths) <= _FEW:
            tqdm.write(f"{path.name}: {words}")
        shown = enlarged(prediction)
        drawn = draw(shown.image, shown.detections)
        write_picture(picture, drawn)
        if heatmaps:
            _save_heatmaps(shown, stem, threshold)
            prediction.heatmaps.save(f"{stem}.npz", threshold=threshold)
        if window and not show(drawn, still=True):
            return


def _targets(paths: Sequence[Path], output: Path) -> dict[Path, tuple[Path, Path]]:
    """By image: where its drawn picture goes, and what the names of its other files begin with.

    No two images share a file: where the names without suffix would meet (a.jpg and a.png, or
    a.jpg and a.heatmap.jpg), they keep the suffix.
    """
    common = Path(os.path.commonpath([path.parent.resolve() for path in paths]))
    # "a.b.jpg" lays claim to "a" and "a.b".
    claims = Counter(
        (path.parent, stem)
        for path in paths
        for stem in accumulate(path.stem.split("."), "{}.{}".format)
    )
    targets = {}
    for path in paths:
        folder = output / path.parent.resolve().relative_to(common)
        suffix = "" if path.suffix.lower() in _KEPT_SUFFIXES else ".jpg"
        stem = path.stem if claims[path.parent, path.stem] == 1 else path.name
        targets[path] = folder / (path.name + suffix), folder / stem
    _keep_off_originals((picture.parent for picture, _ in targets.values()), paths)
    return targets


def _keep_off_originals(folders: Iterable[Path], sources: Iterable[Path]) -> None:
    """Raise InputError if one of the folders to write to holds a source, or what it links to."""
    originals = {
        folder for path in sources for folder in (path.parent.resolve(), path.resolve().parent)
    }
    for folder in folders:
        if folder.resolve() in originals:
            raise InputError(
                f"output {folder} is a folder of the source, which would be lost: choose another"
            )


def _save_heatmaps(prediction: Prediction, stem: Path, threshold: ArrayLike) -> None:
    """Overlays of all classes together and of each that has a peak."""
    maps = prediction.heatmaps
    write_picture(Path(f"{stem}.heatmap.jpg"), maps.overlay(prediction.image))
    for label in sorted(set(maps.peaks(threshold)["label"].tolist())):
        overlay = maps.overlay(prediction.image, label)
        write_picture(Path(f"{stem}.heatmap-{_file_word(maps, label)}.jpg"), overlay)


def _file_word(maps: Heatmaps, label: int) -> str:
    """A class name as part of a file name, with the label where names look alike."""
    words = [re.sub(r"[^\w-]+", "_", name)[:60].lower() for name in maps.class_names]
    word = re.sub(r"[^\w-]+", "_", maps.class_names[label])[:60]
    return word if words.count(word.lower()) == 1 else f"{word}-{label}"


def detect_video(
    detector: Detector,
    video: Video,
    output: Path,
    tally: Tally,
    *,
    threshold: ArrayLike = USUAL,
    heatmaps: bool = False,
    window: bool = False,
) -> None:
    """Detect in a video, camera or stream, until its end, Ctrl-C, or q in the window."""
    if not video.live:
        _keep_off_originals([output], [Path(video.name)])
    stem = output / _video_stem(video)
    with contextlib.ExitStack() as stack:
        file = stack.enter_context(VideoFile(Path(f"{stem}.mp4"), video.fps))
        heat = stack.enter_context(VideoFile(Path(f"{stem}.heatmap.mp4"), video.fps))
        frames = stack.enter_context(tqdm(video, total=video.length, unit="frame"))
        for number, frame in enumerate(frames):
            prediction = detector.predict(frame, threshold=threshold, bgr=True, heatmaps=heatmaps)
            tally.add(video.name, prediction, number)
            shown = enlarged(prediction)
            drawn = draw(shown.image, shown.detections)
            file.write(drawn)
            if heatmaps:
                heat.write(shown.heatmaps.overlay(shown.image))
            if window and not show(drawn, still=False):
                return


def _video_stem(video: Video) -> str:
    if video.name.isdecimal():
        return f"camera-{video.name}"
    if "://" in video.name:
        return re.sub(r"\W+", "-", video.name).strip("-")[:100]
    return Path(video.name).stem


def _as_dicts(found: sv.Detections) -> list[dict[str, Any]]:
    return [
        {"class": name, "label": int(label), "score": float(score), "box": box.tolist()}
        for name, label, score, box in zip(
            found["class_name"].tolist(), found.class_id, found.confidence, found.xyxy, strict=True
        )
    ]


def _in_words(names: Counter[str]) -> str:
    return ", ".join(f"{count} {name}" for name, count in names.most_common()) or "nothing"


@contextlib.contextmanager
def _json_lines(path: Path | None) -> Iterator[TextIO | None]:
    if path is None:
        yield None
        return
    with path.open("w", encoding="utf-8") as file:
        yield file


def run(options: argparse.Namespace) -> int:
    """Do what the options of the command line say.

    Returns:
        The exit status: 0, 1 if an image could not be read, 130 after Ctrl-C, which keeps what was
        done so far.

    Raises:
        InputError: an option, the source or the weights are wrong, or nothing could be read.
    """
    if options.show:
        require_screen()
    paths = find_images(options.source)
    video = Video(options.source) if paths is None else None
    detector = Detector.load(
        options.weights,
        device=options.device,
        resolution=options.resolution,
        flip=options.flip,
        scales=options.scales,
        top_k=options.top_k,
        nms=options.nms,
    )
    if options.heatmaps:
        detector.require_heatmaps("--heatmaps")
    threshold = detector.thresholds(options.threshold)
    _make_folder(options.output)
    how = {"threshold": threshold, "heatmaps": options.heatmaps, "window": options.show}
    status = 0
    with _json_lines(options.output / "detections.jsonl" if options.json else None) as lines:
        tally = Tally(lines)
        try:
            if video:
                detect_video(detector, video, options.output, tally, **how)
            else:
                detect_images(detector, paths, options.output, tally, **how)
        except KeyboardInterrupt:
            print("stopped")
            status = _INTERRUPTED
    if tally.pictures:
        print(f"{tally.summary()}\nsaved in {options.output}")
    elif not status:
        raise InputError(f"nothing in {options.source} could be read")
    return status or int(tally.failed > 0)


def _make_folder(path: Path) -> None:
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"cannot write to output {path}: {error.strerror}") from None
