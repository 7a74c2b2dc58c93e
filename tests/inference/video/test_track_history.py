import numpy as np

from centernet.inference.video.track_history import TrackHistory

BOX = np.array([[0, 0, 10, 20.0]])


def add(history, seconds, label, weight, id=1, shift=0.0):
    """The class that a detection of one frame gets."""
    return history.update(
        np.array([id]), BOX + shift, np.array([label]), np.array([weight]), seconds
    )[0]


def test_the_class_of_a_track_is_the_one_with_the_highest_sum_of_scores():
    history = TrackHistory(3, lost_seconds=1)
    assert add(history, 0.0, 0, 0.5) == 0
    assert add(history, 0.1, 2, 0.4) == 0  # 0.5 to 0.4
    assert add(history, 0.2, 2, 0.4) == 2  # 0.5 to 0.8
    assert add(history, 0.3, 0, 0.4) == 0
    assert add(history, 0.3, 1, 0.9, id=2) == 1


def test_a_detection_without_an_id_keeps_its_class_and_has_no_trail():
    history = TrackHistory(3, lost_seconds=1)
    assert add(history, 0.0, 1, 0.9, id=-1) == 1
    assert history.trails == {}


def test_a_trail_has_the_centers_of_the_last_two_seconds():
    history = TrackHistory(1, lost_seconds=1)
    for number, seconds in enumerate([0.0, 1.0, 2.0, 2.5]):
        add(history, seconds, 0, 0.5, shift=10.0 * number)
    np.testing.assert_allclose(history.trails[1], [[15, 20, 0.75], [25, 30, 0.25], [35, 40, 0]])


def test_only_tracks_of_the_latest_frame_have_trails_and_ended_ones_are_forgotten():
    history = TrackHistory(2, lost_seconds=1)
    add(history, 0.0, 1, 0.9)
    add(history, 1.0, 0, 0.5, id=2)
    assert history.trails.keys() == {2}
    assert add(history, 1.5, 0, 0.5) == 1  # its vote is still known
    add(history, 4.0, 0, 0.5, id=2)
    assert add(history, 4.1, 0, 0.5) == 0
