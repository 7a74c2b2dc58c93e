import numpy as np

from centernet.inference.video.trails import UNTRACKED, draw_trails, track_colors

RED, BLUE = (255, 0, 0), (0, 0, 255)


def test_colors_of_tracks_in_turn():
    assert track_colors([1, 2, 3, -1], [RED, BLUE]) == [RED, BLUE, RED, UNTRACKED]


def test_a_trail_fades_with_age():
    picture = np.zeros((20, 60, 3), np.uint8)
    trail = np.array([[5, 10, 1], [25, 10, 0.5], [45, 10, 0.0]])
    draw_trails(picture, {7: trail}, {7: RED}, thickness=2)
    assert picture[10, 15].tolist() == [0, 0, 0]  # 2 seconds old: invisible
    assert picture[10, 35, 0] in range(100, 130) and picture[10, 35, 1:].tolist() == [0, 0]
    assert not picture[:5].any() and not picture[:, 50:].any()


def test_trails_that_leave_the_picture_or_have_one_point():
    picture = np.zeros((20, 30, 3), np.uint8)
    trails = {
        1: np.array([[-50, 10, 0.1], [500, 10, 0.0]]),
        2: np.array([[5.0, 5.0, 0.0]]),
    }
    draw_trails(picture, trails, {1: RED, 2: BLUE}, thickness=1)
    assert (picture[10, :, 0] > 100).all() and not picture[..., 2].any()
