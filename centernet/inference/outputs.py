"""Outputs of ``detect``: pictures, heatmaps, JSON lines, CSV, videos, a window.

Each is an :class:`.Output`. To add one, add a class and an entry in ``OUTPUTS`` here, and an option
in :mod:`centernet.cli.detect`.
"""

import csv
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from centernet.errors import InputError
from centernet.inference.earlier_files import EarlierFiles
from centernet.inference.engines import EngineInfo
from centernet.inference.heatmaps import Heatmaps
from centernet.inference.label_options import DEFAULT_LABELS
from centernet.inference.output_base import FileOutput, Output
from centernet.inference.output_paths import ResultName, class_word
from centernet.inference.prediction import Prediction
from centernet.inference.records import detections_record
from centernet.inference.run_summary import RunSummary
from centernet.inference.video.audio import AudioTrack
from centernet.inference.video.mot_file import MotFile
from centernet.inference.video.view import View
from centernet.inference.video.viewer import Viewer
from centernet.inference.writers import LinesFile, VideoFile, write_picture

# The class of the rows of counts.csv with the number of all objects.
_TOTAL = "all classes"


@dataclass(frozen=True)
class OutputContext:
    """Properties of a run that outputs use.

    Attributes:
        folder: folder of the files.
        stem: beginning of the paths of a video's files; None for images.
        fps: frames per second of a video; None for images.
        info: the properties of the network.
        thresholds: (C,) the score threshold of each class.
        summary: summary of the run.
        labels: text of the labels in pictures, a key of :data:`.LABELS`.
        count: whether pictures show the counts.
        audio: the audio of the video with boxes; None without.
    """

    folder: Path
    stem: Path | None
    fps: float | None
    info: EngineInfo
    thresholds: NDArray[np.float64]
    summary: RunSummary
    labels: str = DEFAULT_LABELS
    count: bool = False
    audio: AudioTrack | None = None

    def draw(self, prediction: Prediction) -> NDArray[np.uint8]:
        """The picture (H, W, 3) uint8 RGB of a prediction."""
        return prediction.draw(self.labels, count=self.count)


class PictureFiles(Output):
    """An image file for each prediction, with its boxes and labels."""

    def __init__(self, draw: Callable[[Prediction], NDArray[np.uint8]]) -> None:
        """Write the pictures of a function."""
        self._draw = draw

    def write(self, prediction: Prediction, name: ResultName) -> None:
        """Write ``name.picture``."""
        write_picture(name.picture, self._draw(prediction))


class HeatmapFiles(Output):
    """For each image the overlays of its heatmaps, and an NPZ file with the numbers."""

    def __init__(self, thresholds: NDArray[np.float64]) -> None:
        """Write a class's overlay if one of its peaks reaches its threshold (C,)."""
        self._thresholds = thresholds

    def write(self, prediction: Prediction, name: ResultName) -> None:
        """Write STEM.heatmap.jpg, STEM.heatmap-CLASS.jpg and STEM.npz."""
        shown, maps = prediction.upscaled, _heatmaps(prediction)
        large = _heatmaps(shown)
        write_picture(Path(f"{name.stem}.heatmap.jpg"), _overlay(prediction))
        for label in np.unique(maps.peaks(self._thresholds)["label"]).tolist():
            word = class_word(maps.class_names, label)
            path = Path(f"{name.stem}.heatmap-{word}.jpg")
            write_picture(path, large.overlay(shown.image, label))
        maps.save(f"{name.stem}.npz", threshold=self._thresholds)


class Video(FileOutput):
    """A video of a picture of each prediction."""

    draws = True

    def __init__(
        self,
        path: Path,
        fps: float,
        picture: Callable[[Prediction], NDArray[np.uint8]],
        audio: AudioTrack | None = None,
    ) -> None:
        """Write an MP4 file.

        Args:
            path: path of the file.
            fps: frames per second.
            picture: the frame (H, W, 3) uint8 RGB for a prediction.
            audio: the audio of the source.
        """
        self._video, self._picture = VideoFile(path, fps, audio=audio), picture
        super().__init__(self._video)

    def write(self, prediction: Prediction, name: ResultName) -> None:
        """Append a frame at its time in the source."""
        self._video.write(self._picture(prediction), name.time)


class JsonLines(FileOutput):
    """``detections.jsonl``: a JSON object with all detections for each image or frame.

    An object has a ``box`` x1, y1, x2, y2; one of a class that was learned from points has a
    ``point`` x, y instead. In a tracked video it has the id of its ``track``, or null.
    """

    def __init__(self, folder: Path) -> None:
        """Write into a folder."""
        self._lines = LinesFile(folder / "detections.jsonl")
        super().__init__(self._lines)

    def write(self, prediction: Prediction, name: ResultName) -> None:
        """Append a line."""
        line = detections_record(prediction, name.source, name.frame, name.time)
        self._lines.write(json.dumps(line, ensure_ascii=False) + "\n")


