"""Remove heatmaps of an earlier run of ``detect`` that would belong to new pictures."""

import re
from collections import defaultdict
from pathlib import Path

from centernet.inference.heatmaps import is_saved_file
from centernet.inference.output_base import Output
from centernet.inference.output_paths import ResultName
from centernet.inference.prediction import Prediction

_OVERLAY = re.compile(r"\.heatmap(-[^.]+)?\.jpg$")


class EarlierFiles(Output):
    """Removes the heatmaps that an earlier run wrote for an image or a video.

    A run without ``--heatmaps``, or with another threshold, would leave them beside its pictures.
    Overlays are removed only beside an NPZ file with heatmaps; other files are never removed.
    """

    def __init__(self) -> None:
        """Nothing is read yet."""
        self._overlays: dict[Path, dict[Path, list[Path]]] = {}

    def write(self, prediction: Prediction, name: ResultName) -> None:
        """Remove the earlier files of the image, or of the video at its first frame."""
        if name.frame is not None:
            if name.frame == 0:
                Path(f"{name.stem}.heatmap.mp4").unlink(missing_ok=True)
            return
        maps = Path(f"{name.stem}.npz")
        if maps.is_file() and is_saved_file(maps):
            for path in (maps, *self._overlays_of(name.stem)):
                path.unlink(missing_ok=True)

    def _overlays_of(self, stem: Path) -> list[Path]:
        """The overlays of an image; its folder is listed once."""
        folder = stem.parent
        if folder not in self._overlays:
            found = self._overlays[folder] = defaultdict(list)
            for path in folder.iterdir():
                if suffix := _OVERLAY.search(path.name):
                    found[path.with_name(path.name[: suffix.start()])].append(path)
        return self._overlays[folder].get(stem, [])
