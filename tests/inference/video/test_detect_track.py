"""``detect --track`` from a video to its files."""

import csv
import json
import sys

import cv2
import numpy as np
import pytest
from fakes import picture, read_video, spot_detector, write_video
from PIL import ImageColor

from centernet.errors import InputError
from centernet.inference.detect import detect
from centernet.inference.detector import Detector
from centernet.inference.drawing import CLASS_COLORS


@pytest.fixture
def run(tmp_path, monkeypatch):
    """Tracks three frames of a red spot, which moves to the right, and of a blue one."""
    monkeypatch.setattr(Detector, "load", lambda *_, **options: spot_detector(**options))
    spots = [picture(("red", 40 + 4 * i, 64), ("blue", 100, 8)) for i in range(3)]
    clip = write_video(tmp_path / "clip.avi", spots)

    def run(*extras, source=clip, **options):
        output = tmp_path / "out"
        options = {"threshold": 0.3, "track": True, "output": output} | options
        assert detect(str(source), "w.ckpt", extras=extras, device="cpu", **options) == 0
        return output

    return run


def test_json_has_the_track_or_null(run):
    lines = (run("json") / "detections.jsonl").read_text().splitlines()
    tracks = [
        {found["class"]: found["track"] for found in json.loads(line)["detections"]}
        for line in lines
    ]
    first, *others = tracks
    assert first == {"red": None, "blue": None}
    assert others[0] == others[1] and sorted(others[0].values()) == [1, 2]


def test_a_detection_below_the_threshold_is_kept_if_it_continues_a_track(run, tmp_path):
    bright = picture(("red", 40, 64))
    dark = (0.66 * bright).astype(np.uint8)  # a score of about 0.83
    clip = write_video(tmp_path / "dark.avi", [bright, bright, bright, dark, dark])
    kept = {}
    for track in (False, True):
        output = run("json", source=clip, threshold=0.9, track=track)
        lines = (output / "detections.jsonl").read_text().splitlines()
        kept[track] = [json.loads(line)["detections"] for line in lines]
    assert [len(found) for found in kept[False]] == [1, 1, 1, 0, 0]
    assert [len(found) for found in kept[True]] == [1, 1, 1, 1, 1]
    assert {found[0]["track"] for found in kept[True][1:]} == {1}
    assert kept[True][4][0]["score"] < 0.9


def test_without_track_there_is_no_key_no_column_and_no_file(run):
    output = run("json", "csv", track=False)
    (line, *_) = (output / "detections.jsonl").read_text().splitlines()
    assert "track" not in json.loads(line)["detections"][0]
    assert "track" not in (output / "detections.csv").read_text().splitlines()[0]
    assert not list(output.glob("*.txt"))


def test_csv_has_the_track_or_nothing(run):
    with (run("csv") / "detections.csv").open(newline="") as file:
        header, *rows = csv.reader(file)
    assert header == ["image", "frame", "track", "class", "score", "x1", "y1", "x2", "y2"]
    assert [row[1:3] for row in rows[:2]] == [["0", ""], ["0", ""]]
    assert sorted(row[2] for row in rows[2:]) == ["1", "1", "2", "2"]


def test_the_mot_file_has_the_boxes_of_tracks(run):
    rows = np.loadtxt(run() / "clip.mot.txt", delimiter=",")
    assert rows.shape == (4, 10) and rows[:, 0].tolist() == [2, 2, 3, 3]
    red = rows[rows[:, 7] == 1]
    np.testing.assert_allclose(red[:, 2:6], [[39, 63, 16, 8], [43, 63, 16, 8]], atol=0.6)
    assert set(rows[:, 8:].ravel()) == {-1}


def test_the_summary_counts_tracks_and_objects(run, capsys):
    run()
    out = capsys.readouterr().out
    assert "1 red, 1 blue tracked" in out or "1 blue, 1 red tracked" in out
    assert "2.0 objects per frame" in out


def test_boxes_have_the_color_of_their_track_and_a_trail(run):
    output = run(labels="none")
    ids = {
        row[7]: int(row[1]) for row in np.loadtxt(output / "clip.mot.txt", delimiter=",").tolist()
    }
    _, frames = read_video(output / "clip.mp4")
    red = ImageColor.getrgb(CLASS_COLORS[ids[1] - 1])
    assert frames[2].shape[:2] == (384, 384)  # enlarged threefold
    edge, trail = frames[2][3 * 62, 3 * 50], frames[2][3 * 66, 3 * 46 + 2]
    np.testing.assert_allclose(edge, red, atol=60)
    assert trail.max() > 60  # from the center of the frame before, x = 46
    assert frames[1][3 * 66, 3 * 42 + 2].max() < 60
    gray = frames[0][3 * 62, 3 * 42].astype(int)
    assert np.ptp(gray) < 40 and gray.min() > 100  # no id yet


def test_images_are_refused(run, tmp_path):
    image = tmp_path / "photo.png"
    cv2.imwrite(str(image), np.zeros((40, 40, 3), np.uint8))
    with pytest.raises(InputError, match=r"--track .*photo\.png"):
        run(source=image)


def test_a_missing_package_is_named_before_the_weights_are_loaded(run, monkeypatch, tmp_path):
    monkeypatch.setattr(Detector, "load", None)
    monkeypatch.setitem(sys.modules, "trackers", None)
    with pytest.raises(InputError, match=r"trackers.*\.\[track\]"):
        run()
    assert not (tmp_path / "out").exists()
