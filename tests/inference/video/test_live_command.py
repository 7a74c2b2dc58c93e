"""``detect`` with cameras, streams, and videos as cameras."""

import json
import os
import signal

import av
import cv2
import numpy as np
import pytest
from audio_clips import FPS, write_clip
from fakes import Capture, FakeWindow, Web, picture, spot_detector, write_video

from centernet.errors import InputError
from centernet.inference import detect as module
from centernet.inference import outputs, pictures
from centernet.inference.detector import Detector
from centernet.inference.inputs import Video
from centernet.inference.video import viewer
from centernet.inference.writers import VideoFile

SPOTS = picture(("red", 40, 64), ("blue", 100, 8))


@pytest.fixture
def detect(tmp_path, monkeypatch):
    """Runs ``detect`` with a detector of colored spots; returns the status."""
    monkeypatch.setattr(Detector, "load", lambda *_, **__: spot_detector())

    def detect(source, *extras, **options) -> int:
        return module.detect(
            str(source), "w.ckpt", output=tmp_path / "out", extras=extras, **options
        )

    return detect


@pytest.fixture
def show(monkeypatch):
    """Opens a window in which these keys are pressed."""

    def show(*keys) -> FakeWindow:
        window = FakeWindow(*keys)
        monkeypatch.setattr(module, "require_screen", lambda: None)
        monkeypatch.setattr(viewer, "PreviewWindow", lambda: window)
        return window

    return show


def lines(folder) -> list[dict]:
    return [json.loads(line) for line in (folder / "detections.jsonl").read_text().splitlines()]


def times(path) -> list[float]:
    with av.open(path) as container:
        stream = container.streams.video[0]
        return [float(frame.pts * stream.time_base) for frame in container.decode(stream)]


def test_a_file_as_a_camera_is_recorded_in_real_time(detect, tmp_path, capsys):
    """Drawing may skip predictions that the JSON file has, but never the last one."""
    clip = write_video(tmp_path / "clip.avi", [SPOTS] * 4, fps=50)
    assert detect(clip, "json", live=True) == 0
    found = lines(tmp_path / "out")
    assert [one["time"] for one in found] == [one["frame"] / 50 for one in found]
    drawn = np.array(times(tmp_path / "out" / "clip.mp4"))
    numbers = (drawn - drawn[-1]) * 50 + 3  # the video begins with its first frame
    assert numbers == pytest.approx(numbers.round(), abs=1e-3)
    assert set(numbers.round()) <= {one["frame"] for one in found} <= set(range(4))
    said = capsys.readouterr().out
    assert "4 frames captured" in said and "95th percentile" in said and "saved in" in said


def test_frames_of_a_file_have_times_and_are_all_processed(detect, tmp_path, capsys):
    clip = tmp_path / "clip.mp4"
    given = [0, 0.04, 0.3, 0.35, 0.9]
    with VideoFile(clip, 25) as video:
        for time in given:
            video.write(SPOTS, time)
    assert detect(clip, "json") == 0
    assert [one["time"] for one in lines(tmp_path / "out")] == pytest.approx(given, abs=1e-3)
    assert times(tmp_path / "out" / "clip.mp4") == pytest.approx(given, abs=1e-3)
    assert "captured" not in capsys.readouterr().out


def test_a_preview_is_not_recorded_unless_asked(detect, show, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(
        pictures,
        "Video",
        lambda source: Video(source, open_capture=lambda _: Capture(*[SPOTS] * 2)),
    )
    show("", "q")
    assert detect("0", "show") == 0
    assert os.listdir(tmp_path / "out") == [] and "saved in" not in capsys.readouterr().out
    show("c", "r", "", "q")
    assert detect("0", "show", "json") == 0
    assert sorted(os.listdir(tmp_path / "out")) == [
        "camera-0-recording-1.mp4",
        "camera-0-snapshot-1.frame.png",
        "camera-0-snapshot-1.png",
        "detections.jsonl",
    ]


def test_written_detections_keep_the_threshold_of_the_command(detect, show, tmp_path):
    half = SPOTS.copy()
    half[96:112, 8:24, 0] = 102  # scores 0.12
    clip = write_video(tmp_path / "clip.avi", [half] * 3)
    show("----", "-", "-", "-", "-", "-", "-")
    detect(clip, "show", "json")
    shown = lines(tmp_path / "out")
    detect(clip, "json")
    assert shown == lines(tmp_path / "out")


def test_without_windows_in_opencv_all_else_works(detect, tmp_path, monkeypatch):
    for name in ("imshow", "namedWindow", "waitKeyEx", "getWindowProperty"):
        monkeypatch.delattr(cv2, name)
    clip = write_video(tmp_path / "clip.avi", [SPOTS] * 2, fps=50)
    assert detect(clip, live=True) == 0 and (tmp_path / "out" / "clip.mp4").exists()


def test_a_stream_is_processed_live(detect, tmp_path, monkeypatch):
    monkeypatch.setattr("centernet.inference.inputs._RETRY_AFTER", ())
    with Web() as web:
        web.stream("/video", [SPOTS] * 3)
        assert detect(web.url("me:secret@", "/video"), "json") == 0
    found = lines(tmp_path / "out")
    assert found[-1]["frame"] == 2 and "secret" not in found[0]["source"]


def test_sigterm_finishes_the_recording(detect, tmp_path, monkeypatch):
    """As `docker stop` and `systemctl stop` send it."""
    monkeypatch.setattr(
        pictures, "Video", lambda source: Video(source, open_capture=lambda _: Capture(SPOTS))
    )
    write = outputs.Video.write

    def write_and_stop(self, prediction, name):
        write(self, prediction, name)
        os.kill(os.getpid(), signal.SIGTERM)

    monkeypatch.setattr(outputs.Video, "write", write_and_stop)
    before = signal.getsignal(signal.SIGTERM)
    assert detect("0", "json") == 143
    assert len(times(tmp_path / "out" / "camera-0.mp4")) == 1 <= len(lines(tmp_path / "out"))
    assert signal.getsignal(signal.SIGTERM) is before


def test_live_needs_a_video(detect, tmp_path):
    image = tmp_path / "a.png"
    cv2.imwrite(str(image), SPOTS)
    with pytest.raises(InputError, match=r"--live needs a video.*a\.png"):
        detect(image, live=True)


def test_audio_is_written_on_request(detect, tmp_path, capsys):
    clip = write_clip(tmp_path / "clip.mp4", "aac")
    for audio in (False, True):
        assert detect(clip, audio=audio) == 0
        with av.open(tmp_path / "out" / "clip.mp4") as container:
            assert len(container.streams.audio) == audio
            assert container.streams.video[0].average_rate == FPS
    silent = write_clip(tmp_path / "silent.mp4", None)
    assert detect(silent, audio=True) == 0 and "silent.mp4 has no audio" in capsys.readouterr().err


@pytest.mark.parametrize("source", ["image", "camera", "live"])
def test_audio_needs_a_video_file(detect, tmp_path, monkeypatch, source):
    path = tmp_path / "a.png"
    cv2.imwrite(str(path), SPOTS)
    if source == "camera":
        monkeypatch.setattr(
            pictures, "Video", lambda source: Video(source, open_capture=lambda _: Capture(SPOTS))
        )
        path = "0"
    elif source == "live":
        path = write_video(tmp_path / "clip.avi", [np.zeros_like(SPOTS)])
    with pytest.raises(InputError, match=rf"--audio needs a video file.*{path}"):
        detect(path, audio=True, live=source == "live")
