import csv
import itertools
import json
import os
import re
import threading
import time
from pathlib import Path

import cv2
import numpy as np
import pytest
from fakes import Capture, FakeWindow, Web, blob, picture, read_video, spot_detector, write_video

from centernet.data.images import read_image
from centernet.errors import InputError
from centernet.inference import detect, pictures
from centernet.inference.detector import Detector
from centernet.inference.inputs import Video
from centernet.inference.output_paths import ResultName
from centernet.inference.prediction import upscale_for_drawing
from centernet.inference.run_summary import RunSummary
from centernet.inference.video import viewer
from centernet.inference.video.statistics import LiveStatistics
from centernet.inference.writers import VideoFile

SPOTS = picture(("red", 40, 64), ("blue", 100, 8))


@pytest.fixture
def run(tmp_path, monkeypatch):
    """Runs ``detect`` with a detector of colored spots; returns the status and the folder."""

    def load(weights, *, device, **modes):
        assert (weights, device) == ("w.ckpt", "cpu")
        return spot_detector(**modes)

    monkeypatch.setattr(Detector, "load", load)

    def run(source, *extras, output=tmp_path / "out", **options) -> tuple[int, Path]:
        options = {"threshold": 0.3, "device": "cpu"} | options
        source = [str(one) for one in source] if isinstance(source, list) else str(source)
        status = detect.detect(source, "w.ckpt", output=output, extras=extras, **options)
        return status, output

    return run


@pytest.fixture
def web():
    with Web() as web:
        yield web


@pytest.fixture
def folder(tmp_path) -> Path:
    """Two images and no object in the second."""
    path = tmp_path / "in"
    path.mkdir()
    save(path / "a.png", SPOTS)
    save(path / "b.png", picture(size=(40, 500)))
    return path


def save(path: Path, image: np.ndarray) -> Path:
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(cv2.imencode(path.suffix, np.ascontiguousarray(image[..., ::-1]))[1].tobytes())
    return path


def names(folder: Path) -> list[str]:
    return sorted(str(p.relative_to(folder)) for p in folder.rglob("*") if p.is_file())


def lines(folder: Path) -> list[dict]:
    text = (folder / "detections.jsonl").read_text(encoding="utf-8")
    return [json.loads(line) for line in text.splitlines()]


def test_one_image(run, folder, capsys):
    assert run(folder / "a.png") == (0, folder.parent / "out")
    assert names(folder.parent / "out") == ["a.png"]
    said = capsys.readouterr()
    assert "a.png: 1 red, 1 blue" in said.out and "1 picture: 1 red, 1 blue" in said.out
    assert "ms per picture: load " in said.out
    assert ", network " in said.out and ", decode " in said.out
    assert f"saved in {folder.parent / 'out'}" in said.out
    assert said.err == ""  # a bar for one image says nothing


def test_the_picture_shows_the_boxes(run, folder):
    _, output = run(folder / "a.png")
    drawn = read_image(output / "a.png")
    assert drawn.shape == (384, 384, 3)  # enlarged threefold, so that letters can be read
    for column, row in [(34, 66), (50, 66), (42, 70)]:
        around = drawn[3 * row - 3 : 3 * row + 4, 3 * column - 3 : 3 * column + 4]
        assert around.max() > 200  # a line
    assert drawn[3 * 100, 3 * 20].max() == 0


def test_a_folder_with_everything(run, folder, capsys):
    status, output = run(folder, "heatmaps", "json")
    assert status == 0
    assert names(output) == [
        "a.heatmap-blue.jpg",
        "a.heatmap-red.jpg",
        "a.heatmap.jpg",
        "a.npz",
        "a.png",
        "b.heatmap.jpg",
        "b.npz",
        "b.png",
        "detections.jsonl",
    ]
    assert read_image(output / "b.png").shape == (40, 500, 3)
    assert read_image(output / "b.heatmap.jpg").shape == (64, 500, 3)
    said = capsys.readouterr()
    assert "b.png: nothing" in said.out and "2 pictures: 1 red, 1 blue" in said.out
    assert "2/2" in said.err  # the bar

    first, second = lines(output)
    assert first["source"] == str(folder / "a.png")
    assert (first["width"], first["height"]) == (128, 128)
    assert [found["class"] for found in first["detections"]] == ["red", "blue"]
    assert first["detections"][0]["label"] == 0
    np.testing.assert_allclose(first["detections"][0]["box"], [34, 62, 50, 70], atol=1e-4)
    assert 0.99 < first["detections"][0]["score"] <= 1
    assert second == {
        "source": str(folder / "b.png"), "width": 500, "height": 40, "detections": []
    }  # fmt: skip


