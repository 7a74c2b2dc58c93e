"""Written videos in a browser."""

import pytest
from audio_clips import write_clip
from browser import Page
from fakes import picture, spot_detector

from centernet.inference import detect as module
from centernet.inference.detector import Detector
from centernet.inference.writers import VideoFile

pytestmark = pytest.mark.guard

PAGE = "<video id=video muted src='{}'></video>"


def open_video(browser, path) -> Page:
    page = path.with_suffix(".html")
    page.write_text(PAGE.format(path.name))
    return Page(browser, page, ready="document.getElementById('video').readyState >= 2")


def test_a_video_of_variable_frame_rate_plays_for_its_time(browser, tmp_path):
    path = tmp_path / "a.mp4"
    with VideoFile(path, fps=25) as video:
        for time in (10.0, 10.04, 10.6, 10.7, 11.2):
            video.write(picture(size=(99, 161)), time)
    page = open_video(browser, path)
    size = page.script("[video.videoWidth, video.videoHeight, video.duration]")
    assert size == pytest.approx([162, 100, 1.24], abs=0.01)
    page.script("video.play()")
    page.wait("video.ended")
    assert page.script("video.getVideoPlaybackQuality().totalVideoFrames") >= 4


def test_a_detected_video_plays_with_audio(browser, tmp_path, monkeypatch):
    monkeypatch.setattr(Detector, "load", lambda *_, **__: spot_detector())
    clip = write_clip(tmp_path / "clip.mov", "pcm_s16le")
    module.detect(str(clip), "w.ckpt", output=tmp_path / "out", audio=True)
    page = open_video(browser, tmp_path / "out" / "clip.mp4")
    assert page.script("video.duration") == pytest.approx(1, abs=0.05)
    page.script("video.play()")
    page.wait("video.ended")
    assert page.script("video.webkitAudioDecodedByteCount") > 1000
