"""``Detector.stream``: images, videos and cameras as an iterator of predictions."""

import threading

import cv2
import numpy as np
import pytest
from fakes import Capture, picture, spot_detector, write_video

from centernet import InputError
from centernet.inference import inputs
from centernet.inference.inputs import Video

SPOTS = [("red", 20, 40), ("red", 24, 40), ("red", 28, 40)]
FRAMES = [picture(spot) for spot in SPOTS]


@pytest.fixture
def folder(tmp_path):
    for number, frame in enumerate(FRAMES):
        cv2.imwrite(str(tmp_path / f"{number}.png"), frame[..., ::-1])
    return tmp_path


def centers(stream):
    return [[round(one.box[0] + one.box[2]) // 2 for one in p.objects] for p in stream]


@pytest.mark.parametrize("batch_size", [None, 1, 2])
def test_images_of_a_folder(folder, batch_size):
    stream = spot_detector().stream(folder, batch_size=batch_size)
    assert stream.total == 3 and stream.fps is None
    found = list(stream)
    assert [p.source for p in found] == [str(folder / f"{i}.png") for i in range(3)]
    assert centers(found) == [[22], [26], [30]]
    assert {(p.frame, p.time, p.heatmaps) for p in found} == {(None, None, None)}
    assert (found[1].image == FRAMES[1]).all() and "1.png" in repr(found[1])


def test_several_images_and_a_glob(folder):
    detector = spot_detector()
    assert centers(detector.stream([folder / "2.png", str(folder / "0.png")])) == [[30], [22]]
    assert centers(detector.stream(f"{folder}/[12].png")) == [[26], [30]]


def test_pictures_are_read_when_they_are_asked_for(folder):
    stream = spot_detector().stream(folder, batch_size=1)
    next(stream)
    (folder / "1.png").unlink()
    assert centers(stream) == [[30]] and stream.skipped == 1


def test_an_unreadable_image_is_skipped_with_a_warning(folder, caplog):
    (folder / "1.png").write_bytes(b"no image")
    stream = spot_detector().stream(folder)
    assert centers(stream) == [[22], [30]] and stream.skipped == 1
    assert "1.png" in caplog.text
    with pytest.raises(InputError, match=r"1\.png"):
        list(spot_detector().stream(folder / "1.png"))


def test_frames_of_a_video(tmp_path):
    path = write_video(tmp_path / "clip.avi", FRAMES, fps=5)
    stream = spot_detector().stream(path, heatmaps=True, threshold=0.2)
    assert stream.total == 3 and stream.fps == 5
    found = list(stream)
    assert [p.frame for p in found] == [0, 1, 2]
    assert [p.time for p in found] == pytest.approx([0, 0.2, 0.4], abs=0.01)
    assert found[0].heatmaps.probabilities.shape == (3, 32, 32)
    assert {p.source for p in found} == {str(path)}


def test_tracked_objects_keep_their_id(tmp_path):
    pytest.importorskip("trackers")
    path = write_video(tmp_path / "clip.avi", [FRAMES[0]] * 6)
    with spot_detector().stream(path, track=True, threshold=0.2) as stream:
        ids = [[one.track for one in p.objects] for p in stream]
    assert ids[-1] == [1] and ids[-2] == [1]


def test_thresholds_by_class(folder):
    stream = spot_detector().stream(folder, threshold={"red": 1})
    assert [len(p.detections) for p in stream] == [0, 0, 0]
    with pytest.raises(InputError, match=r"'Red'.*mean red\?"):
        spot_detector().stream(folder, threshold={"Red": 0.5})


@pytest.fixture
def camera(monkeypatch):
    """A camera whose frames come when the turn is released."""
    capture = Capture(*(frame[..., ::-1] for frame in FRAMES * 50))
    capture.turn = threading.Semaphore(0)
    monkeypatch.setattr(
        "centernet.inference.pictures.Video",
        lambda source: Video(source, open_capture=lambda _: capture, wait=lambda _: None),
    )
    monkeypatch.setattr(inputs, "_RETRY_AFTER", ())
    return capture


def test_a_camera_gives_its_newest_frame_and_is_released(camera):
    camera.turn.release()
    with spot_detector().stream(0) as stream:
        assert stream.total is None
        first = next(stream)
        assert (first.source, first.frame, first.time) == ("0", 0, 0)
        camera.turn.release(4)
        frames = []
        while not frames or frames[-1] < 4:
            frames.append(next(stream).frame)
        assert frames == sorted(set(frames))
        camera.turn.release(50)
    assert camera.released
    with pytest.raises(StopIteration):
        next(stream)
    assert not [t for t in threading.enumerate() if t.name == "centernet-capture"]


def test_a_stream_that_was_not_started_releases_its_camera(camera):
    stream = spot_detector().stream(0)
    stream.close()
    assert camera.released


def test_a_camera_that_fails_raises_its_error(camera):
    camera.frames = [RuntimeError("unplugged")]
    camera.turn.release()
    with pytest.raises(RuntimeError, match="unplugged"):
        next(spot_detector().stream(0))


@pytest.mark.parametrize(
    ("source", "options", "text"),
    [
        ("no.jpg", {}, r"no\.jpg"),
        ([], {}, "source"),
        (".", {"batch_size": 0}, "batch_size"),
        (".", {"track": True}, "track"),
        (".", {"threshold": 2}, "threshold"),
    ],
)
def test_wrong_options_are_refused_at_once(folder, monkeypatch, source, options, text):
    monkeypatch.chdir(folder)
    with pytest.raises(InputError, match=text):
        spot_detector().stream(source, **options)


def test_raw_maps_are_arrays_by_head():
    maps = spot_detector().maps(picture(("red", 20, 40)))
    assert {name: (values.shape, str(values.dtype)) for name, values in maps.items()} == {
        "heatmap": ((3, 32, 32), "float32"),
        "size": ((2, 32, 32), "float32"),
        "offset": ((2, 32, 32), "float32"),
    }
    assert np.unravel_index(maps["heatmap"][0].argmax(), (32, 32)) == (10, 5)
    assert maps["size"][:, 10, 5].tolist() == [4, 2]
