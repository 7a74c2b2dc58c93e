"""Objects in a zone, and visits of tracks to it."""

import pytest

from centernet.inference.video.line_counter import MEMORY
from centernet.inference.video.zone_counter import ZoneCounter
from centernet.inference.video.zone_counts import Moment, Sighting
from centernet.inference.video.zone_shapes import Zone

# A right angle: the corner on the right below is missing.
ZONE = Zone("yard", ((0, 0), (100, 0), (100, 50), (50, 50), (50, 100), (0, 100)))


def run(*frames):
    """The counts after frames at 10 per second; a frame has track, x, y of each object."""
    counter, events = ZoneCounter(ZONE), []
    for number, frame in enumerate(frames):
        seen = [Sighting(track, (x, y), 20, "cat") for track, x, y in frame]
        events += counter.update(seen, Moment(number, number / 10))
    return counter.count(tracked=True), events


@pytest.mark.parametrize(
    ("point", "inside"),
    [((50, 25), 1), ((25, 75), 1), ((75, 75), 0), ((-5, 5), 0), ((100, 20), 1), ((50.2, 70), 0)],
)
def test_objects_inside_need_no_tracks(point, inside):
    count, events = run([(-1, *point), (-1, 500, 500), (-1, *point)])
    assert count.inside.get("cat", 0) == 2 * inside and not events
    assert not count.visits.entered


def test_nothing_is_inside_of_an_empty_picture():
    count, _ = run([(-1, 10, 10)], [])
    assert count.as_dict() == {"inside": {}, "entered": {}, "left": {}}
    assert ZoneCounter(ZONE).count(tracked=False).as_dict() == {"inside": {}}


def test_visits():
    # Inside in the frames 1 to 4, lost in 2 and 3, outside in 5; it comes back in 7.
    frames = [[(1, -9, 20)], [(1, 9, 20)], [(-1, 9, 20)], [], [(1, 9, 20)], [(1, -9, 20)], []]
    count, events = run(*frames, [(1, 9, 20)], [(1, 9, 20)])
    visits = count.visits
    assert (visits.entered, visits.left, visits.objects) == ({"cat": 2}, {"cat": 1}, {"cat": 1})
    assert visits.seconds["cat"] == pytest.approx(0.3 + 0.1)
    kinds = [(event.kind, event.moment.frame) for event in events]
    assert kinds == [("entered", 1), ("left", 4), ("entered", 7)]
    assert events[1].inside == pytest.approx(0.3)


def test_an_object_on_the_outline_enters_once():
    count, _ = run(*[[(1, x, 20)] for x in (-10, *[1, -1] * 20)])
    assert (count.visits.entered, count.visits.left) == ({"cat": 1}, {})


def test_a_lost_object_leaves_when_it_was_last_seen():
    count, events = run([(1, 9, 20)], [(1, 9, 20)], *[[]] * int(10 * MEMORY + 1))
    assert count.visits.left == {"cat": 1}
    assert events[-1].moment.frame == 1 and events[-1].inside == pytest.approx(0.1)
