"""Crossings of a line by tracks whose paths are written down."""

import itertools

import numpy as np
import pytest
import supervision as sv

from centernet.inference.video.line_counter import MEMORY, MEMORY_FRAMES, LineCounter
from centernet.inference.video.zone_counts import Moment, Sighting
from centernet.inference.video.zone_shapes import Line

# From left to right: "in" leads up.
LINE = Line("gate", ((100, 100), (300, 100)))


def crossings(*frames, line=LINE, size=20.0) -> tuple[int, int]:
    """Numbers of crossings in and out; a frame has the position of each track that is seen."""
    counter = LineCounter(line)
    for number, frame in enumerate(frames):
        seen = [Sighting(track, point, size, "car") for track, point in frame]
        counter.update(seen, Moment(number, number / 10))
    counts = counter.count.crossings
    return counts["in"]["car"], counts["out"]["car"]


def path(*points, track=1):
    return [[] if point is None else [(track, point)] for point in points]


@pytest.mark.parametrize(
    ("points", "expected"),
    [
        ([], (0, 0)),
        ([(200, 150), (200, 50)], (1, 0)),
        ([(200, 50), (200, 150)], (0, 1)),
        ([(200, 150), (200, 50), (200, 150), (200, 50)], (2, 1)),
        # It touches the line, or passes it by less than a tenth of its size, and turns around.
        ([(200, 150), (200, 100), (200, 150)], (0, 0)),
        ([(200, 150), (200, 99), (200, 150)], (0, 0)),
        # It stands on the line, trembles, and then goes on.
        ([(200, 110), *[(200, 101), (200, 99)] * 9, (200, 90)], (1, 0)),
        ([(200, 100), (200, 99), (200, 80)], (0, 0)),
        # It passes beside an end, and around it.
        ([(320, 150), (320, 50)], (0, 0)),
        ([(200, 150), (320, 110), (320, 90), (200, 50)], (0, 0)),
        ([(200, 150), (320, 110), (320, 90), (200, 50), (200, 150)], (0, 1)),
        # It crosses at an angle, and starts and ends beside the segment.
        ([(80, 140), (150, 50)], (1, 0)),
        ([(290, 130), (320, 20)], (1, 0)),
        ([(290, 130), (320, 90)], (0, 0)),
        # It is not seen while it crosses.
        ([(200, 150), *[None] * 15, (200, 50)], (1, 0)),
        # It crosses the line slowly.
        ([(200, 110 - i / 4) for i in range(80)], (1, 0)),
    ],
)
def test_paths(points, expected):
    assert crossings(*path(*points)) == expected
    mirrored = [point and (point[0], 200 - point[1]) for point in points]
    assert crossings(*path(*mirrored)) == expected[::-1]


@pytest.mark.parametrize("turn", np.linspace(0, 2 * np.pi, 9))
def test_lines_of_any_angle(turn):
    matrix = np.array([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]])

    def turned(*points):
        return [tuple((matrix @ point).tolist()) for point in points]

    line = Line("gate", tuple(turned(*LINE.points)))
    assert crossings(*path(*turned((200, 150), (200, 50))), line=line) == (1, 0)
    assert crossings(*path(*turned((320, 150), (320, 50))), line=line) == (0, 0)


def test_detections_without_a_confirmed_track_neither_count_nor_change_a_track():
    both = [[(-1, (200, 150)), (-1, (150, 50))], [(-1, (150, 50)), (-1, (200, 150))]] * 3
    assert crossings(*both) == (0, 0)
    flicker = [[(7, (200, 140))], [(-1, (200, 110))], [(-1, (200, 90))], [(7, (200, 60))]]
    assert crossings(*flicker) == (1, 0)


def test_two_tracks_count_by_themselves():
    ups, downs = path((200, 150), (200, 50)), path((210, 50), (210, 150), track=2)
    assert crossings(*(a + b for a, b in zip(ups, downs, strict=True))) == (1, 1)


def test_classes_and_events():
    counter = LineCounter(LINE)
    for number, (class_name, y) in enumerate([("car", 150), ("bus", 50), ("bus", 150)]):
        seen = [Sighting(3, (200, y), 20, class_name)]
        events = counter.update(seen, Moment(number, number / 10))
    assert counter.count.as_dict() == {"in": {"bus": 1}, "out": {"bus": 1}}
    (event,) = events
    assert event == (Moment(2, 0.2), "gate", "out", 3, "bus", None)


def test_tracks_are_forgotten_long_after_they_were_seen():
    below, above = [Sighting(1, (200, 150), 20, "car")], [Sighting(1, (200, 50), 20, "car")]

    def passes(step: float, missed: int) -> int:
        counter = LineCounter(LINE)
        for number, seen in enumerate([below, *[[]] * missed, above]):
            counter.update(seen, Moment(number, number * step))
        return counter.count.crossings["in"]["car"]

    # Frames close together, and far apart, as those of a time lapse.
    assert passes(0.1, int(10 * MEMORY)) == 1 and passes(0.1, int(10 * MEMORY) + 1) == 0
    assert passes(60, MEMORY_FRAMES) == 1 and passes(60, MEMORY_FRAMES + 1) == 0


def test_the_direction_is_that_of_supervision():
    zone = sv.LineZone(sv.Point(100, 100), sv.Point(300, 100), [sv.Position.CENTER])
    for y in (150, 50, 40):
        box = np.array([[190, y - 10, 210, y + 10.0]])
        zone.trigger(sv.Detections(box, class_id=np.array([0]), tracker_id=np.array([1])))
    assert (zone.in_count, zone.out_count) == crossings(*path((200, 150), (200, 50)))


def test_random_paths_count_the_passages_through_the_segment():
    """The crossings of a path of long steps are those of its pieces."""
    rng = np.random.default_rng(0)
    for _ in range(50):
        points = [(float(x), float(y)) for x, y in rng.uniform(0, 400, (12, 2))]
        points = [p for p in points if abs(p[1] - 100) > 5]
        expected = [0, 0]
        for (x1, y1), (x2, y2) in itertools.pairwise(points):
            if (y1 - 100) * (y2 - 100) < 0:
                x = x1 + (x2 - x1) * (100 - y1) / (y2 - y1)
                expected[int(y2 > y1)] += 100 <= x <= 300
        assert crossings(*path(*points)) == tuple(expected)
