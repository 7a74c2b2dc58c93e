"""Detections drawn on images, videos and camera pictures: the ``detect`` command."""

import argparse
import contextlib
import json
import os
import re
import sys
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, TextIO

import cv2
import numpy as np
import supervision as sv
from numpy.typing import NDArray
from tqdm import tqdm

from centernet.detector import Detector, Prediction
from centernet.errors import InputError
from centernet.sources import Video, find_images

# Up to this many images, what was found is printed for each.
_FEW = 20
# Formats that OpenCV writes and browsers show; pictures of others are saved as JPEG.
_KEPT_SUFFIXES = (".jpg", ".jpeg", ".png")
# Smaller pictures are drawn enlarged, or the letters would hide them.
_LEAST_SIDE = 320


def draw(image: NDArray[np.uint8], detections: sv.Detections) -> NDArray[np.uint8]:
    """Boxes with class and score on a copy of an image; lines and letters follow its size."""
    resolution = image.shape[1], image.shape[0]
    thickness = sv.calculate_optimal_line_thickness(resolution)
    letters = sv.RichLabelAnnotator(
        font_size=int(np.clip(min(resolution) / 40, 11, 40)),
        text_padding=3,
        text_color=sv.Color.BLACK,
    )
    texts = [
        f"{name} {score:.2f}"
        for name, score in zip(detections["class_name"], detections.confidence, strict=True)
    ]
    drawn = sv.BoxAnnotator(thickness=thickness).annotate(image.copy(), detections)
    return letters.annotate(drawn, detections, labels=texts)


