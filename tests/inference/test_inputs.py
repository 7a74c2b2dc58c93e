import os
import struct
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
from fakes import Capture, picture, write_video

import centernet
from centernet.errors import InputError
from centernet.inference.inputs import Video, find_images
from centernet.inference.writers import VideoFile

FRAMES = [np.full((8, 8, 3), level, np.uint8) for level in (10, 20, 30)]


def levels(video: Video) -> list[int]:
    return [int(frame[0, 0, 0]) for frame in video]


@pytest.fixture
def folder(tmp_path):
    for name in ("b.jpg", "a.PNG", "c.tif", "notes.txt", ".hidden.jpg", "clip.mp4", "x[1].jpg"):
        (tmp_path / name).touch()
    (tmp_path / "more" / "still").mkdir(parents=True)
    (tmp_path / "more" / "d.jpg").touch()
    (tmp_path / "more" / "still" / "e.jpg").touch()
    return tmp_path


@pytest.mark.parametrize(
    ("source", "names"),
    [
        ("b.jpg", ["b.jpg"]),
        ("notes.txt", ["notes.txt"]),  # that it is no image, reading it says
        ("x[1].jpg", ["x[1].jpg"]),  # a name that looks like a glob
        (".", ["a.PNG", "b.jpg", "c.tif", "x[1].jpg"]),
        ("*", ["a.PNG", "b.jpg", "c.tif", "x[1].jpg"]),
        ("[ab].*", ["a.PNG", "b.jpg"]),
        ("*/*.jpg", ["d.jpg"]),
        ("more/**/*.jpg", ["d.jpg", "e.jpg"]),
        ("**/**/e.jpg", ["e.jpg"]),  # found twice
    ],
)
def test_images_are_found_in_order(folder, source, names):
    assert [path.name for path in find_images(str(folder / source))] == names


@pytest.mark.parametrize(
    "source", ["0", "12", "rtsp://camera/1", "http://host/a.jpg?" + 300 * "x", "clip.mp4"]
)
def test_videos_cameras_and_streams_are_no_images(folder, monkeypatch, source):
    monkeypatch.chdir(folder)
    assert find_images(source) is None


@pytest.mark.parametrize(
    "source", ["nowhere", "nowhere/a.jpg", "rtsp:/typo", "", "a\0b", "20241231235959", "-1", "~"]
)
def test_a_source_that_is_not_there_is_named(tmp_path, monkeypatch, source):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InputError, match="does not exist: give an image, a folder") as error:
        find_images(source)
    assert repr(source) in str(error.value)


def test_an_existing_path_wins_over_numbers_urls_and_globs(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "7").touch()
    for folder in ("2024", "http:/host", "set [1]/*"):
        (tmp_path / folder).mkdir(parents=True)
        (tmp_path / folder / "a.jpg").touch()
    for source in ("2024", "http://host", "set [1]/*", "set [1]/*/*.jpg", "set [1]/**/a.jpg"):
        assert [path.name for path in find_images(source)] == ["a.jpg"], source
    assert find_images("7") == [Path("7")]
    assert find_images("007") is None and find_images("8") is None
    with pytest.raises(InputError, match=r"set 1/\*\.jpg"):
        find_images("set 1/*.jpg")


def test_a_camera_next_to_a_path_of_its_number_is_named_with_a_zero(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "2").mkdir()
    asked = []
    video = Video("02", open_capture=lambda s: asked.append(s) or Capture())
    assert asked == [2] and (video.kind, video.name) == ("camera", "2")


def test_files_behind_file_urls_are_images(tmp_path):
    (tmp_path / "a b.jpg").touch()
    path = tmp_path / "a b.jpg"
    assert find_images(path.as_uri()) == [path]


def test_devices_are_cameras():
    if not Path("/dev/null").is_char_device():
        pytest.skip("no such devices here")
    assert find_images("/dev/null") is None
    video = Video("/dev/null", open_capture=lambda _: Capture())
    assert video.live and video.length is None


