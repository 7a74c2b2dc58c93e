"""Tracks in the text format of the MOT Challenge."""

from pathlib import Path

from centernet.inference.output_base import FileOutput
from centernet.inference.output_paths import ResultName
from centernet.inference.prediction import DetectedObject, Prediction
from centernet.inference.writers import LinesFile


def mot_row(frame: int, one: DetectedObject) -> str:
    """A tracked object as a row: frame, id, left, top, width, height, score, class, -1, -1.

    Frames, pixels and classes count from 1, as in the ground truth of the challenge. The last two
    columns, the visibility and an unused one, are not known.

    Args:
        frame: number of the frame, from 0.
        one: an object with a track.
    """
    x1, y1, x2, y2 = one.box
    place = ",".join(f"{value:.2f}" for value in (x1 + 1, y1 + 1, x2 - x1, y2 - y1))
    return f"{frame + 1},{one.track},{place},{one.score:.4f},{one.label + 1},-1,-1\n"


class MotFile(FileOutput):
    """``NAME.mot.txt``: a row for each object of a track in each frame."""

    def __init__(self, path: Path) -> None:
        """Write to ``path``."""
        self._lines = LinesFile(path)
        super().__init__(self._lines)

    def write(self, prediction: Prediction, name: ResultName) -> None:
        """Append the rows of a frame."""
        assert name.frame is not None  # only videos are tracked
        for one in prediction.objects:
            if one.track is not None:
                self._lines.write(mot_row(name.frame, one))
