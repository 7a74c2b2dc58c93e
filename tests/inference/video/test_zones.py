"""Lines and zones in a run of ``detect``: JSON lines, tables, pictures."""

import csv
import json
from dataclasses import replace

import numpy as np
import pytest
from fakes import picture, read_video, run_centernet, spot_detector, write_video

from centernet.inference.detect import detect
from centernet.inference.detector import Detector
from centernet.inference.output_base import Step
from centernet.inference.video.zone_counts import LineCount, ZoneCount, ZoneCounts
from centernet.inference.video.zone_drawing import draw_zones
from centernet.inference.video.zone_setup import ZoneSetup
from centernet.inference.video.zone_shapes import Line, Zone
from centernet.inference.writers import write_picture


class OneTrackPerClass(Step):
    """Tracks the best detection of each class; the first frame has no confirmed tracks."""

    def __call__(self, prediction, name):
        found = prediction.detections
        tracks = found.class_id + 1 if name.frame else np.full(len(found), -1)
        return replace(prediction, detections=replace(found, tracker_id=tracks))


@pytest.fixture(autouse=True)
def load(monkeypatch):
    monkeypatch.setattr(Detector, "load", lambda *_, **__: spot_detector(nms=0.1))


@pytest.fixture
def tracked(monkeypatch):
    """Detections have tracks before they are counted."""
    steps = ZoneSetup.steps
    monkeypatch.setattr(ZoneSetup, "steps", lambda self: [OneTrackPerClass(), *steps(self)])


@pytest.fixture
def clip(tmp_path):
    """A red spot moves up, a blue one down, one pixel row of cells per frame."""
    frames = [picture(("red", 40, 100 - 8 * i), ("blue", 80, 20 + 8 * i)) for i in range(10)]
    return write_video(tmp_path / "clip.avi", frames)


@pytest.fixture
def zones(tmp_path):
    path = tmp_path / "zones.json"
    half = [[0, 0], [1, 0], [1, 0.5], [0, 0.5]]
    path.write_text(json.dumps({"zones": [{"name": "top", "points": half}]}))
    return path


def table(path):
    return list(csv.DictReader(path.open(newline="")))


def test_a_video(clip, zones, tracked, tmp_path, capsys):
    out = tmp_path / "out"
    options = {"lines": ["gate=0,64,128,64"], "zones": [zones], "extras": ["json"]}
    assert detect(str(clip), "w", output=out, **options) == 0
    lines = [json.loads(line) for line in (out / "detections.jsonl").read_text().splitlines()]
    assert lines[0]["lines"] == {"gate": {"in": {}, "out": {}}}
    assert lines[0]["zones"] == {"top": {"inside": {"blue": 1}, "entered": {}, "left": {}}}
    assert lines[-1]["lines"] == {"gate": {"in": {"red": 1}, "out": {"blue": 1}}}
    last = {"inside": {"red": 1}, "entered": {"blue": 1, "red": 1}, "left": {"blue": 1}}
    assert lines[-1]["zones"] == {"top": last}
    assert table(out / "line_counts.csv") == [
        {"line": "gate", "class": "all classes", "in": "1", "out": "1"},
        {"line": "gate", "class": "blue", "in": "0", "out": "1"},
        {"line": "gate", "class": "red", "in": "1", "out": "0"},
    ]
    total, blue, red = table(out / "zone_counts.csv")
    assert (total["zone"], total["class"], total["entered"], total["left"]) == (
        "top",
        "all classes",
        "2",
        "1",
    )
    assert (blue["objects"], blue["most_inside"], red["left"]) == ("1", "1", "0")
    events = table(out / "events.csv")
    kinds = {(one["name"], one["event"], one["class"]) for one in events}
    assert kinds == {
        ("gate", "in", "red"),
        ("gate", "out", "blue"),
        ("top", "entered", "blue"),
        ("top", "left", "blue"),
        ("top", "entered", "red"),
    }
    into = next(one for one in events if one["event"] == "in")
    assert (into["id"], into["seconds_inside"]) == ("1", "")
    assert float(into["seconds"]) == pytest.approx(int(into["frame"]) / 10)
    printed = capsys.readouterr().out
    assert "gate" in printed and "top" in printed and "seconds per visit" in printed
    _, plain = read_video(clip)
    _, drawn = read_video(out / "clip.mp4")
    row = drawn[0][64 * 3, 3 * 5 : 3 * 30]  # the line, enlarged threefold
    assert row.min() > 120 and plain[0][64, 5:30].max() < 30