def test_a_source_that_cannot_be_read_is_named(tmp_path):
    (tmp_path / "loop").symlink_to("loop")
    with pytest.raises(InputError, match=r"cannot read source .*loop: .*symbolic links"):
        find_images(str(tmp_path / "loop"))


@pytest.mark.parametrize("source", ["empty", "empty/*", "*.jpg"])
def test_a_folder_or_glob_without_images_is_named(tmp_path, source):
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match="no images") as error:
        find_images(str(tmp_path / source))
    assert source in str(error.value) and ".jpg" in str(error.value)


def test_a_video_file_gives_its_frames_in_bgr(tmp_path):
    frames = [picture(("red", 8 * i, 8), size=(32, 48)) for i in range(4)]
    video = Video(str(write_video(tmp_path / "clip.avi", frames, fps=12.5)))
    assert (video.fps, video.length, video.live) == (12.5, 4, False)
    read = list(video)
    assert len(read) == 4 and read[0].shape == (32, 48, 3)
    assert read[2][9:11, 17:19, 2].min() > 100 > read[2][9:11, 17:19, 0].max()


def test_damaged_first_frames_are_passed_over(tmp_path):
    path = write_video(tmp_path / "clip.avi", [picture(size=(32, 48))] * 6)
    data = bytearray(path.read_bytes())
    first = data.find(b"\xff\xd8")
    second = data.find(b"\xff\xd8", first + 2)
    data[first : second - 8] = bytes(second - 8 - first)
    path.write_bytes(data)
    assert len(list(Video(str(path)))) == 5


def test_a_name_that_is_not_utf_8_does_not_crash_opencv(tmp_path):
    source = str(tmp_path / os.fsdecode(b"\xff.avi"))
    try:
        write_video(tmp_path / "a.avi", [picture(size=(32, 48))] * 2).rename(source)
    except OSError:
        pytest.skip("the file system has UTF-8 names only")
    assert len(list(Video(source))) == 2


class Clip(Capture):
    """A capture that is at given milliseconds after each frame."""

    def __init__(self, *milliseconds: float, count: float) -> None:
        super().__init__(*[FRAMES[0]] * len(milliseconds), fps=10, count=count)
        self.milliseconds = list(milliseconds)

    def get(self, name: int) -> float:
        return self.milliseconds.pop(0) if name == cv2.CAP_PROP_POS_MSEC else super().get(name)


@pytest.mark.parametrize(
    ("milliseconds", "count", "truncated"),
    [
        (range(0, 2000, 100), 20, False),
        (range(0, 1900, 100), 20, False),  # a frame less
        (range(0, 1500, 100), 20, True),
        (range(0, 2000, 400), 20, True),  # the last is at 1.6 s
        (range(0, 2000, 380), 20, False),  # of varying rate, but until 1.9 s
        ([0] * 15, 20, True),  # times are not known
        (range(0, 2000, 100), 0, False),  # neither is the length
    ],
)
def test_a_video_that_ends_early_is_truncated(milliseconds, count, truncated):
    video = Video("clip.mp4", open_capture=lambda _: Clip(*milliseconds, count=count))
    assert len(list(video)) == video.frames == len(milliseconds)
    assert video.truncated is truncated


@pytest.mark.parametrize("fps", [0.0, 1e-3, -1.0, float("nan"), 90000.0, float("inf")])
def test_an_absurd_frame_rate_becomes_a_usual_one(fps):
    assert Video("0", open_capture=lambda _: Capture(fps=fps)).fps == 25


@pytest.mark.parametrize("fps", [0.5, 23.976, 120.0])
def test_a_frame_rate_is_kept(fps):
    assert Video("0", open_capture=lambda _: Capture(fps=fps)).fps == fps


