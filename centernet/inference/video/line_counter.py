"""Counts the tracks that cross a line.

supervision's ``LineZone`` is not used. With its default anchors a box counts when all its corners
have passed, and only if all are beside the segment, so an object that is larger than the segment,
or that is lost just behind it, is missed. Also with the box center as its anchor (version 0.31):

- It forgets a track that is missing in two frames, so an object that is lost while it crosses is
  not counted.
- It ignores a center that is not beside the segment. An object that passes around an end counts as
  crossing; one that crosses at an angle, so that it is beside the segment only on one side, does
  not.
- A center on the line is on its right, so an object that touches the line and turns around counts
  twice.
- A box whose center trembles on the line counts again and again, or, with a larger
  ``minimum_crossing_threshold``, fast objects are missed.

Up to version 0.30, all detections without a confirmed track, whose id is -1, are one object there.
"""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

from centernet.inference.video.zone_counts import IN, OUT, Event, LineCount, Moment, Sighting
from centernet.inference.video.zone_shapes import Line, Point

# A track that is not seen for this number of seconds and frames is forgotten. The tracker forgets
# it earlier, and never gives its id again.
MEMORY, MEMORY_FRAMES = 2.0, 6
# An object has passed a line, or has left a zone, if it is farther away than this fraction of its
# size; detected centers move by less while an object stands still.
MARGIN = 0.1


def is_forgotten(missed: int, seconds: float) -> bool:
    """Whether a track that was not seen in a number of frames, and of seconds, is forgotten."""
    return missed > MEMORY_FRAMES and seconds > MEMORY


@dataclass(slots=True)
class _Track:
    """What is known of a track.

    Attributes:
        point: its last position.
        side: the side of that: 1 for in, -1 for out, 0 if it has always been on the line.
        settled: the last side on which it was clearly beside the line.
        passages: passages through the segment since then: 1 towards in, -1 towards out.
        seen: when it was last seen, in seconds.
        missed: number of frames since then.
    """

    point: Point
    side: int = 0
    settled: int = 0
    passages: int = 0
    seen: float = 0.0
    missed: int = 0


class LineCounter:
    """Counts crossings of a line by direction and class.

    An object crosses if its path goes through the segment, from one side to a clear distance on the
    other: a tenth of its size, so that an object that stands on the line does not count again and
    again. Between two frames, also distant ones, the path is straight. Detections without a
    confirmed track do not count, and change nothing.
    """

    def __init__(self, line: Line) -> None:
        """Start with no crossings of ``line``, whose points are pixels."""
        self.line = line
        self._crossings: dict[str, Counter[str]] = {IN: Counter(), OUT: Counter()}
        self._tracks: dict[int, _Track] = {}

    @property
    def count(self) -> LineCount:
        """The crossings so far."""
        return LineCount(self.line, {name: Counter(n) for name, n in self._crossings.items()})

    def move(self, line: Line) -> None:
        """Continue with the line in a picture of another size."""
        self.line = line
        self._tracks.clear()

    def update(self, sightings: Iterable[Sighting], moment: Moment) -> list[Event]:
        """Count the crossings since the frame before.

        Args:
            sightings: the detections of a frame.
            moment: the time of the frame.
        """
        events = []
        for track in self._tracks.values():
            track.missed += 1
        for one in sightings:
            if one.track < 0:
                continue
            track = self._tracks.setdefault(one.track, _Track(one.point))
            track.seen, track.missed = moment.seconds, 0
            if direction := self._move(track, one):
                self._crossings[direction][one.class_name] += 1
                event = Event(moment, self.line.name, direction, one.track, one.class_name)
                events.append(event)
        for number, track in list(self._tracks.items()):
            if is_forgotten(track.missed, moment.seconds - track.seen):
                del self._tracks[number]
        return events

    def _move(self, track: _Track, one: Sighting) -> str | None:
        """Move a track to a new position; the direction if it has crossed the line."""
        distance = self.line.distance(one.point)
        side = (distance > 0) - (distance < 0) or track.side  # on the line: as before
        if side * track.side < 0 and self.line.contains(self._meeting(track.point, one.point)):
            track.passages += side
        track.point, track.side = one.point, side
        if not track.settled:
            track.settled = side
        if abs(distance) < MARGIN * one.size:
            return None
        has_crossed = side != track.settled and side * track.passages > 0
        track.settled, track.passages = side, 0
        return (IN if side > 0 else OUT) if has_crossed else None

    def _meeting(self, start: Point, end: Point) -> Point:
        """Where a path from one side to the other meets the infinite line."""
        before, after = self.line.distance(start), self.line.distance(end)
        share = before / (before - after)
        return start[0] + share * (end[0] - start[0]), start[1] + share * (end[1] - start[1])