def table(folder: Path) -> list[list[str]]:
    with (folder / "detections.csv").open(encoding="utf-8", newline="") as file:
        return list(csv.reader(file))


def test_detections_that_top_k_cuts_off_are_reported(run, folder, capsys):
    _, output = run(folder, "json", top_k=1)
    said = capsys.readouterr().out
    assert "missing in 1 picture," in said and "--top-k 2" in said
    first, second = lines(output)
    assert first["truncated"] is True and "truncated" not in second
    run(folder, "json", top_k=2, threshold=0)
    assert "missing in 2 pictures" in capsys.readouterr().out
    run(folder, "json", top_k=3)
    assert "--top-k" not in capsys.readouterr().out


@pytest.mark.parametrize("labels", ["class", "score", "none"])
def test_the_text_of_labels_is_an_option(run, folder, labels):
    _, usual = run(folder)
    usual = read_image(usual / "a.png")
    _, output = run(folder, labels=labels)
    drawn = read_image(output / "a.png")
    np.testing.assert_array_equal(drawn, spot_detector().predict(SPOTS).draw(labels))
    assert (drawn != usual).any()


def test_an_unknown_text_of_labels_is_named(run, folder):
    with pytest.raises(InputError, match=r"labels.*'both'"):
        run(folder, labels="both")


def test_csv_has_a_row_for_each_detection(run, folder):
    detector_names = ("a,b", 'say "c"', "d")
    _, output = run(folder, "csv", "json", class_names=detector_names)
    header, *rows = table(output)
    assert header == ["image", "class", "score", "x1", "y1", "x2", "y2"]
    found = [(line["source"], one) for line in lines(output) for one in line["detections"]]
    assert len(rows) == len(found) == 2
    for row, (source, one) in zip(rows, found, strict=True):
        assert row[:2] == [source, one["class"]]
        assert [float(value) for value in row[2:]] == [one["score"], *one["box"]]
    assert {row[1] for row in rows} == set(detector_names[:2])


def test_csv_without_detections_has_a_header(run, folder):
    _, output = run(folder / "b.png", "csv")
    assert table(output) == [["image", "class", "score", "x1", "y1", "x2", "y2"]]


def test_several_images_and_folders(run, folder, tmp_path, capsys):
    (tmp_path / "in 2").mkdir()
    save(tmp_path / "in 2" / "a.png", SPOTS)
    status, output = run([folder / "b.png", folder, tmp_path / "in 2" / "a.png"])
    assert status == 0 and names(output) == ["in 2/a.png", "in/a.png", "in/b.png"]
    assert run([folder])[0] == 0
    for wrong in ("0", "http://user:secret@host/a.jpg", str(tmp_path / "none.png")):
        with pytest.raises(InputError) as error:
            run([folder, wrong])
        assert "secret" not in str(error.value)


def test_csv_of_a_video_has_the_number_of_the_frame(run, tmp_path):
    clip = write_video(tmp_path / "clip.avi", moving_spot(3))
    _, output = run(clip, "csv", threshold=0.9)
    header, *rows = table(output)
    assert header == ["image", "frame", "class", "score", "x1", "y1", "x2", "y2"]
    assert {(row[0], row[1]) for row in rows} == {(str(clip), str(i)) for i in range(3)}


@pytest.mark.parametrize("batch_size", [1, 2, 3, 8])
def test_batches_change_nothing(run, folder, batch_size, capsys):
    save(folder / "aa.png", SPOTS[::-1])
    save(folder / "c.png", SPOTS)
    (folder / "ab.jpg").write_bytes(b"no image")
    expected = run(folder, "json", "csv", "heatmaps", output=folder.parent / "one")[1]
    status, output = run(folder, "json", "csv", "heatmaps", batch_size=batch_size)
    assert status == 1 and names(output) == names(expected) and len(lines(output)) == 4
    for name in ("detections.csv", "detections.jsonl", "aa.png", "c.heatmap.jpg"):
        assert (output / name).read_bytes() == (expected / name).read_bytes()
    assert "5/5" in capsys.readouterr().err  # the bar counts the skipped one


