import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import av
import cv2
import numpy as np
import pytest
from fakes import read_video

from centernet.data.images import read_image
from centernet.errors import InputError
from centernet.inference import writers
from centernet.inference.writers import LinesFile, VideoFile, write_picture

RED = np.full((30, 40, 3), (255, 0, 0), np.uint8)


@pytest.mark.parametrize("name", ["a.png", "a.jpg", "A.JPEG", "ä ö.png"])
def test_a_picture_is_written_in_rgb(tmp_path, name):
    path = tmp_path / "new" / "folder" / name
    write_picture(path, RED)
    np.testing.assert_allclose(read_image(path).astype(int), RED, atol=2)
    assert os.listdir(path.parent) == [name]


def test_a_picture_replaces_a_link_and_not_what_it_points_to(tmp_path):
    original = tmp_path / "original.png"
    original.write_bytes(b"precious")
    (tmp_path / "link.png").symlink_to(original)
    write_picture(tmp_path / "link.png", RED)
    assert original.read_bytes() == b"precious"


def test_a_picture_that_cannot_be_written_is_named(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(InputError, match=r"cannot write .*file/a\.png"):
        write_picture(tmp_path / "file" / "a.png", RED)


@pytest.mark.parametrize(
    ("size", "played"),
    [
        ((48, 64), (48, 64)),
        ((47, 33), (48, 34)),  # mp4 has even sizes
        ((1, 1), (2, 2)),
        ((1, 300), (2, 300)),
    ],
)
def test_a_video_has_the_frames_that_were_written(tmp_path, size, played):
    with VideoFile(tmp_path / "a.mp4", fps=29.97) as video:
        for level in (40, 90, 140, 190, 240):
            video.write(np.full((*size, 3), (level, 20, 20), np.uint8))
    fps, frames = read_video(tmp_path / "a.mp4")
    assert fps == pytest.approx(29.97, abs=0.01) and len(frames) == 5
    assert all(frame.shape == (*played, 3) for frame in frames)
    levels = [frame[..., 0].mean() for frame in frames]
    np.testing.assert_allclose(levels, [40, 90, 140, 190, 240], atol=12)


@pytest.mark.parametrize("size", [(48, 64), (47, 33), (240, 321)])
def test_a_video_is_one_that_browsers_play(tmp_path, size):
    """H.264, 4:2:0, with the index (moov) before the frames (mdat)."""
    path = tmp_path / "a.mp4"
    with VideoFile(path, fps=25) as video:
        for level in range(0, 250, 10):
            video.write(np.full((*size, 3), level, np.uint8))
    with av.open(path) as container:
        assert "mp4" in container.format.name
        (stream,) = container.streams
        assert (stream.codec_context.name, stream.pix_fmt) == ("h264", "yuv420p")
        assert (stream.height, stream.width) == (size[0] + size[0] % 2, size[1] + size[1] % 2)
        assert stream.average_rate == 25 and len(list(container.decode(stream))) == 25
    data = path.read_bytes()
    assert 0 < data.index(b"moov") < data.index(b"mdat")


def test_a_name_that_is_not_utf_8_is_kept(tmp_path):
    path = tmp_path / os.fsdecode(b"\xff.mp4")
    try:
        path.touch()
    except OSError:
        pytest.skip("the file system has UTF-8 names only")
    with VideoFile(path, fps=25) as video:
        video.write(RED)
    assert path.stat().st_size > 0 and os.listdir(tmp_path) == [path.name]


def test_a_video_of_variable_frame_rate_keeps_its_times(tmp_path):
    times = [5.0, 5.033, 5.2, 5.7, 6.5]
    with VideoFile(tmp_path / "a.mp4", fps=30) as video:
        for time in times:
            video.write(RED, time)
    with av.open(tmp_path / "a.mp4") as container:
        (stream,) = container.streams
        written = [float(frame.pts * stream.time_base) for frame in container.decode(stream)]
        assert written == pytest.approx([time - 5 for time in times], abs=1e-3)
        assert float(stream.duration * stream.time_base) == pytest.approx(1.5 + 1 / 30, abs=1e-3)


def test_the_last_odd_row_and_column_are_kept(tmp_path):
    picture = np.zeros((33, 35, 3), np.uint8)
    picture[32], picture[:, 34] = 255, 255
    with VideoFile(tmp_path / "a.mp4", fps=25) as video:
        video.write(picture)
    (frame,) = read_video(tmp_path / "a.mp4")[1]
    assert (
        frame[32:, :30].min() > 150 and frame[:30, 34:].min() > 150 and frame[:28, :28].max() < 80
    )


def test_an_error_of_the_encoder_is_told_in_one_line(tmp_path):
    def encode(*_):
        raise av.error.ExternalError(-542398533, "Generic error in an external library")

    with (
        pytest.raises(InputError, match=r"a\.mp4: Generic error"),
        VideoFile(tmp_path / "a.mp4", fps=25) as video,
    ):
        video.write(RED)
        video._stream = SimpleNamespace(encode=encode)
        video.write(RED)
    assert os.listdir(tmp_path) == []


def test_pictures_of_another_size_are_scaled(tmp_path):
    with VideoFile(tmp_path / "a.mp4", fps=25) as video:
        for size in [(32, 48), (64, 96), (10, 10)]:
            video.write(np.full((*size, 3), 200, np.uint8))
    frames = read_video(tmp_path / "a.mp4")[1]
    assert [frame.shape for frame in frames] == [(32, 48, 3)] * 3


@pytest.mark.parametrize(
    ("name", "size", "written"),
    [
        ("a.jpg", (3, 70000), (3, 65500)),
        ("a.JPEG", (70000, 10), (65500, 9)),
        ("a.jpg", (1, 65500), (1, 65500)),
        ("a.png", (3, 70000), (3, 70000)),
        ("a.png", (2, 1_000_002), (2, 1_000_000)),
    ],
)
def test_a_picture_is_scaled_to_what_its_format_allows(tmp_path, capsys, name, size, written):
    write_picture(tmp_path / name, np.full((*size, 3), (255, 0, 0), np.uint8))
    image = read_image(tmp_path / name)
    assert image.shape == (*written, 3) and (image[..., 0] > 250).all()
    told = capsys.readouterr().err
    assert (f"{size[1]}x{size[0]} to {written[1]}x{written[0]}" in told) is (size != written)


@pytest.mark.parametrize("answer", [(False, ()), cv2.error("many\nlines")])
def test_a_picture_that_cannot_be_encoded_is_named(tmp_path, monkeypatch, answer):
    def imencode(*_):
        if isinstance(answer, Exception):
            raise answer
        return answer

    monkeypatch.setattr(cv2, "imencode", imencode)
    with pytest.raises(InputError, match=r"a\.png: OpenCV cannot encode 40x30 pixels$"):
        write_picture(tmp_path / "a.png", RED)
    assert os.listdir(tmp_path) == []


def test_ctrl_c_leaves_a_playable_video(tmp_path):
    with pytest.raises(KeyboardInterrupt), VideoFile(tmp_path / "a.mp4", fps=25) as video:
        video.write(RED)
        video.write(RED)
        assert not (tmp_path / "a.mp4").exists()
        raise KeyboardInterrupt
    assert len(read_video(tmp_path / "a.mp4")[1]) == 2 and os.listdir(tmp_path) == ["a.mp4"]


@pytest.mark.parametrize("before", [None, b"earlier"])
def test_an_error_leaves_no_video_and_what_was_there(tmp_path, before):
    path = tmp_path / "a.mp4"
    if before:
        path.write_bytes(before)
    with pytest.raises(ZeroDivisionError), VideoFile(path, fps=25) as video:
        video.write(RED)
        raise ZeroDivisionError
    assert os.listdir(tmp_path) == ["a.mp4"] * bool(before)
    assert before is None or path.read_bytes() == before


def child(tmp_path: Path, statements: str) -> subprocess.CompletedProcess:
    """Runs statements with the video ``video`` in another process, in ``tmp_path``."""
    program = (
        "import os, resource, signal\nfrom pathlib import Path\nimport numpy as np\n"
        "from centernet.inference.writers import LinesFile, VideoFile\n" + statements
    )
    environment = os.environ | {"PYTHONPATH": str(Path(writers.__file__).parents[2])}
    return subprocess.run(
        [sys.executable, "-c", program], cwd=tmp_path, env=environment, capture_output=True
    )


def test_a_killed_process_leaves_no_video_and_complete_lines(tmp_path):
    done = child(
        tmp_path,
        "with VideoFile(Path('a.mp4'), 25) as video, LinesFile(Path('a.jsonl')) as lines:\n"
        "    for i in range(9):\n"
        "        video.write(np.zeros((30, 40, 3), np.uint8))\n"
        "        lines.write(f'{i}\\n')\n"
        "    os.kill(os.getpid(), signal.SIGKILL)",
    )
    assert done.returncode == -9
    assert sorted(os.listdir(tmp_path)) == ["a.tmp.jsonl", "a.tmp.mp4"]
    assert (tmp_path / "a.tmp.jsonl").read_text() == "".join(f"{i}\n" for i in range(9))


def test_a_full_disk_is_an_error_and_leaves_no_video(tmp_path):
    pytest.importorskip("resource")
    done = child(
        tmp_path,
        "resource.setrlimit(resource.RLIMIT_FSIZE, (60_000, 60_000))\n"
        "pictures = np.random.default_rng(0).integers(0, 256, (9, 200, 200, 3), np.uint8)\n"
        "with VideoFile(Path('a.mp4'), 25) as video:\n"
        "    for picture in pictures:\n"
        "        video.write(picture)\n",
    )
    message = done.stderr.decode().strip().splitlines()[-1]
    assert "InputError" in message and "cannot write a.mp4" in message
    assert os.listdir(tmp_path) == []


def test_a_video_is_scaled_to_what_its_format_allows(tmp_path, capsys):
    with VideoFile(tmp_path / "a.mp4", fps=25) as video:
        for _ in range(2):
            video.write(np.full((16, 9000, 3), (255, 0, 0), np.uint8))
    frames = read_video(tmp_path / "a.mp4")[1]
    assert [frame.shape for frame in frames] == [(16, 8190, 3)] * 2
    assert capsys.readouterr().err.count("9000x16 to 8190x15") == 1


def test_lines_take_their_place_at_the_end(tmp_path):
    path = tmp_path / "a.jsonl"
    path.write_text("earlier")
    with LinesFile(path) as lines:
        lines.write("ä\n")
        lines.write("\udcff\n")
        assert path.read_text() == "earlier"
    assert path.read_bytes() == "ä\n\\udcff\n".encode()
    with pytest.raises(ZeroDivisionError), LinesFile(path) as lines:
        lines.write("later\n")
        raise ZeroDivisionError
    with LinesFile(path):  # without a line there is no file
        pass
    assert path.read_bytes() == "ä\n\\udcff\n".encode() and os.listdir(tmp_path) == ["a.jsonl"]


@pytest.mark.parametrize("place", ["nowhere/a.jsonl", "folder"])
def test_lines_that_cannot_be_written_are_named(tmp_path, place):
    (tmp_path / "folder").mkdir()
    with pytest.raises(InputError, match=place), LinesFile(tmp_path / place) as lines:
        lines.write("\n")


def test_no_picture_makes_no_video(tmp_path):
    with VideoFile(tmp_path / "a.mp4", fps=25):
        pass
    assert not (tmp_path / "a.mp4").exists()


def test_a_video_that_cannot_be_written_is_named(tmp_path):
    path = tmp_path / "nowhere" / "a.mp4"
    with pytest.raises(InputError, match="nowhere"), VideoFile(path, fps=25) as video:
        video.write(RED)
