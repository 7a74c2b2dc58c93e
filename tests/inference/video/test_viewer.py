import os
from pathlib import Path

import numpy as np
import pytest
from fakes import FakeWindow, picture, read_video, spot_detector

from centernet.data.images import read_image
from centernet.inference.output_paths import ResultName
from centernet.inference.prediction import Prediction
from centernet.inference.video.view import View
from centernet.inference.video.viewer import Viewer
from centernet.inference.window import WindowClosed

# Large enough to be shown as it is, so that pixels can be compared.
PICTURE = picture(("red", 40, 64), ("blue", 300, 200), size=(480, 640))
NAMES = ("red", "blue", "white")


def make_viewer(*keys, fps=10.0):
    window = FakeWindow(*keys)
    view = View(np.full(3, 0.5), NAMES, True)
    return Viewer(Prediction.draw, view, fps=fps, window=window), window


def predict(image=PICTURE):
    return spot_detector(image_size=(480, 640)).predict(image, threshold=0.5)


def frame_name(folder, number=0):
    return ResultName("clip.mp4", folder / "clip.mp4", folder / "clip", number, number / 10)


def image_name(folder):
    return ResultName("a.png", folder / "a.png", folder / "a")


def below_text(shown):
    return shown[-480:]


def test_the_picture_stands_below_the_values():
    viewer, window = make_viewer()
    prediction = predict()
    viewer.write(prediction, frame_name(Path()))
    np.testing.assert_array_equal(below_text(window.shown[-1]), prediction.draw())
    assert window.shown[-1].shape[0] > 480 and window.shown[-1][:-480].max() > 200  # letters


def test_a_small_picture_is_enlarged_for_the_window():
    viewer, window = make_viewer()
    viewer.write(predict(picture(size=(128, 128))), frame_name(Path()))
    assert window.shown[0].shape[1] >= 640


def test_every_image_waits_for_a_key_that_is_no_command():
    viewer, window = make_viewer("", "+", "h", "", " ", fps=None)
    viewer.write(predict(), image_name(Path()))
    assert window.keys == [] and viewer.view.steps == 1


def test_a_video_does_not_wait():
    viewer, window = make_viewer()
    for number in range(3):
        viewer.write(predict(), frame_name(Path(), number))
    assert len(window.shown) >= 3


def test_space_pauses_and_continues():
    viewer, window = make_viewer(" ", "", "", "", "", " ", "")
    viewer.write(predict(), frame_name(Path()))
    assert window.keys == [] and not viewer.paused


def test_s_shows_one_frame_and_pauses():
    viewer, window = make_viewer("s", "", "", "", ".", "")
    viewer.write(predict(), frame_name(Path(), 0))
    assert viewer.paused and window.keys == []
    window.keys = ["", "", "s", "s", ""]
    viewer.write(predict(), frame_name(Path(), 1))
    viewer.write(predict(), frame_name(Path(), 2))  # the second request
    assert viewer.paused and window.keys == []


def test_a_changed_threshold_redraws_the_paused_picture():
    viewer, window = make_viewer(" ", "", "1", "", " ", "")
    prediction = predict()
    viewer.write(prediction, frame_name(Path()))
    pictures = [below_text(shown) for shown in window.shown]
    assert (pictures[0] == prediction.draw()).all() and (pictures[-1] != pictures[0]).any()


def test_h_shows_the_keys():
    viewer, window = make_viewer("h")
    viewer.write(predict(), frame_name(Path()))
    assert (below_text(window.shown[-1]) != below_text(window.shown[0])).mean() > 0.1
    window.keys = ["h"]
    viewer.poll()
    assert (below_text(window.shown[-1]) == below_text(window.shown[0])).all()


@pytest.mark.parametrize("key", ["q", "\x1b"])
def test_q_and_escape_end(key):
    viewer, _ = make_viewer(key)
    with pytest.raises(WindowClosed):
        viewer.write(predict(), frame_name(Path()))


def test_c_saves_the_picture_and_the_frame(tmp_path, capsys):
    viewer, _ = make_viewer("2", "c", "c")
    prediction = predict()
    viewer.write(prediction, frame_name(tmp_path))
    assert sorted(os.listdir(tmp_path)) == [
        "clip-snapshot-1.frame.png",
        "clip-snapshot-1.png",
        "clip-snapshot-2.frame.png",
        "clip-snapshot-2.png",
    ]
    np.testing.assert_array_equal(read_image(tmp_path / "clip-snapshot-1.frame.png"), PICTURE)
    saved = read_image(tmp_path / "clip-snapshot-1.png")
    np.testing.assert_array_equal(saved, viewer.view.apply(prediction).draw())
    assert "clip-snapshot-2.png" in capsys.readouterr().err


def test_r_records_until_it_is_pressed_again(tmp_path):
    viewer, window = make_viewer()
    for number, key in enumerate(["", "r", "", "r", "", "r"]):
        window.keys = [key]
        viewer.write(predict(), frame_name(tmp_path, number))
    assert not (tmp_path / "clip-recording-2.mp4").exists()  # it is not finished
    viewer.close()
    fps, frames = read_video(tmp_path / "clip-recording-1.mp4")
    assert len(frames) == 3 and fps == pytest.approx(10) and frames[0].shape == (480, 640, 3)
    assert len(read_video(tmp_path / "clip-recording-2.mp4")[1]) == 1


def test_images_are_not_recorded(tmp_path):
    viewer, _ = make_viewer("r", fps=None)
    viewer.write(predict(), image_name(tmp_path))  # r is any other key: the next image
    assert os.listdir(tmp_path) == []


def test_changed_values_appear_without_a_new_picture():
    viewer, window = make_viewer()
    viewer.poll()  # before the first picture
    viewer.write(predict(), frame_name(Path()))
    count = len(window.shown)
    viewer.poll()
    assert len(window.shown) == count
    viewer.status = lambda: "reconnecting to 0"
    viewer.poll()
    assert len(window.shown) == count + 1


def test_an_error_keeps_a_recording(tmp_path):
    viewer, _ = make_viewer("r")
    with pytest.raises(ZeroDivisionError), viewer:
        viewer.write(predict(), frame_name(tmp_path))
        raise ZeroDivisionError
    assert os.listdir(tmp_path) == ["clip-recording-1.mp4"]
