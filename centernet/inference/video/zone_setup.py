"""The lines and zones of a run of ``detect``."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from centernet.errors import InputError
from centernet.inference.output_base import Output, Step
from centernet.inference.pictures import PictureSource
from centernet.inference.video.zone_file import read_shapes
from centernet.inference.video.zone_results import ZoneResults
from centernet.inference.video.zone_shapes import Line, Zone
from centernet.inference.video.zones import CountZones


@dataclass(frozen=True)
class ZoneSetup:
    """The lines and zones of a run.

    Attributes:
        lines: lines, which need tracked objects.
        zones: zones.
        fps: frames per second of the video; None for images.
    """

    lines: list[Line]
    zones: list[Zone]
    fps: float | None

    @classmethod
    def read(
        cls, lines: Sequence[str], files: Sequence[str | Path], source: PictureSource
    ) -> "ZoneSetup":
        """Read the options ``--line`` and ``--zone``.

        Raises:
            InputError: an option is wrong, or there are lines and the source has images.
        """
        read = read_shapes(lines, files)
        video = source.video
        if read[0] and video is None:
            raise InputError(
                f"{read[0][0].title} counts objects that cross it in a video, got images: "
                f"{source.name}; use zones for images"
            )
        return cls(*read, video.fps if video else None)

    @property
    def needs_tracks(self) -> bool:
        """Whether the detections must be tracked."""
        return bool(self.lines)

    def steps(self) -> list[Step]:
        """The step that counts, after that of tracking; none without lines and zones."""
        return [CountZones(self.lines, self.zones, fps=self.fps)] if self._is_used else []

    def outputs(self, folder: Path) -> list[Output]:
        """The output of the counts to an existing folder; none without lines and zones."""
        return [ZoneResults(folder, video=self.fps is not None)] if self._is_used else []

    @property
    def _is_used(self) -> bool:
        return bool(self.lines or self.zones)