def test_batches_go_through_the_network_together(run, folder, monkeypatch):
    for name in ("c", "d", "e"):
        save(folder / f"{name}.png", SPOTS)
    detector, sizes = spot_detector(), []
    detector.network.register_forward_hook(lambda module, images, _: sizes.append(len(images[0])))
    monkeypatch.setattr(Detector, "load", lambda *_, **__: detector)
    run(folder)
    assert sizes == [5]
    sizes.clear()
    run(folder, batch_size=3)
    assert sizes == [3, 2]
    monkeypatch.setattr(detect, "require_screen", lambda: None)
    monkeypatch.setattr(viewer, "PreviewWindow", lambda: FakeWindow(*["x", ""] * 5))
    sizes.clear()
    run(folder, "show")
    assert sizes == [1] * 5
    with pytest.raises(InputError, match="batch_size must be at least 1, got 0"):
        run(folder, batch_size=0)


def test_a_batch_of_frames_is_written_in_order(run, tmp_path):
    clip = write_video(tmp_path / "clip.avi", moving_spot(5))
    _, output = run(clip, "json", batch_size=2)
    assert [line["frame"] for line in lines(output)] == [0, 1, 2, 3, 4]
    assert len(read_video(output / "clip.mp4")[1]) == 5


def test_an_unknown_output_is_named(run, folder):
    with pytest.raises(InputError, match="'xml'"):
        run(folder, "xml")


def test_saved_numbers_are_of_the_image_and_not_of_the_enlarged_picture(run, folder):
    _, output = run(folder / "a.png", "heatmaps")
    with np.load(output / "a.npz", allow_pickle=False) as saved:
        assert saved["probabilities"].shape == (3, 32, 32)
        assert {(p["x"], p["y"]) for p in saved["peaks"]} == {(42, 66), (102, 10)}


def test_heatmaps_of_an_earlier_run_do_not_stay_beside_new_pictures(run, folder):
    _, output = run(folder, "heatmaps", "json")
    kept = ["b.heatmap.jpg", "b.npz", "b.png", "detections.jsonl"]
    others = ["a.heatmap-old.png", "aa.npz", "sub/a.npz"]
    for name in others:
        (output / name).parent.mkdir(exist_ok=True)
        (output / name).touch()
    run(folder / "a.png")
    assert names(output) == sorted(["a.png", *kept, *others])
    run(folder / "a.png", "heatmaps")
    (output / "a.heatmap-stale.jpg").touch()
    run(folder / "a.png", "heatmaps")
    assert {"a.heatmap.jpg", "a.heatmap-red.jpg"} < set(names(output))
    assert "a.heatmap-stale.jpg" not in names(output)


@pytest.mark.parametrize("extras", [(), ("heatmaps",)])
def test_files_of_the_user_are_kept(run, folder, extras):
    output = folder.parent / "out"
    output.mkdir()
    own = ["a.mot.txt", "a.heatmap-x.jpg"] if extras else ["a.npz", "a.mot.txt", "a.heatmap.jpg"]
    for name in own:
        (output / name).write_text("mine")
    run(folder / "a.png", *extras)
    assert [(output / name).read_text() for name in own] == ["mine"] * len(own)


def test_heatmaps_of_an_earlier_video_are_removed(run, tmp_path):
    clip = write_video(tmp_path / "clip.avi", [SPOTS] * 2)
    _, output = run(clip, "heatmaps")
    assert names(output) == ["clip.heatmap.mp4", "clip.mp4"]
    run(clip)
    assert names(output) == ["clip.mp4"]


def test_a_heatmap_glows_where_the_object_is(run, tmp_path):
    image = save(tmp_path / "a.png", blob((128, 128), 30, 90, 6))
    _, output = run(image, "heatmaps", threshold=0.5)
    glow = read_image(output / "a.heatmap.jpg")[:384].sum(-1, dtype=int)
    row, column = np.unravel_index(glow.argmax(), glow.shape)
    assert abs(row / 3 - 90) < 4 and abs(column / 3 - 30) < 4