def test_a_video_without_tracks_counts_in_zones(clip, zones, tmp_path):
    out = tmp_path / "out"
    assert detect(str(clip), "w", output=out, zones=[zones], extras=["json"]) == 0
    first = json.loads((out / "detections.jsonl").read_text().splitlines()[0])
    assert first["zones"] == {"top": {"inside": {"blue": 1}}} and "lines" not in first
    rows = table(out / "zone_counts.csv")
    assert list(rows[0]) == ["zone", "class", "mean_inside", "most_inside"]
    assert not (out / "line_counts.csv").exists()


def test_images(zones, tmp_path, capsys):
    for name, y in (("a", 20), ("b", 100)):
        write_picture(tmp_path / "in" / f"{name}.png", picture(("red", 40, y), ("red", 90, y)))
    assert detect(str(tmp_path / "in"), "w", output=tmp_path / "out", zones=[zones]) == 0
    rows = table(tmp_path / "out" / "zone_counts.csv")
    assert [(row["class"], row["inside"]) for row in rows] == [
        ("all classes", "2"),
        ("red", "2"),
        ("all classes", "0"),
    ]
    assert rows[0]["image"].endswith("a.png") and rows[0]["zone"] == "top"
    assert not (tmp_path / "out" / "events.csv").exists()
    assert "top" in capsys.readouterr().out


def test_an_image_that_a_zone_does_not_fit_is_skipped(tmp_path, capsys):
    path = tmp_path / "zones.json"
    path.write_text(json.dumps([[[0, 0], [120, 0], [120, 60]]]))
    for name, width in (("a", 100), ("b", 128)):
        write_picture(tmp_path / "in" / f"{name}.png", picture(size=(128, width)))
    assert detect(str(tmp_path / "in"), "w", output=tmp_path / "out", zones=[path]) == 1
    error = capsys.readouterr().err
    assert "120,0" in error and "100x128" in error
    assert len(table(tmp_path / "out" / "zone_counts.csv")) == 1


def test_lines_need_a_video_with_tracks(clip, tmp_path, capsys):
    write_picture(tmp_path / "a.png", picture(("red", 40, 64)))
    weights = f"--weights={tmp_path}"
    options = [weights, f"--output={tmp_path / 'o'}", "--line", "gate=0,64,128,64"]
    error, *_ = run_centernet(["detect", tmp_path / "a.png", *options], capsys)
    assert "gate" in error and "images" in error
    assert not (tmp_path / "o").exists()


@pytest.mark.parametrize("size", [(240, 320), (1080, 1920), (40, 900), (12, 12)])
def test_lines_and_zones_are_drawn_on_pictures_of_any_size(size):
    height, width = size
    corners = ((0, 0), (width, 0), (width, height / 2), (width / 3, height))
    zone = ZoneCount(Zone("a long name " * 9, corners), {"car": 3, "bus": 1})
    line = Line("gate", ((0, height / 2), (width, height)))
    count = LineCount(line, {"in": {"car": 3}, "out": {"bus": 2}})
    drawn = np.full((height, width, 3), 90, np.uint8)
    draw_zones(drawn, ZoneCounts((count,), (zone,), labels={"car": 0, "bus": 1}), 1)
    assert (drawn != 90).any(-1).mean() > 0.1
    assert (drawn[:2] != 90).any()  # the outline