def enlarged(prediction: Prediction) -> Prediction:
    """The same prediction on a picture large enough to draw on."""
    image = prediction.image
    factor = -(-_LEAST_SIDE // max(image.shape[:2]))
    if factor <= 1:
        return prediction
    found = prediction.detections
    return replace(
        prediction,
        image=cv2.resize(image, None, fx=factor, fy=factor, interpolation=cv2.INTER_CUBIC),
        detections=replace(found, xyxy=found.xyxy * factor),
        heatmaps=replace(prediction.heatmaps, matrix=prediction.heatmaps.matrix * factor),
    )


class _Tally:
    """Counts what is found and the time it takes, and writes the JSON lines."""

    def __init__(self, lines: TextIO | None) -> None:
        self.frames = self.failed = 0
        self.found: Counter[str] = Counter()
        self.seconds: Counter[str] = Counter()
        self._lines = lines

    def add(self, source: str, prediction: Prediction, frame: int | None = None) -> str:
        """Count one picture; return what was found in words."""
        found = prediction.detections
        names = Counter(found["class_name"].tolist())
        self.frames += 1
        self.found += names
        self.seconds.update(prediction.seconds)
        if self._lines:
            height, width = prediction.image.shape[:2]
            line: dict[str, Any] = {"source": source} | ({} if frame is None else {"frame": frame})
            line |= {"width": width, "height": height, "detections": _as_dicts(found)}
            self._lines.write(json.dumps(line, ensure_ascii=False) + "\n")
        return _in_words(names)

    def summary(self) -> str:
        if not self.frames:
            return "no picture could be read"
        steps = {name: 1000 * seconds / self.frames for name, seconds in self.seconds.items()}
        return (
            f"{self.frames} pictures: {_in_words(self.found)}\n"
            f"{sum(steps.values()):.1f} ms per picture: "
            + ", ".join(f"{name} {milliseconds:.1f}" for name, milliseconds in steps.items())
        )


def detect_images(
    detector: Detector,
    paths: list[Path],
    output: Path,
    tally: _Tally,
    *,
    threshold: float,
    heatmaps: bool,
    show: bool,
) -> None:
    """Detect in image files; an unreadable one is reported and skipped."""
    common = Path(os.path.commonpath([path.resolve().parent for path in paths]))
    if output.resolve() == common:
        raise InputError(
            f"output {output} is the folder of the images, which would be lost: choose another"
        )
    for path in tqdm(paths, unit="image", disable=len(paths) == 1):
        try:
            prediction = detector.predict(path, threshold=threshold)
        except InputError as error:
            tally.failed += 1
            tqdm.write(f"skipped: {error}", file=sys.stderr)
            continue
        words = tally.add(str(path), prediction)
        if len(paths) <= _FEW:
            tqdm.write(f"{path.name}: {words}")
        target = output / path.resolve().relative_to(common)
        drawn = _save_pictures(enlarged(prediction), target, threshold, heatmaps)
        if heatmaps:
            prediction.heatmaps.save(target.with_suffix(".npz"), threshold=threshold)
        if show and not _shown(drawn, wait=0):
            return


def detect_video(
    detector: Detector,
    video: Video,
    output: Path,
    tally: _Tally,
    *,
    threshold: float,
    heatmaps: bool,
    show: bool,
) -> None:
    """Detect in a video, camera or stream, until its end, Ctrl-C, or q in the window."""
    name = (
        re.sub(r"\W+", "-", Path(video.source).stem if not video.live else video.source).strip("-")
        or "video"
    )
    name = f"camera-{name}" if video.source.isdecimal() else name
    with contextlib.ExitStack() as stack:
        sinks: dict[str, sv.VideoSink] = {}
        progress = stack.enter_context(tqdm(video, total=video.length, unit="frame"))
        for number, frame in enumerate(progress):
            prediction = detector.predict(frame, threshold=threshold, bgr=True)
            tally.add(video.source, prediction, number)
            pictures = {"": draw(prediction.image, prediction.detections)}
            if heatmaps:
                pictures[".heatmap"] = prediction.heatmaps.overlay(prediction.image)
            for kind, picture in pictures.items():
                if kind not in sinks:
                    info = sv.VideoInfo(picture.shape[1], picture.shape[0], video.fps)
                    sinks[kind] = stack.enter_context(
                        sv.VideoSink(str(output / f"{name}{kind}.mp4"), info)
                    )
                sinks[kind].write_frame(_bgr(picture))
            if show and not _shown(pictures[""], wait=1):
                return


def _save_pictures(
    prediction: Prediction, target: Path, threshold: float, heatmaps: bool
) -> NDArray[np.uint8]:
    target.parent.mkdir(parents=True, exist_ok=True)
    suffix = target.suffix if target.suffix.lower() in _KEPT_SUFFIXES else target.suffix + ".jpg"
    drawn = draw(prediction.image, prediction.detections)
    _write(target.with_suffix(suffix), drawn)
    if heatmaps:
        maps = prediction.heatmaps
        _write(target.with_suffix(".heatmap.jpg"), maps.overlay(prediction.image))
        for label in sorted(set(maps.peaks(threshold)["label"].tolist())):
            name = re.sub(r"[^\w-]+", "_", maps.class_names[label])
            _write(
                target.with_suffix(f".heatmap-{name}.jpg"), maps.overlay(prediction.image, label)
            )
    return drawn


def _write(path: Path, picture: NDArray[np.uint8]) -> None:
    done, data = cv2.imencode(path.suffix, _bgr(picture))
    if not done:
        raise InputError(f"cannot encode {path}")
    path.write_bytes(data.tobytes())


def _shown(picture: NDArray[np.uint8], wait: int) -> bool:
    """Show a picture in a window; False when the person pressed q or Escape."""
    try:
        cv2.imshow("centernet", _bgr(picture))
        return cv2.waitKey(wait) & 0xFF not in (ord("q"), 27)
    except cv2.error:
        raise InputError(
            "--show needs a screen: leave it out, the pictures are saved anyway"
        ) from None


def _bgr(picture: NDArray[np.uint8]) -> NDArray[np.uint8]:
    return np.ascontiguousarray(picture[..., ::-1])


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


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of ``detect``."""
    parser.add_argument(
        "source",
        help="an image, a folder, a glob in quotes, a video, a camera number, or a stream's URL",
    )
    parser.add_argument(
        "--weights", required=True, help="a checkpoint of fit, as runs/custom/best.ckpt"
    )
    parser.add_argument(
        "--output",
        type=Path,
        default=Path("runs/detect"),
        help="folder for what is saved (%(default)s)",
    )
    parser.add_argument(
        "--threshold", type=float, default=0.3, help="least score of a detection (%(default)s)"
    )
    parser.add_argument(
        "--heatmaps",
        action="store_true",
        help="also save overlays of the heatmaps, and NAME.npz with the numbers",
    )
    parser.add_argument(
        "--json", action="store_true", help="also save detections.jsonl, one line per picture"
    )
    parser.add_argument(
        "--show", action="store_true", help="show each picture in a window; any key goes on, q ends"
    )
    parser.add_argument(
        "--device", default="auto", help="auto, cpu, cuda, cuda:1, mps (%(default)s)"
    )
    parser.add_argument(
        "--resolution",
        default="auto",
        help="longest side in pixels, auto (as trained), or keep (the image's own) (%(default)s)",
    )
    parser.add_argument(
        "--top-k", type=int, default=100, help="most detections per picture (%(default)s)"
    )


def run(options: argparse.Namespace) -> int:
    """Do what the options say; the exit status is 1 if a picture could not be read."""
    if not 0 <= options.threshold <= 1:
        raise InputError(f"threshold must be between 0 and 1, got {options.threshold}")
    paths = find_images(options.source)
    video = Video(options.source) if paths is None else None
    detector = Detector.load(
        options.weights, device=options.device, resolution=options.resolution, top_k=options.top_k
    )
    options.output.mkdir(parents=True, exist_ok=True)
    how = {"threshold": options.threshold, "heatmaps": options.heatmaps, "show": options.show}
    with _json_lines(options.output / "detections.jsonl" if options.json else None) as lines:
        tally = _Tally(lines)
        try:
            if video:
                detect_video(detector, video, options.output, tally, **how)
            else:
                detect_images(detector, paths, options.output, tally, **how)
        except KeyboardInterrupt:
            print("stopped")
    print(f"{tally.summary()}\nsaved in {options.output}")
    return 1 if tally.failed or not tally.frames else 0
