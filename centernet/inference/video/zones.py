"""The step of ``detect`` that counts objects at lines and in zones."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from centernet.errors import InputError
from centernet.inference.output_base import Step
from centernet.inference.output_paths import ResultName
from centernet.inference.prediction import Prediction
from centernet.inference.video.line_counter import LineCounter
from centernet.inference.video.track_ids import track_ids
from centernet.inference.video.zone_counter import ZoneCounter
from centernet.inference.video.zone_counts import Moment, Sighting, ZoneCounts
from centernet.inference.video.zone_shapes import BOTTOM_CENTER, Line, Zone


class CountZones(Step):
    """Counts the objects of each picture at lines and in zones.

    Lines need tracks: the ids in ``tracker_id`` of the detections, negative for detections whose
    track is not confirmed yet. Zones count the objects inside without tracks, and visits with them.
    """

    def __init__(
        self,
        lines: Sequence[Line],
        zones: Sequence[Zone],
        *,
        fps: float | None = None,
    ) -> None:
        """Count from zero.

        Args:
            lines: lines, as they were read.
            zones: zones, as they were read.
            fps: frames per second of the video; None for images.
        """
        self._read_lines, self._read_zones, self._fps = lines, zones, fps
        self._lines: list[LineCounter] = []
        self._zones: list[ZoneCounter] = []
        self._size: tuple[int, ...] = ()
        self._labels: dict[str, int] = {}

    def __call__(self, prediction: Prediction, name: ResultName) -> Prediction:
        """The prediction with the counts so far.

        Raises:
            InputError: a line or zone does not fit the picture, or there are lines and no tracks.
        """
        if prediction.image.shape[:2] != self._size:
            self._fit(*prediction.image.shape[:2])
        tracked = self._is_tracked(prediction)
        moment = self._moment(name)
        sightings = {bottom: _sightings(prediction, bottom) for bottom in (False, True)}
        events = []
        found = prediction.detections
        assert found.class_id is not None  # the Detector sets it
        names = map(str, found.data["class_name"])
        self._labels |= dict(zip(names, found.class_id.tolist(), strict=True))
        for line in self._lines:
            events += line.update(sightings[line.line.anchor == BOTTOM_CENTER], moment)
        for zone in self._zones:
            events += zone.update(sightings[zone.zone.anchor == BOTTOM_CENTER], moment)
        counts = ZoneCounts(
            tuple(counter.count for counter in self._lines),
            tuple(counter.count(tracked=tracked) for counter in self._zones),
            tuple(events),
            self._labels,
        )
        return replace(prediction, zones=counts)

    def _moment(self, name: ResultName) -> Moment:
        frame = name.frame or 0
        return Moment(frame, frame / (self._fps or 1) if name.time is None else name.time)

    def _fit(self, height: int, width: int) -> None:
        """Place lines and zones in pictures of this size; counts go on."""
        lines = [line.fit(width, height) for line in self._read_lines]
        zones = [zone.fit(width, height) for zone in self._read_zones]
        if self._size:
            for line_counter, line in zip(self._lines, lines, strict=True):
                line_counter.move(line)
            for zone_counter, zone in zip(self._zones, zones, strict=True):
                zone_counter.move(zone)
        else:
            self._lines, self._zones = list(map(LineCounter, lines)), list(map(ZoneCounter, zones))
        self._size = height, width

    def _is_tracked(self, prediction: Prediction) -> bool:
        """Whether the detections have tracks; raises InputError if lines need them."""
        tracked = prediction.detections.tracker_id is not None
        if self._lines and not tracked and len(prediction.detections):
            raise InputError(
                f"{self._lines[0].line.title} counts tracked objects: it needs the tracking of "
                "objects in a video, --track"
            )
        return tracked


def _sightings(prediction: Prediction, bottom: bool) -> list[Sighting]:
    """The detections, at the centers of their boxes or at the centers of their lower sides."""
    found = prediction.detections
    boxes = np.nan_to_num(found.xyxy.astype(float))
    sizes = np.sqrt((boxes[:, 2:] - boxes[:, :2]).clip(0).prod(1))
    points = (boxes[:, :2] + boxes[:, 2:]) / 2
    if bottom:
        points[:, 1] = boxes[:, 3]
    rows = zip(track_ids(found), points.tolist(), sizes, found.data["class_name"], strict=True)
    return [Sighting(int(t), (x, y), float(size), str(name)) for t, (x, y), size, name in rows]
