import os
from pathlib import Path

import av
import numpy as np
import pytest
from audio_clips import FPS, write_clip

from centernet.inference.video.audio import open_audio
from centernet.inference.writers import VideoFile


def copy(source: Path, target: Path, frames: int = FPS) -> None:
    with VideoFile(target, FPS, audio=open_audio(source)) as video:
        for number in range(frames):
            video.write(np.zeros((32, 48, 3), np.uint8), number / FPS)


def heard(path: Path) -> tuple[str, float, float]:
    """Codec, seconds of audio, and the second at which the tone begins."""
    with av.open(path) as container:
        stream = container.streams.audio[0]
        frames = [frame.to_ndarray().astype(float) for frame in container.decode(stream)]
        name, rate, channels = stream.codec_context.name, stream.rate, stream.channels
    flat = [frame[0] if frame.shape[0] == channels else frame[0, ::channels] for frame in frames]
    sound = np.abs(np.concatenate(flat))
    return name, len(sound) / rate, int(np.argmax(sound > sound.max() / 2)) / rate


@pytest.mark.parametrize(
    ("file", "codec", "written"),
    [
        ("a.mp4", "aac", "aac"),
        ("a.mkv", "flac", "flac"),
        ("a.mov", "pcm_s16le", "aac"),
        ("a.avi", "ac3", "aac"),
        ("a.ts", "aac", "aac"),
    ],
)
def test_audio_is_copied_or_encoded_as_aac(tmp_path, file, codec, written):
    target = tmp_path / "out.mp4"
    copy(write_clip(tmp_path / file, codec), target)
    name, seconds, begin = heard(target)
    assert name == written and seconds == pytest.approx(1, abs=0.06)
    assert begin == pytest.approx(0.5, abs=0.05)


@pytest.mark.parametrize("codec", ["aac", "pcm_s16le"])
def test_times_that_do_not_begin_at_zero_stay_together(tmp_path, codec):
    """As in parts of a longer video; OpenCV gives times since the first frame."""
    target = tmp_path / "out.mp4"
    copy(write_clip(tmp_path / "a.mkv", codec, begin=3), target)
    _, seconds, begin = heard(target)
    assert seconds == pytest.approx(1, abs=0.06) and begin == pytest.approx(0.5, abs=0.05)


def test_packets_are_copied_unchanged(tmp_path):
    source, target = write_clip(tmp_path / "a.mp4", "aac"), tmp_path / "out.mp4"
    copy(source, target)
    packets = []
    for path in (source, target):
        with av.open(path) as container:
            stream = container.streams.audio[0]
            packets.append([bytes(packet) for packet in container.demux(stream) if packet.size])
    # Without the silent one before the first frame, and what lasts longer than the video.
    assert packets[1] == packets[0][1 : 1 + len(packets[1])]
    assert len(packets[1]) >= len(packets[0]) - 3


def test_audio_ends_with_the_video(tmp_path):
    source, target = write_clip(tmp_path / "a.mp4", "aac", seconds=2), tmp_path / "out.mp4"
    copy(source, target, frames=5)
    assert heard(target)[1] == pytest.approx(0.5, abs=0.06)


def test_a_mono_track_stays_mono(tmp_path):
    target = tmp_path / "out.mp4"
    copy(write_clip(tmp_path / "a.mov", "pcm_s16le", layout="mono"), target)
    with av.open(target) as container:
        assert container.streams.audio[0].channels == 1


def test_a_file_without_audio_is_named_and_written_without(tmp_path, capsys):
    source, target = write_clip(tmp_path / "silent.mp4", None), tmp_path / "out.mp4"
    copy(source, target)
    assert "silent.mp4 has no audio" in capsys.readouterr().err
    with av.open(target) as container:
        assert not container.streams.audio and container.streams.video[0].frames == FPS


def test_a_name_that_is_not_utf_8_is_read(tmp_path):
    source = tmp_path / os.fsdecode(b"\xff.mp4")
    try:
        write_clip(tmp_path / "a.mp4", "aac").rename(source)
    except OSError:
        pytest.skip("the file system has UTF-8 names only")
    copy(source, tmp_path / "out.mp4")
    assert heard(tmp_path / "out.mp4")[0] == "aac"


def test_an_error_leaves_no_file(tmp_path):
    source = write_clip(tmp_path / "a.mp4", "aac")
    video = VideoFile(tmp_path / "out.mp4", FPS, audio=open_audio(source))
    with pytest.raises(ZeroDivisionError), video:
        video.write(np.zeros((32, 48, 3), np.uint8), 0.0)
        raise ZeroDivisionError
    assert os.listdir(tmp_path) == ["a.mp4"]
