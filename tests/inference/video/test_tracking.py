import sys

import numpy as np
import pytest
import supervision as sv
from fakes import picture, spot_detector

from centernet.errors import InputError
from centernet.inference.points import IS_POINT
from centernet.inference.video.score_scale import lowest_thresholds
from centernet.inference.video.tracking import Tracker, TrackUpdater

NAMES, FPS = ("cat", "dog"), 10.0
THRESHOLDS = np.array([0.3, 0.6])


def frame(*objects: tuple[float, float, int]) -> sv.Detections:
    """Objects (x, score, label) of 40x40 pixels, as a detector returns them: best first."""
    rows = sorted(objects, key=lambda row: -row[1])
    return sv.Detections(
        np.array([[x, 50, x + 40, 90] for x, _, _ in rows], np.float32).reshape(-1, 4),
        confidence=np.array([score for _, score, _ in rows]),
        class_id=np.array([label for _, _, label in rows], int),
        data={
            "class_name": np.array([NAMES[label] for _, _, label in rows], str),
            IS_POINT: np.array([label == 1 for _, _, label in rows], bool),
        },
    )


@pytest.fixture
def track():
    """Tracks the next frame, or the frame ``number``."""
    update, latest = TrackUpdater(THRESHOLDS, NAMES, FPS), [-1]

    def track(*objects, number=None):
        latest[0] = latest[0] + 1 if number is None else number
        return update(frame(*objects), latest[0] / FPS)

    return track


def test_ids_start_at_1_in_the_second_frame(track):
    assert track((0, 0.9, 0), (200, 0.8, 0)).tracker_id.tolist() == [-1, -1]
    assert track((0, 0.9, 0), (200, 0.8, 0)).tracker_id.tolist() == [1, 2]
    assert track((200, 0.9, 0), (0, 0.8, 0)).tracker_id.tolist() == [2, 1]  # best first


@pytest.mark.parametrize("interval", [0.04, 0.9, 1.1, 60.0])
def test_ids_stay_with_any_time_between_frames(interval):
    update = TrackUpdater(THRESHOLDS, NAMES, 1 / interval)
    found = [update(frame((n, 0.9, 0)), n * interval).tracker_id.tolist() for n in range(6)]
    assert found == [[-1], *[[1]] * 5]


def test_a_video_without_objects(track):
    for _ in range(3):
        assert track().tracker_id.tolist() == []


@pytest.mark.parametrize(("label", "threshold"), [(0, 0.3), (1, 0.6)])
def test_a_track_starts_at_the_threshold_of_its_class(track, label, threshold):
    weak, strong = threshold - 0.01, threshold
    for _ in range(4):
        assert len(track((0, weak, label))) == 0
    assert track((0, strong, label)).tracker_id.tolist() == [-1]
    assert track((0, strong, label)).tracker_id.tolist() == [1]


def test_a_weak_detection_continues_a_track_and_keeps_its_score(track):
    for _ in range(3):
        track((0, 0.9, 0))
    weak = 0.9 * THRESHOLDS[0]
    found = track((0, weak, 0), (200, weak, 0))
    assert found.tracker_id.tolist() == [1] and found.confidence.tolist() == [weak]


def test_an_id_stays_through_a_short_occlusion(track):
    for number in range(6):
        found = track((10.0 * number, 0.9, 0), (300, 0.8, 0))
    assert found.tracker_id.tolist() == [1, 2]
    for _ in range(5):
        assert track((300, 0.8, 0)).tracker_id.tolist() == [2]
    found = track((110, 0.9, 0), (300, 0.8, 0))  # where it is after 11 frames
    assert found.tracker_id.tolist() == [1, 2]


def test_a_track_that_is_lost_for_long_gets_a_new_id(track):
    for _ in range(3):
        track((0, 0.9, 0))
    track((0, 0.9, 0), number=60)
    assert track((0, 0.9, 0), number=61).tracker_id.tolist() == [2]


def test_dropped_frames_are_times_not_steps(track):
    """The object moves 15 pixels per frame interval; 5 frames are dropped."""
    for number in range(8):
        track((15.0 * number, 0.9, 0), number=number)
    found = track((15.0 * 13, 0.9, 0), number=13)
    assert found.tracker_id.tolist() == [1]


def test_a_class_that_flickers_breaks_no_track_and_the_votes_decide(track):
    track((0, 0.5, 0))
    for label, score in ((0, 0.5), (1, 0.61), (0, 0.5), (1, 0.61), (0, 0.5)):
        found = track((0, score, label))
        assert found.tracker_id.tolist() == [1]
        assert found.class_id.tolist() == [0] and found["class_name"].tolist() == ["cat"]
        assert found.confidence.tolist() == [score]


def test_points_are_tracked_and_stay_points(track):
    for x in (0, 5, 10):
        found = track((x, 0.9, 1), (200, 0.9, 0))
    assert found.tracker_id.tolist() == [1, 2] and found.data[IS_POINT].tolist() == [True, False]


def test_a_missing_package_is_named_with_its_extra(monkeypatch):
    monkeypatch.setitem(sys.modules, "trackers", None)
    with pytest.raises(InputError, match=r"trackers.*\.\[track\]"):
        TrackUpdater(THRESHOLDS, NAMES, FPS)


def test_the_tracker_detects_below_the_threshold():
    detector = spot_detector()
    tracker = Tracker(detector, fps=FPS, threshold={"red": 0.9})
    for number in range(3):
        found = tracker(picture(("red", 40 + 4 * number, 64), ("blue", 100, 8)))
    assert sorted(found.tracker_id.tolist()) == [1, 2]
    assert set(found["class_name"]) == {"red", "blue"}
    lowest = lowest_thresholds(detector.thresholds({"red": 0.9}))
    assert (lowest < [0.9, 0.3, 0.3]).all()


def test_the_tracker_accepts_times_and_bgr():
    tracker = Tracker(spot_detector(), fps=FPS)
    image = picture(("red", 40, 64))[..., ::-1]
    assert tracker(image, seconds=5.0, bgr=True)["class_name"].tolist() == ["red"]
    assert tracker(image, seconds=5.3, bgr=True).tracker_id.tolist() == [1]
