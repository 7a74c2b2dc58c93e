"""The counts at lines and in zones: what the pictures show and the files contain."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from centernet.inference.video.zone_shapes import Line, Point, Zone

# The kinds of events. The first two are directions over a line.
IN, OUT = "in", "out"
ENTERED, LEFT = "entered", "left"

# Number of objects by class name.
Counts = Mapping[str, int]


class Sighting(NamedTuple):
    """A detection in a frame.

    Attributes:
        track: number of its track; negative while the tracker has not confirmed it, and for
            detections without tracks.
        point: its position x, y in pixels.
        size: the square root of the area of its box, in pixels.
        class_name: name of its class.
    """

    track: int
    point: Point
    size: float
    class_name: str


class Moment(NamedTuple):
    """The time of a frame.

    Attributes:
        frame: number of the frame, from 0.
        seconds: time since the start of the video.
    """

    frame: int
    seconds: float


class Event(NamedTuple):
    """An object crossed a line, or entered or left a zone.

    Attributes:
        moment: when it did.
        name: name of the line or zone.
        kind: in, out, entered or left.
        track: number of the object's track.
        class_name: name of its class.
        inside: seconds that it was inside of the zone that it left; None for other events.
    """

    moment: Moment
    name: str
    kind: str
    track: int
    class_name: str
    inside: float | None = None


@dataclass(frozen=True)
class LineCount:
    """The crossings of a line so far.

    Attributes:
        line: the line, in pixels.
        crossings: number of crossings by direction and class.
    """

    line: Line
    crossings: Mapping[str, Counts]

    def as_dict(self) -> dict[str, Any]:
        """The numbers as plain values."""
        return {direction: dict(counts) for direction, counts in self.crossings.items()}


@dataclass(frozen=True)
class VisitCount:
    """The visits of tracked objects to a zone so far.

    Attributes:
        entered: number of visits by class, also of objects that appeared inside.
        left: number of finished visits by class.
        objects: number of different objects by class.
        seconds: total time inside by class, in seconds.
    """

    entered: Counts
    left: Counts
    objects: Counts
    seconds: Mapping[str, float]


@dataclass(frozen=True)
class ZoneCount:
    """The objects in a zone.

    Attributes:
        zone: the zone, in pixels.
        inside: number of objects in the picture by class.
        visits: visits so far; None without tracks.
    """

    zone: Zone
    inside: Counts
    visits: VisitCount | None = None

    def as_dict(self) -> dict[str, Any]:
        """The numbers as plain values."""
        counts = {"inside": dict(self.inside)}
        if self.visits:
            counts |= {ENTERED: dict(self.visits.entered), LEFT: dict(self.visits.left)}
        return counts


@dataclass(frozen=True)
class ZoneCounts:
    """The counts at all lines and in all zones after a picture.

    Attributes:
        lines: the lines.
        zones: the zones.
        events: what happened in this picture.
        labels: number of each class by name, for its color.
    """

    lines: tuple[LineCount, ...] = ()
    zones: tuple[ZoneCount, ...] = ()
    events: tuple[Event, ...] = ()
    labels: Mapping[str, int] = field(default_factory=dict, repr=False)

    def as_dict(self) -> dict[str, Any]:
        """``lines`` and ``zones`` as plain values, by name; without those that do not exist."""
        lines = {one.line.name: one.as_dict() for one in self.lines}
        zones = {one.zone.name: one.as_dict() for one in self.zones}
        return ({"lines": lines} if lines else {}) | ({"zones": zones} if zones else {})
