import cv2
import numpy as np
import pytest
from fakes import Capture, Web

from centernet.inference.inputs import Video
from centernet.inference.pictures import open_source
from centernet.inference.video import open_capture as module
from centernet.inference.video.open_capture import open_capture


@pytest.fixture
def opened(monkeypatch):
    """The arguments that OpenCV opens captures with, and the properties that are set."""
    asked = []

    class Recorder(Capture):
        def __init__(self, *arguments) -> None:
            super().__init__()
            asked.append(arguments)

        def set(self, *setting) -> None:
            asked.append(setting)

    monkeypatch.setattr(cv2, "VideoCapture", Recorder)
    return asked


@pytest.mark.parametrize("source", [0, "/dev/null"])
def test_cameras_keep_one_frame(opened, source):
    open_capture(source)
    assert opened == [(source,), (cv2.CAP_PROP_BUFFERSIZE, 1)]


def test_files_are_opened_as_they_are(opened):
    open_capture("clip.mp4")
    open_capture(b"\xff.mp4")
    assert opened == [("clip.mp4",), (b"\xff.mp4",)]


def test_streams_do_not_wait_for_long_and_have_one_decoder(opened, monkeypatch):
    open_capture("rtsp://host/x")
    url, backend, options = opened[0]
    assert (url, backend) == ("rtsp://host/x", cv2.CAP_FFMPEG)
    settings = dict(zip(options[::2], options[1::2], strict=True))
    assert settings[cv2.CAP_PROP_READ_TIMEOUT_MSEC] == module.STREAM_TIMEOUT <= 10_000
    assert settings[cv2.CAP_PROP_N_THREADS] == 1
    monkeypatch.setattr(cv2.videoio_registry, "hasBackend", lambda _: False)
    open_capture("rtsp://host/x")
    assert opened[1] == ("rtsp://host/x",)


def test_a_real_stream_is_live_and_comes_back(tmp_path):
    """Motion JPEG over HTTP; the connection ends after three frames, and is opened again."""
    frames = [np.full((32, 48, 3), level, np.uint8) for level in (50, 100, 200)]
    waits = []
    with Web() as web:
        web.stream("/video", frames)
        source = open_source(web.url("", "/video"), tmp_path)
        assert source.video.live and source.video.kind == "stream"
        source.video._capture.release()
        video = Video(web.url("", "/video"), wait=waits.append)
        levels = []
        for frame in video:
            levels.append(int(frame.mean()))
            if len(levels) == 6:
                video.stop()
    assert levels[:3] == levels[3:] == pytest.approx([50, 100, 200], abs=4) and waits == [1]