def test_a_broken_file_is_reported_and_skipped(run, folder, capsys):
    (folder / "aa.jpg").write_bytes(b"no image")
    status, output = run(folder, "json")
    assert status == 1
    assert names(output) == ["a.png", "b.png", "detections.jsonl"]
    assert len(lines(output)) == 2
    (skipped,) = [t for t in capsys.readouterr().err.splitlines() if "skipped:" in t]
    assert "aa.jpg" in skipped


def test_no_odd_file_stops_a_folder(run, folder, capsys):
    save(folder / ("n" * 251 + ".png"), SPOTS)  # no room for .heatmap.jpg
    (folder / "loop.jpg").symlink_to("loop.jpg")
    (folder / "dir.jpg").mkdir()
    (folder / "gone.jpg").symlink_to("nowhere.jpg")
    status, output = run(folder, "heatmaps", "json")
    assert status == 1
    assert [Path(line["source"]).name for line in lines(output)] == ["a.png", "b.png"]
    assert {"a.png", "a.heatmap.jpg", "b.png", "b.heatmap.jpg"} < set(names(output))
    skipped = [t for t in capsys.readouterr().err.splitlines() if "skipped: " in t]
    for name, reason in [
        ("n" * 251, "File name too long"),
        ("loop.jpg", "symbolic links"),
        ("dir.jpg", "directory"),
        ("gone.jpg", "No such file"),
    ]:
        assert any(name in text and reason in text for text in skipped), name
    assert len(skipped) == 4


def test_a_name_that_is_not_utf_8_comes_back_from_the_json(run, folder):
    name = os.fsdecode(b"in/\xff\xc3\xa4.png")
    try:
        save(folder.parent / name, SPOTS)
    except OSError:
        pytest.skip("the file system has UTF-8 names only")
    status, output = run(folder, "json")
    assert status == 0
    sources = [line["source"] for line in lines(output)]
    assert str(folder.parent / name) in sources and len(sources) == 3


def test_pictures_wider_than_jpeg_allows_are_scaled(run, folder, capsys):
    save(folder / "aa.png", picture(size=(10, 70000)))
    status, output = run(folder, "heatmaps")
    assert status == 0 and {"aa.png", "b.png", "b.heatmap.jpg"} < set(names(output))
    assert read_image(output / "aa.png").shape == (10, 70000, 3)
    assert read_image(output / "aa.heatmap.jpg").shape[1] == 65500
    assert "70000x34 to 65500x32" in capsys.readouterr().err


def test_a_full_disk_stops_a_folder_at_once(run, folder, monkeypatch):
    monkeypatch.setattr(
        Path, "write_bytes", lambda *_: (_ for _ in ()).throw(OSError(28, "No space left"))
    )
    with pytest.raises(InputError, match="No space left"):
        run(folder)


def test_a_single_broken_file_is_an_error(run, tmp_path):
    (tmp_path / "a.jpg").write_bytes(b"no image")
    with pytest.raises(InputError, match=r"a\.jpg is not an image"):
        run(tmp_path / "a.jpg")


def test_a_folder_of_broken_files_is_an_error(run, tmp_path):
    (tmp_path / "in").mkdir()
    for name in ("a.jpg", "b.jpg"):
        (tmp_path / "in" / name).write_bytes(b"no image")
    with pytest.raises(InputError, match=r"nothing in .*in could be read"):
        run(tmp_path / "in")


