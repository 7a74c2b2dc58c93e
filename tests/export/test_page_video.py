"""The exported page in a browser: video files and the camera."""

from pathlib import Path

import numpy as np
import pytest
from fakes import COLORS

from centernet.inference.writers import VideoFile

pytestmark = pytest.mark.guard


@pytest.fixture(scope="module")
def clip(tmp_path_factory) -> Path:
    """Two seconds of a red patch that moves to the right."""
    path = tmp_path_factory.mktemp("video") / "clip.mp4"
    with VideoFile(path, 10.0) as video:
        for i in range(20):
            frame = np.zeros((128, 128, 3), np.uint8)
            frame[40:72, 4 * i : 4 * i + 32] = COLORS["red"]
            video.write(frame)
    return path


def test_a_video(page, clip, images):
    page.open(images[4])
    page.one("#video").send_keys(str(clip))
    page.wait("live.running && /clip/.test(state.picture.name)")
    page.one("#play").click()
    page.wait("!live.running")
    assert page.text("#play") == "▶ Play"
    page.wait("$('rate').textContent")
    assert page.text("#name").startswith("clip.mp4 00:0")
    page.press(" ")
    page.wait("live.video.ended && !live.running && state.picture.name.includes('00:0')")
    assert page.script("engine.requests") <= 2 + 20 + 5  # frames are not queued
    page.wait("Math.abs(Number($('seek').value) - live.video.duration) < 0.3")
    late = page.script("shown(state.picture.found)[0]")
    assert late["label"] == 0 and late["box"][0] > 60
    page.script("seek(0)")
    page.wait("live.video.currentTime === 0 && state.picture.name.endsWith('00:00.00')")
    early = page.script("shown(state.picture.found)[0]")
    assert early["box"][0] < 30
    page.press("s")
    page.wait("state.items.length === 2 && state.items[1].status === 'done'")
    assert page.items()[1]["name"] == "clip.mp4 00-00.00.png"
    assert page.items()[1]["found"][0]["box"] == pytest.approx(early["box"], abs=0.01)
    page.press(".")
    page.wait("live.video.currentTime > 0 && state.picture.name !== 'clip.mp4 00:00.00'")
    page.one("#play").click()
    page.wait("live.running")
    page.one("#images button").click()
    page.wait("state.picture.name === 'shrinks.png'")
    assert not page.one("#live").is_displayed() and page.script("live.video === null")


def test_the_camera(page):
    page.press("c")
    page.wait("live.running && /fps/.test($('rate').textContent)")
    assert page.text("#name") == "camera" and "ms per frame" in page.text("#rate")
    assert not page.one("#seek").is_displayed()
    page.press(" ")
    page.wait("!live.running")
    stream = "window.stream = live.video.srcObject"
    assert page.script(stream)
    page.one("#stop").click()
    assert page.script("window.stream.getTracks().every(track => track.readyState === 'ended')")


def test_a_video_that_cannot_play(page, tmp_path):
    (tmp_path / "broken.mp4").write_bytes(b"no video")
    page.one("#video").send_keys(str(tmp_path / "broken.mp4"))
    page.wait("!$('message').hidden")
    assert page.text("#message-text").startswith("broken.mp4: ")
    assert not page.one("#live").is_displayed()