@pytest.mark.parametrize(
    ("source", "opened"), [("0", 0), ("12", 12), ("rtsp://camera/1", "rtsp://camera/1")]
)
def test_cameras_are_opened_by_number_and_streams_by_url(source, opened):
    asked = []
    video = Video(source, open_capture=lambda s: asked.append(s) or Capture())
    assert asked == [opened] and video.live and video.length is None


@pytest.mark.parametrize(
    ("source", "words"),
    [
        ("7", "camera 7 cannot.*file or folder is named 7"),
        ("rtsp://host/x", "stream rtsp://host/x cannot"),
    ],
)
def test_a_camera_that_cannot_be_opened_is_named(source, words):
    with pytest.raises(InputError, match=words):
        Video(source, open_capture=lambda _: Capture(opened=False))


def test_a_file_that_is_no_video_is_named(tmp_path):
    (tmp_path / "clip.mp4").write_bytes(bytes(1000))
    with pytest.raises(InputError, match=r"video .*clip\.mp4 cannot be opened"):
        Video(str(tmp_path / "clip.mp4"))


@pytest.mark.parametrize("source", ["clip.mp4", "97", "http://127.0.0.1:9/x"])
def test_opencv_adds_nothing_to_our_one_line(tmp_path, source):
    # FFmpeg is told once per process how much to say: this one is its own.
    (tmp_path / "clip.mp4").write_bytes(bytes(1000))
    program = f"from centernet.inference.inputs import Video; Video({source!r})"
    environment = os.environ | {"PYTHONPATH": str(Path(centernet.__file__).parents[1])}
    done = subprocess.run(
        [sys.executable, "-c", program],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
    )
    traceback, message = done.stderr.strip().rsplit("\n", 1)
    assert message.startswith("centernet.errors.InputError") and "cannot be opened" in message
    assert traceback.startswith("Traceback") and not done.stdout


@pytest.mark.parametrize(
    ("url", "name"),
    [
        ("rtsp://me:secret@host:554/cam", "rtsp://host:554/cam"),
        ("http://host/cam?token=secret", "http://host/cam"),
        ("rtsp://me:se@cret@host/cam", "rtsp://host/cam"),
        ("http://host/a@b", "http://host/a@b"),
    ],
)
def test_secrets_in_a_url_are_not_shown(url, name):
    asked = []
    assert Video(url, open_capture=lambda s: asked.append(s) or Capture()).name == name
    assert asked == [url]
    with pytest.raises(InputError) as error:
        Video(url, open_capture=lambda _: Capture(opened=False))
    assert "secret" not in str(error.value)


def test_a_lost_camera_is_tried_again_and_comes_back(capsys):
    lost = Capture(*FRAMES[:2])
    captures = [lost, Capture(opened=False), Capture(), Capture(FRAMES[2]), *[Capture()] * 9]
    waits = []
    video = Video("0", open_capture=lambda _: captures.pop(0), wait=waits.append)
    frames = iter(video)
    assert [int(next(frames)[0, 0, 0]) for _ in range(3)] == [10, 20, 30]
    assert waits == [1, 2, 4] and lost.released and not video.reconnecting
    assert list(frames) == [] and waits == [1, 2, 4, 1, 2, 4, 8, 10, 10, 10, 10]
    said = capsys.readouterr().err
    assert "0 gives no frames, trying again in 1 s" in said and "0 is lost: ending" in said


def test_a_stream_that_opens_but_gives_nothing_ends():
    opened = []
    video = Video(
        "rtsp://x/y", open_capture=lambda s: opened.append(s) or Capture(), wait=lambda _: None
    )
    assert levels(video) == [] and len(opened) == 9