@pytest.mark.parametrize(
    ("sources", "outputs"),
    [
        (["a.jpg", "b.jpg"], ["a.jpg", "a.heatmap.jpg", "b.jpg", "b.heatmap.jpg"]),
        (["a.jpg", "a.png"], ["a.jpg", "a.png", "a.jpg.heatmap.jpg", "a.png.heatmap.jpg"]),
        (
            ["a.jpg", "a.heatmap.jpg"],
            ["a.jpg", "a.jpg.heatmap.jpg", "a.heatmap.jpg", "a.heatmap.heatmap.jpg"],
        ),
        (["a.tif", "a.bmp"], ["a.tif.jpg", "a.bmp.jpg", "a.tif.heatmap.jpg", "a.bmp.heatmap.jpg"]),
        (["x.1.png", "x.2.png"], ["x.1.png", "x.1.heatmap.jpg", "x.2.png", "x.2.heatmap.jpg"]),
        (["k/a.png", "l/a.png"], ["k/a.png", "k/a.heatmap.jpg", "l/a.png", "l/a.heatmap.jpg"]),
    ],
)
def test_no_image_overwrites_anothers_files(run, tmp_path, sources, outputs):
    for source in sources:
        (tmp_path / "in" / source).parent.mkdir(parents=True, exist_ok=True)
        save(tmp_path / "in" / source, picture())
    status, output = run(tmp_path / "in" / "**" / "*", "heatmaps")
    assert status == 0
    numbers = [name.replace("heatmap.jpg", "npz") for name in outputs if "heatmap.jpg" in name]
    if "a.heatmap.jpg" in sources:
        numbers = ["a.jpg.npz", "a.heatmap.npz"]
    assert names(output) == sorted(outputs + numbers)


def test_links_to_one_file_stay_two_images(run, folder):
    (folder / "c.png").symlink_to(folder / "a.png")
    _, output = run(folder)
    assert names(output) == ["a.png", "b.png", "c.png"]


def test_classes_whose_names_look_alike_get_files_of_their_own(run, folder, monkeypatch):
    detector = spot_detector(class_names=("a/b", "a b", "c"))
    monkeypatch.setattr(Detector, "load", lambda *_, **__: detector)
    _, output = run(folder / "a.png", "heatmaps")
    assert {"a.heatmap-a_b-0.jpg", "a.heatmap-a_b-1.jpg"} < set(names(output))


@pytest.mark.parametrize("source", ["", "a.png", "*.png"])
def test_originals_are_never_overwritten(run, folder, source):
    before = (folder / "a.png").read_bytes()
    with pytest.raises(InputError, match="choose another"):
        run(folder / source, output=folder)
    assert (folder / "a.png").read_bytes() == before and names(folder) == ["a.png", "b.png"]


@pytest.mark.parametrize(
    ("sources", "output"),
    [
        (["a.png", "sub/a.png"], "in/sub"),
        (["k/a.png", "l/a.png"], "in"),
        (["a.png", "sub/a.heatmap.jpg"], "in/sub"),
    ],
)
def test_originals_of_folders_in_folders_are_not_overwritten(run, tmp_path, sources, output):
    for source in sources:
        (tmp_path / "in" / source).parent.mkdir(parents=True, exist_ok=True)
        save(tmp_path / "in" / source, picture())
    with pytest.raises(InputError, match="choose another"):
        run(tmp_path / "in" / "**" / "*", "heatmaps", output=tmp_path / output)
    assert names(tmp_path / "in") == sorted(sources)


def test_what_a_link_leads_to_is_not_overwritten(run, folder, tmp_path):
    (tmp_path / "links").mkdir()
    (tmp_path / "links" / "a.png").symlink_to(folder / "a.png")
    with pytest.raises(InputError, match="choose another"):
        run(tmp_path / "links", output=folder)


def test_ctrl_c_keeps_the_images_that_are_done(run, folder, monkeypatch, capsys):
    original = Detector.predict_batch
    calls = []

    def predict_batch(self, *args, **options):
        calls.append(args)
        if len(calls) == 2:
            raise KeyboardInterrupt
        return original(self, *args, **options)

    monkeypatch.setattr(Detector, "predict_batch", predict_batch)
    status, output = run(folder, "json", batch_size=1)
    assert status == 130 and names(output) == ["a.png", "detections.jsonl"]
    assert len(lines(output)) == 1
    assert "stopped" in capsys.readouterr().out


def moving_spot(count: int, size: tuple[int, int] = (128, 128)) -> list[np.ndarray]:
    """Sixteen pixels wide, so that lossy compression leaves whole cells of it."""
    frames = [np.zeros((*size, 3), np.uint8) for _ in range(count)]
    for i, frame in enumerate(frames):
        frame[32:48, 8 * i : 8 * i + 16] = 255, 0, 0
    return frames


