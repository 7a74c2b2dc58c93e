"""The summary of a run of ``detect``."""

from collections import Counter
from pathlib import Path

from tqdm import tqdm

from centernet.inference.count_totals import CountTotals
from centernet.inference.output_base import Output
from centernet.inference.output_paths import ResultName
from centernet.inference.prediction import Prediction
from centernet.sizes import format_size

# From this factor on, the summary says that pictures are shrunk.
_MUCH_SHRUNK = 4


class RunSummary(Output):
    """Counts pictures, detections and time, and prints the detections in each of a few images.

    Attributes:
        pictures: number of pictures.
        failed: number of pictures that failed, and of truncated videos.
        truncated: number of pictures where ``top_k`` may have cut off detections.
        found: number of detections by class name.
        seconds: total time by step.
    """

    def __init__(
        self,
        top_k: int,
        input_size: tuple[int, int] | None = None,
        *,
        printed: bool = False,
        counts: CountTotals | None = None,
    ) -> None:
        """Start from zero.

        Args:
            top_k: maximum number of detections per image.
            input_size: (height, width) in pixels that pictures are scaled to fit; None if they keep
                their size, or run in tiles.
            printed: print a line for each picture.
            counts: adds up the calibrated counts, which are printed instead of the numbers of
                detections.
        """
        self._input_size, self._shrunk = input_size, 1.0
        self.pictures = self.failed = self.truncated = 0
        self._top_k = top_k
        self.found: Counter[str] = Counter()
        self.seconds: Counter[str] = Counter()
        self._printed, self._counts = printed, counts
        self._tracks: dict[int | None, str] | None = None

    def write(self, prediction: Prediction, name: ResultName) -> None:
        """Count one picture."""
        names = Counter(one.class_name for one in prediction.objects)
        self.pictures += 1
        self.truncated += prediction.truncated
        if self._input_size:
            sides = zip(prediction.image.shape[:2], self._input_size, strict=True)
            self._shrunk = max(self._shrunk, *(side / fit for side, fit in sides))
        self.found += names
        self.seconds.update(prediction.seconds)
        if prediction.is_tracked:
            self._tracks = self._tracks or {}
            self._tracks |= {one.track: one.class_name for one in prediction.objects if one.track}
        counted = prediction.count if self._counts else None
        if self._counts and counted:
            self._counts.add(counted)
        if self._printed:
            tqdm.write(f"{Path(name.source).name}: {counted or _counts(names)}")

    def text(self) -> str:
        """The number of pictures and detections, the effect of ``top_k``, and the time by step."""
        steps = {name: 1000 * seconds / self.pictures for name, seconds in self.seconds.items()}
        each = ", ".join(f"{name} {milliseconds:.1f}" for name, milliseconds in steps.items())
        lines = [
            f"{_pictures_of(self.pictures)}: {_counts(self.found)}",
            f"{sum(steps.values()):.1f} ms per picture: {each}",
        ]
        if self._tracks is not None:
            mean = self.found.total() / self.pictures
            tracks = _counts(Counter(self._tracks.values()))
            lines.insert(1, f"{tracks} tracked; {mean:.1f} objects per frame")
        if self._counts:
            lines.insert(1, self._counts.text())
        if self.truncated:
            lines.insert(
                1,
                f"detections may be missing in {_pictures_of(self.truncated)}, the limit is "
                f"{self._top_k} per picture: raise it with --top-k {2 * self._top_k}",
            )
        if self._input_size and self._shrunk >= _MUCH_SHRUNK:
            lines.append(
                f"pictures are shrunk up to {self._shrunk:.0f} times for the network input, "
                f"{format_size(self._input_size)}: if small objects are missing, try --tile 1024"
            )
        return "\n".join(lines)


def _counts(names: Counter[str]) -> str:
    return ", ".join(f"{count} {name}" for name, count in names.most_common()) or "nothing"


def _pictures_of(count: int) -> str:
    return f"{count} picture{'s' * (count != 1)}"