def test_reconnecting_ends_after_a_minute():
    now, waits = [0.0], []

    def open_slowly(_):
        now[0] += 10  # a host that does not answer
        return Capture(FRAMES[0]) if now[0] == 10 else Capture(opened=False)

    def wait(seconds):
        assert video.reconnecting
        waits.append(seconds)
        now[0] += seconds

    video = Video("rtsp://x/y", open_capture=open_slowly, wait=wait, clock=lambda: now[0])
    assert levels(video) == [10]
    assert waits == [1, 2, 4, 8] and not video.reconnecting  # then 55 s have passed


def test_stop_ends_a_camera_and_its_reconnecting():
    video = Video("0", open_capture=lambda _: Capture(*FRAMES))
    frames = iter(video)
    next(frames)
    video.stop()
    assert list(frames) == []
    lost = Video("0", open_capture=lambda _: Capture(), wait=lambda _: lost.stop())
    assert list(lost) == []


def test_frames_have_the_times_of_the_file():
    video = Video("clip.mp4", open_capture=lambda _: Clip(0, 40, 200, 0, 0, count=5))
    times = [video.time for _ in video]
    assert times == pytest.approx([0, 0.04, 0.2, 0.3, 0.4])  # the last have none: 10 per second


def test_frames_of_a_camera_have_times_since_the_first():
    clock = iter([5.0, 5.1, 5.4])
    video = Video("0", open_capture=lambda _: Capture(*FRAMES), clock=lambda: next(clock))
    frames = iter(video)
    assert [(next(frames)[0, 0, 0], round(video.time, 3))[1] for _ in range(3)] == [0, 0.1, 0.4]


# The first row and column of a display matrix that rotates clockwise, by degrees; and where the top
# left corner is then (row, column).
ROTATIONS = {0: ((1, 0), (0, 0)), 90: ((0, 1), (0, -1)), 180: ((-1, 0), (-1, -1))}
ROTATIONS |= {270: ((0, -1), (-1, 0))}


@pytest.mark.parametrize("degrees", ROTATIONS)
def test_videos_of_phones_are_upright(tmp_path, degrees):
    (cosine, sine), corner = ROTATIONS[degrees]
    frame = np.zeros((48, 96, 3), np.uint8)
    frame[:24, :24] = 255
    path = tmp_path / "phone.mp4"
    with VideoFile(path, fps=10) as written:
        for _ in range(3):
            written.write(frame)
    data = bytearray(path.read_bytes())
    matrix = data.index(b"tkhd") + 4 + 40  # of the track header, in 16.16 numbers
    one = 1 << 16
    numbers = cosine * one, sine * one, 0, -sine * one, cosine * one, 0, 0, 0, 1 << 30
    data[matrix : matrix + 36] = struct.pack(">9i", *numbers)
    path.write_bytes(data)
    video = Video(str(path))
    frames = list(video)
    assert len(frames) == 3 and not video.truncated
    assert frames[0].shape[:2] == ((48, 96) if degrees % 180 == 0 else (96, 48))
    corners = {(y, x): int(frames[0][y, x, 0]) for y in (0, -1) for x in (0, -1)}
    assert {place for place, level in corners.items() if level > 128} == {corner}


def test_a_finite_video_behind_a_url_is_not_repeated():
    opened = []

    def open_capture(source):
        opened.append(source)
        return Capture(*FRAMES, count=3)

    video = Video("https://host/clip.mp4", open_capture=open_capture, wait=lambda _: 1 / 0)
    assert not video.live and video.length == 3
    assert levels(video) == [10, 20, 30] and len(opened) == 1


@pytest.mark.parametrize("stop", ["end", "break", "Ctrl-C"])
def test_the_camera_is_released(stop):
    capture = Capture(*FRAMES, *([KeyboardInterrupt()] if stop == "Ctrl-C" else []), count=3)
    frames = iter(Video("http://x/a.mp4", open_capture=lambda _: capture))
    if stop == "Ctrl-C":
        with pytest.raises(KeyboardInterrupt):
            list(frames)
    elif stop == "break":
        next(frames)
        frames.close()
    else:
        list(frames)
    assert capture.released