def test_a_video_keeps_its_rate_and_frames(run, tmp_path, capsys):
    clip = write_video(tmp_path / "ein clip.avi", moving_spot(5), fps=12.5)
    status, output = run(clip, "heatmaps", "json", threshold=0.9)
    assert status == 0
    assert names(output) == ["detections.jsonl", "ein clip.heatmap.mp4", "ein clip.mp4"]
    for name, height in [("ein clip.mp4", 384), ("ein clip.heatmap.mp4", 384 + 24)]:
        fps, frames = read_video(output / name)
        assert fps == 12.5 and len(frames) == 5 and frames[0].shape == (height, 384, 3)
    said = capsys.readouterr()
    assert "5 pictures: " in said.out and "ms per picture: load" in said.out
    assert "5/5" in said.err and "skipped" not in said.err

    found = lines(output)
    assert [line["frame"] for line in found] == [0, 1, 2, 3, 4]
    for i, line in enumerate(found):
        left, _, right, _ = line["detections"][0]["box"]
        assert line["detections"][0]["class"] == "red"
        assert 8 * i <= (left + right) / 2 <= 8 * i + 16


@pytest.fixture
def camera(monkeypatch):
    """Makes a camera that is opened so many times, and lost for good after that.

    Each frame comes when the one before it is drawn.
    """
    turn, add = threading.Semaphore(1), LiveStatistics.add_shown
    monkeypatch.setattr(Capture, "turn", turn)
    monkeypatch.setattr(LiveStatistics, "add_shown", lambda *args: (add(*args), turn.release()))
    return make_camera


def make_camera(source: str, *captures: Capture) -> Video:
    left = list(captures)
    return Video(
        source,
        open_capture=lambda _: left.pop(0) if left else Capture(opened=False),
        wait=lambda _: None,
    )


@pytest.fixture
def run_camera(run, camera, monkeypatch):
    """Runs ``detect`` on a camera or stream that gives these captures."""

    def run_camera(source, captures, *extras, **options) -> tuple[int, Path]:
        monkeypatch.setattr(pictures, "Video", lambda source: camera(source, *captures))
        return run(source, *extras, **options)

    return run_camera


def test_a_camera_has_a_name_and_no_bar_to_fill(run_camera, capsys):
    frames = [frame[..., ::-1] for frame in moving_spot(3, (64, 330))]
    status, output = run_camera("0", [Capture(*frames)])
    assert status == 0 and "3 pictures: 3 red" in capsys.readouterr().out
    _, saved = read_video(output / "camera-0.mp4")
    assert len(saved) == 3 and saved[0].shape == (64, 330, 3)


def test_a_stream_is_saved_without_its_password(run_camera, capsys):
    status, output = run_camera("rtsp://me:secret@host/cam/1", [Capture(SPOTS)], "json", "csv")
    assert status == 0
    assert names(output) == ["detections.csv", "detections.jsonl", "rtsp-host-cam-1.mp4"]
    texts = [(output / name).read_text() for name in names(output)[:2]]
    assert "secret" not in "".join(texts) + "".join(capsys.readouterr())


def test_a_camera_that_comes_back_with_another_size_goes_on(run_camera):
    captures = [Capture(*moving_spot(2, size)) for size in [(64, 320), (96, 480)]]
    _, output = run_camera("0", captures)
    assert [f.shape for f in read_video(output / "camera-0.mp4")[1]] == [(64, 320, 3)] * 4


def test_ctrl_c_leaves_a_playable_video(run, camera, monkeypatch, capsys):
    capture = Capture(*moving_spot(3), KeyboardInterrupt())
    monkeypatch.setattr(pictures, "Video", lambda source: camera(source, capture))
    status, output = run("0", "heatmaps", "json")
    assert status == 130 and capture.released and len(lines(output)) == 3
    assert len(read_video(output / "camera-0.mp4")[1]) == 3
    assert len(read_video(output / "camera-0.heatmap.mp4")[1]) == 3
    said = capsys.readouterr().out
    assert "stopped" in said and "3 pictures" in said


def cut(path: Path, fraction: float) -> Path:
    data = path.read_bytes()
    path.write_bytes(data[: int(len(data) * fraction)])
    return path