class CsvTable(FileOutput):
    """``detections.csv``: a row for each detection, boxes or points in image pixels.

    If only some classes were learned from points, these have boxes of zero size. In a tracked video
    a column ``track`` has the id, or is empty.
    """

    def __init__(self, folder: Path, *, has_boxes: bool = True) -> None:
        """Write into a folder.

        Args:
            folder: an existing folder.
            has_boxes: whether a class has boxes, else the columns are those of points.
        """
        self._columns = ["x1", "y1", "x2", "y2"] if has_boxes else ["x", "y"]
        lines = LinesFile(folder / "detections.csv")
        super().__init__(lines)
        self._rows = csv.writer(lines, lineterminator="\n")
        self._has_header = False

    def write(self, prediction: Prediction, name: ResultName) -> None:
        """Append the rows of an image or frame."""
        frame = {} if name.frame is None else {"frame": name.frame}
        if not self._has_header:
            track = ["track"] * prediction.is_tracked
            self._rows.writerow(["image", *frame, *track, "class", "score", *self._columns])
            self._has_header = True
        for one in prediction.objects:
            place = [*one.point, *one.point] if one.point else one.box
            start = [name.source, *frame.values(), *[one.track] * prediction.is_tracked]
            row = [*start, one.class_name, one.score, *place[: len(self._columns)]]
            self._rows.writerow(row)


class CountTable(FileOutput):
    """``counts.csv``: for each image or frame a row for each class, and one for the total."""

    def __init__(self, folder: Path) -> None:
        """Write into a folder."""
        lines = LinesFile(folder / "counts.csv")
        super().__init__(lines)
        self._rows = csv.writer(lines, lineterminator="\n")
        self._has_header = False

    def write(self, prediction: Prediction, name: ResultName) -> None:
        """Append the rows of an image or frame."""
        count = prediction.count
        assert count is not None  # the weights have a calibration
        frame = {} if name.frame is None else {"frame": name.frame}
        if not self._has_header:
            self._rows.writerow(["image", *frame, "class", *count.total.as_dict(), "truncated"])
            self._has_header = True
        for class_name, one in [*count.classes.items(), (_TOTAL, count.total)]:
            values = one.as_dict().values()
            row = [name.source, *frame.values(), class_name, *values, int(count.truncated)]
            self._rows.writerow(row)


def _heatmaps(prediction: Prediction) -> Heatmaps:
    assert prediction.heatmaps is not None  # the run requests them
    return prediction.heatmaps


def _overlay(prediction: Prediction) -> NDArray[np.uint8]:
    return _heatmaps(prediction.upscaled).overlay(prediction.upscaled.image)


def _pictures(context: OutputContext) -> Output:
    if context.stem is None or context.fps is None:
        return PictureFiles(context.draw)
    return Video(Path(f"{context.stem}.mp4"), context.fps, context.draw, context.audio)


def _heatmap_pictures(context: OutputContext) -> Output:
    context.info.require_heatmaps("--heatmaps")
    if context.stem is None or context.fps is None:
        return HeatmapFiles(context.thresholds)
    return Video(Path(f"{context.stem}.heatmap.mp4"), context.fps, _overlay)


def _count_table(context: OutputContext) -> Output:
    context.info.require_counting("counts.csv")
    return CountTable(context.folder)


def _viewer(context: OutputContext) -> Output:
    info = context.info
    view = View(context.thresholds, info.class_names, info.has_heatmaps)
    return Viewer(context.draw, view, fps=context.fps)


# In the order of writing.
OUTPUTS: dict[str, Callable[[OutputContext], Output]] = {
    "earlier": lambda context: EarlierFiles(),
    "pictures": _pictures,
    "heatmaps": _heatmap_pictures,
    "json": lambda context: JsonLines(context.folder),
    "csv": lambda context: CsvTable(context.folder, has_boxes=context.info.has_box_sizes),
    "counts": _count_table,
    "tracks": lambda context: MotFile(Path(f"{context.stem}.mot.txt")),
    "summary": lambda context: context.summary,
    "show": _viewer,
}


def make_outputs(
    context: OutputContext, extras: Sequence[str], *, pictures: bool = True
) -> list[Output]:
    """The pictures, the summary, and further outputs.

    Args:
        context: properties of the run.
        extras: names of further outputs.
        pictures: write picture files or a video.

    Raises:
        InputError: an output is unknown, or needs heatmaps and the network has none.
    """
    if unknown := set(extras) - set(OUTPUTS):
        raise InputError(f"unknown output {min(unknown)!r}: choose from {', '.join(OUTPUTS)}")
    chosen = {"summary", *extras} | ({"earlier", "pictures"} if pictures else set())
    if "csv" in extras and context.info.counting:
        chosen.add("counts")
    return [make(context) for name, make in OUTPUTS.items() if name in chosen]
