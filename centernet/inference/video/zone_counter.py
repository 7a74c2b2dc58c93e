"""Counts the objects in a zone, and the visits of tracks to it.

supervision's ``PolygonZone`` is not used: up to version 0.27 it clips boxes to the polygon, which
moves the centers of large boxes beside it into it, and it does not measure the distance from the
outline, which visits need. OpenCV does both on one call.
"""

from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

from centernet.inference.video.line_counter import MARGIN, is_forgotten
from centernet.inference.video.zone_counts import (
    ENTERED,
    LEFT,
    Event,
    Moment,
    Sighting,
    VisitCount,
    ZoneCount,
)
from centernet.inference.video.zone_shapes import Zone


@dataclass(slots=True)
class _Visit:
    """A visit of a track to the zone.

    Attributes:
        class_name: name of its class when it entered.
        start: when it entered.
        last: when it was last seen inside.
        seen: when it was last seen, in seconds.
        missed: number of frames since then.
        is_inside: whether the visit goes on.
    """

    class_name: str
    start: Moment
    last: Moment
    seen: float
    missed: int = 0
    is_inside: bool = True


class ZoneCounter:
    """Counts the objects in a zone now, and the visits of tracks so far.

    A visit starts in the first frame in which the object is inside, also if it appears there. It
    ends with the last frame inside, once the object is outside by a tenth of its size, so that an
    object on the outline does not enter again and again, or is not seen any more.
    """

    def __init__(self, zone: Zone) -> None:
        """Start with no visits to ``zone``, whose points are pixels."""
        self.zone = zone
        self._inside: Counter[str] = Counter()
        self._entered: Counter[str] = Counter()
        self._left: Counter[str] = Counter()
        self._objects: Counter[str] = Counter()
        self._seconds: defaultdict[str, float] = defaultdict(float)  # of finished visits
        self._visits: dict[int, _Visit] = {}

    def count(self, *, tracked: bool) -> ZoneCount:
        """The objects in the last picture and, if ``tracked``, the visits so far."""
        if not tracked:
            return ZoneCount(self.zone, Counter(self._inside))
        seconds = self._seconds.copy()
        for visit in self._visits.values():
            seconds[visit.class_name] += _duration(visit) * visit.is_inside
        counts = Counter(self._entered), Counter(self._left), Counter(self._objects)
        return ZoneCount(self.zone, Counter(self._inside), VisitCount(*counts, seconds))

    def move(self, zone: Zone) -> None:
        """Continue with the zone in a picture of another size."""
        self.zone = zone

    def update(self, sightings: Sequence[Sighting], moment: Moment) -> list[Event]:
        """Count the objects in a picture, and the visits that start or end.

        Args:
            sightings: the detections of the picture.
            moment: its time.
        """
        depths = [self.zone.depth(one.point) for one in sightings]
        places = list(zip(sightings, depths, strict=True))
        self._inside = Counter(one.class_name for one, depth in places if depth >= 0)
        events = []
        for visit in self._visits.values():
            visit.missed += 1
        for one, depth in places:
            if one.track < 0:
                continue
            present = self._visits.get(one.track)
            if present:
                present.seen, present.missed = moment.seconds, 0
            if depth >= 0:
                events += self._stay(one, moment)
            elif present and present.is_inside and depth <= -MARGIN * one.size:
                events.append(self._leave(one.track, present))
        for number, visit in list(self._visits.items()):
            if is_forgotten(visit.missed, moment.seconds - visit.seen):
                events += [self._leave(number, visit)] if visit.is_inside else []
                del self._visits[number]
        return events

    def _stay(self, one: Sighting, moment: Moment) -> list[Event]:
        """Continue the visit of a track that is inside, or start one."""
        visit = self._visits.get(one.track)
        if visit and visit.is_inside:
            visit.last = moment
            return []
        self._objects[one.class_name] += visit is None
        self._entered[one.class_name] += 1
        self._visits[one.track] = _Visit(one.class_name, moment, moment, moment.seconds)
        return [Event(moment, self.zone.name, ENTERED, one.track, one.class_name)]

    def _leave(self, number: int, visit: _Visit) -> Event:
        """End the visit of a track."""
        visit.is_inside = False
        self._left[visit.class_name] += 1
        seconds = _duration(visit)
        self._seconds[visit.class_name] += seconds
        return Event(visit.last, self.zone.name, LEFT, number, visit.class_name, seconds)


def _duration(visit: _Visit) -> float:
    return visit.last.seconds - visit.start.seconds
