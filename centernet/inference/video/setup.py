"""What a run of ``detect`` does with a video: live, audio, tracking, lines and zones."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from centernet.errors import InputError
from centernet.inference.output_base import Output, Step
from centernet.inference.pictures import PictureSource
from centernet.inference.video.tracking import TrackingStep, require_trackers
from centernet.inference.video.zone_setup import ZoneSetup


@dataclass(frozen=True)
class VideoSetup:
    """The options for videos, after their checks.

    Attributes:
        live: whether the newest frame is processed, and those that arrive meanwhile are dropped.
        audio: a video file whose audio is copied; None for no audio.
        track: whether tracks are written.
        zones: lines and zones.
    """

    live: bool
    audio: Path | None
    track: bool
    zones: ZoneSetup

    @classmethod
    def read(
        cls,
        source: PictureSource,
        *,
        live: bool,
        audio: bool,
        track: bool,
        lines: Sequence[str],
        zones: Sequence[str | Path],
    ) -> "VideoSetup":
        """Check the options, as for :func:`.detect`, before the weights are loaded.

        Raises:
            InputError: an option is wrong or not possible with this source, or the package trackers
                is missing.
        """
        video, name = source.video, source.name
        for option, given in (("--live", live), ("--track", track)):
            if given and video is None:
                raise InputError(
                    f"{option} needs a video, a camera or a stream, got images: {name}"
                )
        is_live = live or (video is not None and video.live)
        if audio and (is_live or video is None or video.kind != "video"):
            raise InputError(f"--audio needs a video file, and no --live, got {name}")
        read = ZoneSetup.read(lines, zones, source)
        if track or read.needs_tracks:
            require_trackers()
        return cls(is_live, Path(name) if audio else None, track, read)

    def steps(self, thresholds: NDArray[np.float64], class_names: tuple[str, ...]) -> list[Step]:
        """The steps between network and outputs, for the score threshold of each class (C,)."""
        steps: list[Step] = []
        if self.track or self.zones.needs_tracks:
            assert self.zones.fps is not None  # only a video is tracked
            steps.append(TrackingStep(thresholds, class_names, self.zones.fps))
        return [*steps, *self.zones.steps()]

    def extras(self) -> list[str]:
        """Names of outputs, see :data:`.OUTPUTS`."""
        return ["tracks"] if self.track else []

    def outputs(self, folder: Path) -> list[Output]:
        """Further outputs."""
        return self.zones.outputs(folder)