def test_a_truncated_video_is_reported(run, tmp_path, capsys):
    noise = np.random.default_rng(0).integers(0, 256, (10, 128, 128, 3), np.uint8)
    clip = cut(write_video(tmp_path / "clip.avi", noise), 0.6)
    status, output = run(clip, "json")
    count = len(lines(output))
    assert status == 1 and 2 < count < 8 and len(read_video(output / "clip.mp4")[1]) == count
    assert f"{count} of 10 frames" in capsys.readouterr().err


def test_an_error_leaves_what_an_earlier_run_wrote(run, camera, tmp_path, monkeypatch):
    capture = Capture(*moving_spot(3), InputError("wrong"))
    monkeypatch.setattr(pictures, "Video", lambda source: camera(source, capture))
    (tmp_path / "out").mkdir()
    before = {"camera-0.mp4": "video", "detections.jsonl": "{}\n"}
    for name, content in before.items():
        (tmp_path / "out" / name).write_text(content)
    with pytest.raises(InputError, match="wrong"):
        run("0", "heatmaps", "json")
    assert {name: (tmp_path / "out" / name).read_text() for name in before} == before
    assert names(tmp_path / "out") == sorted(before)


def test_a_video_that_cannot_be_finished_leaves_earlier_detections(run, tmp_path, monkeypatch):
    def fail(self):
        raise OSError(28, "No space left")

    monkeypatch.setattr(VideoFile, "_finish", fail)
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "detections.jsonl").write_text("{}\n")
    clip = write_video(tmp_path / "clip.avi", moving_spot(2))
    with pytest.raises(InputError, match=r"clip\.mp4: No space left"):
        run(clip, "json")
    assert lines(tmp_path / "out") == [{}] and names(tmp_path / "out") == ["detections.jsonl"]


def test_the_time_to_read_counts_as_loading(run, folder, monkeypatch, capsys):
    def read_slowly(path):
        time.sleep(0.1)
        return read_image(path)

    monkeypatch.setattr(pictures, "read_image", read_slowly)
    run(folder)
    milliseconds = float(re.search(r"load ([\d.]+)", capsys.readouterr().out)[1])
    assert 100 <= milliseconds < 1000


@pytest.mark.parametrize("content", [b"no image", None])
def test_a_run_that_reads_nothing_leaves_earlier_detections(run, folder, content):
    source = folder / "c.png"
    if content:
        source.write_bytes(content)
    (folder.parent / "out").mkdir()
    (folder.parent / "out" / "detections.jsonl").write_text("{}\n")
    with pytest.raises(InputError):
        run(source, "json")
    assert lines(folder.parent / "out") == [{}]


def test_a_folder_in_the_place_of_the_detections_is_named(run, folder):
    (folder.parent / "out" / "detections.jsonl").mkdir(parents=True)
    with pytest.raises(InputError, match=r"detections\.jsonl: it is a folder"):
        run(folder, "json")
    assert names(folder.parent / "out") == []


def test_a_folder_named_like_a_camera_is_a_folder(run, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "2024").mkdir()
    save(tmp_path / "2024" / "a.png", SPOTS)
    status, output = run("2024")
    assert status == 0 and names(output) == ["a.png"]


def test_an_image_at_a_url_is_an_image(run, web, capsys):
    web.serve("/photo.png", SPOTS)
    status, output = run(web.url("me:secret@", "/photo.png?key=secret"), "heatmaps", "json")
    assert status == 0
    assert {"photo.png", "photo.heatmap.jpg", "photo.npz", "detections.jsonl"} < set(names(output))
    (line,) = lines(output)
    assert line["source"] == web.url("", "/photo.png") and len(line["detections"]) == 2
    said = capsys.readouterr()
    assert "photo.png: 1 red, 1 blue" in said.out and "secret" not in said.out + said.err


def test_a_video_without_frames_is_an_error(run, camera, monkeypatch):
    monkeypatch.setattr(pictures, "Video", lambda source: camera(source, Capture()))
    with pytest.raises(InputError, match="nothing in 0 could be read"):
        run("0")
    monkeypatch.setattr(pictures, "Video", lambda source: camera(source, Capture()))
    with pytest.raises(InputError, match="nothing in rtsp://host/x could be read"):
        run("rtsp://me:secret@host/x?secret")


