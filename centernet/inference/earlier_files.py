"""Remove files of an earlier run of ``detect`` that would belong to new pictures."""

import re
from collections import defaultdict
from functools import cached_property
from pathlib import Path

from centernet.inference.output_base import Output
from centernet.inference.output_paths import ResultName
from centernet.inference.prediction import Prediction

# The end of the names of files that a run with fewer options does not replace.
_SUFFIX = re.compile(r"(\.heatmap(-[^.]+)?\.jpg|\.heatmap\.mp4|\.npz|\.mot\.txt)$")


class EarlierFiles(Output):
    """Removes the heatmaps and tracks that an earlier run wrote for an image or a video.

    A run without ``--heatmaps``, or with another threshold, would leave them beside its pictures.
    """

    def __init__(self, folder: Path) -> None:
        """Remove files in this folder, and in folders below it."""
        self._folder = folder

    def write(self, prediction: Prediction, name: ResultName) -> None:
        """Remove the earlier files of the image, or of the video at its first frame."""
        for path in self._files.pop(name.stem, ()):
            path.unlink(missing_ok=True)

    @cached_property
    def _files(self) -> dict[Path, list[Path]]:
        """The files of earlier runs, by the stem of their results."""
        found: dict[Path, list[Path]] = defaultdict(list)
        for path in self._folder.rglob("*"):
            if (suffix := _SUFFIX.search(path.name)) and path.is_file():
                found[path.with_name(path.name[: suffix.start()])].append(path)
        return dict(found)