def test_a_video_is_not_written_over_itself(run, tmp_path):
    clip = write_video(tmp_path / "clip.avi", moving_spot(1))
    with pytest.raises(InputError, match="choose another"):
        run(clip, output=tmp_path)


@pytest.mark.parametrize(
    ("keys", "pictures"), [([" ", "", "x"], 2), (["q"], 1), (["+", "", "", "\x1b"], 1)]
)
def test_q_in_the_window_ends(run, folder, monkeypatch, keys, pictures):
    window = FakeWindow(*keys)
    monkeypatch.setattr(detect, "require_screen", lambda: None)
    monkeypatch.setattr(viewer, "PreviewWindow", lambda: window)
    status, output = run(folder, "show")
    assert status == 0 and window.keys == [] and len(names(output)) == pictures


def test_q_ends_a_video_and_leaves_it_playable(run, tmp_path, monkeypatch):
    monkeypatch.setattr(detect, "require_screen", lambda: None)
    monkeypatch.setattr(viewer, "PreviewWindow", lambda: FakeWindow("", "q"))
    clip = write_video(tmp_path / "clip.avi", moving_spot(5))
    status, output = run(clip, "show")
    assert status == 0 and len(read_video(output / "clip.mp4")[1]) == 2


def test_without_a_screen_show_fails_before_anything_is_done(run, folder, monkeypatch):
    def refuse():
        raise InputError("--show needs a screen")

    monkeypatch.setattr(detect, "require_screen", refuse)
    with pytest.raises(InputError, match="needs a screen"):
        run(folder, "show")
    assert not (folder.parent / "out").exists()


@pytest.mark.parametrize("threshold", [-0.1, 1.1, float("nan")])
def test_a_wrong_threshold_is_named(run, folder, threshold):
    with pytest.raises(InputError, match=f"between 0 and 1, got {threshold}"):
        run(folder, threshold=threshold)


def test_an_output_that_is_a_file_is_named(run, folder):
    with pytest.raises(InputError, match=r"cannot write to output .*a\.png: it is a file"):
        run(folder, output=folder / "a.png")


def test_a_small_picture_is_enlarged_with_all_that_belongs_to_it():
    prediction = spot_detector().predict(picture(("red", 40, 64)))
    large = upscale_for_drawing(prediction)
    assert large.image.shape == (384, 384, 3)
    np.testing.assert_allclose(large.detections.xyxy, prediction.detections.xyxy * 3)
    assert large.heatmaps.peaks()[0]["x"] == 3 * prediction.heatmaps.peaks()[0]["x"]
    assert upscale_for_drawing(large) is large


@pytest.mark.parametrize("clip", ["asl_walk.mkv", "bottle-detection.mp4", "car-detection.mp4"])
def test_real_clips(run, test_data_root, tmp_path, monkeypatch, clip):
    source = test_data_root / "videos" / clip
    if not source.exists():
        pytest.skip(f"no {clip} here")
    video = Video(str(source))
    assert 5 <= video.fps <= 60 and video.length > 50

    class Beginning(Video):
        def __iter__(self):
            yield from itertools.islice(super().__iter__(), 3)

    monkeypatch.setattr(pictures, "Video", Beginning)
    status, output = run(source, "heatmaps", output=tmp_path / "clips")
    fps, frames = read_video(output / f"{source.stem}.mp4")
    assert status == 1 and len(frames) == 3  # truncated
    assert fps == pytest.approx(video.fps, rel=1e-3)
    assert frames[0].mean() > 10  # not black


def test_pictures_much_larger_than_the_input_are_reported_with_the_remedy():
    summary = RunSummary(top_k=100, input_size=(128, 128))
    detector = spot_detector()
    summary.write(
        detector.predict(picture(size=(300, 500))), ResultName("a.png", Path("a.png"), Path("a"))
    )
    assert "--tile" not in summary.text()
    summary.write(
        detector.predict(picture(size=(300, 640))), ResultName("b.png", Path("b.png"), Path("b"))
    )
    assert re.search(r"up to 5 times .* 128x128: .*--tile", summary.text())
