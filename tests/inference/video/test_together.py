"""Tracking, lines, zones, tiles and live frames in one run, with the tracker as installed."""

import csv
import json
import time

import pytest
from fakes import picture, read_video, spot_detector, write_video

from centernet.inference import outputs
from centernet.inference.detect import detect
from centernet.inference.detector import Detector

SIZE = (256, 384)
FRAMES = 20


@pytest.fixture
def clip(tmp_path):
    """A red spot that moves to the right, and a blue one that moves down and back."""
    path = tmp_path / "in" / "clip.avi"
    path.parent.mkdir()
    frames = []
    for number in range(FRAMES):
        y = 60 + 4 * min(number, FRAMES - number)
        frames.append(picture(("red", 100 + 8 * number, 80), ("blue", 40, y), size=SIZE))
    return write_video(path, frames)


@pytest.fixture
def run(clip, tmp_path, monkeypatch):
    monkeypatch.setattr(Detector, "load", lambda weights, device, **modes: spot_detector(**modes))

    def run(name, **options):
        folder = tmp_path / name
        assert detect(str(clip), "w.ckpt", output=folder, device="cpu", **options) == 0
        text = (folder / "detections.jsonl").read_text().splitlines()
        return folder, [json.loads(line) for line in text]

    return run


def test_tiles_give_the_detections_of_one_pass(run):
    options = {"extras": ["json"], "track": True}
    _, tiled = run("tiled", tile=128, **options)
    _, once = run("once", resolution="keep", **options)
    assert len(once) == FRAMES and {len(line["detections"]) for line in once} == {2}
    for one, other in zip(tiled, once, strict=True):
        for mine, theirs in zip(one["detections"], other["detections"], strict=True):
            assert (mine["class"], mine["track"]) == (theirs["class"], theirs["track"])
            assert mine["box"] == pytest.approx(theirs["box"], abs=1e-3)


@pytest.mark.parametrize("live", [False, True])
def test_a_line_alone_tracks_and_counts(run, live):
    lines = ["gate=180,200,180,20", "bar=0,90,384,90", "far=0,240,384,240"]
    folder, found = run("out", extras=["json"], resolution="keep", lines=lines, live=live)
    counts = found[-1]["lines"]
    blue = counts["bar"]
    assert counts["gate"] == {"in": {}, "out": {"red": 1}}
    assert (blue["in"], blue["out"]) == ({"blue": 1}, {"blue": 1})
    assert counts["far"] == {"in": {}, "out": {}}
    events = list(csv.DictReader((folder / "events.csv").open()))
    assert sorted((e["name"], e["event"], e["class"]) for e in events) == [
        ("bar", "in", "blue"), ("bar", "out", "blue"), ("gate", "out", "red"),
    ]  # fmt: skip
    ids = {one["track"] for line in found[2:] for one in line["detections"]}
    assert ids == {1, 2} and not list(folder.glob("*.mot.txt"))


def test_a_slow_output_loses_no_event(run, monkeypatch):
    write = outputs.Video.write

    def slow(self, prediction, name):
        time.sleep(0.15)
        write(self, prediction, name)

    monkeypatch.setattr(outputs.Video, "write", slow)
    options = {"resolution": "keep", "lines": ["bar=0,90,384,90"], "live": True}
    folder, found = run("out", extras=["json"], **options)
    assert found[-1]["lines"]["bar"] == {"in": {"blue": 1}, "out": {"blue": 1}}
    assert len(list(csv.DictReader((folder / "events.csv").open()))) == 2
    video = read_video(folder / "clip.mp4")[1]
    assert len(video) < len(found)


def test_frames_have_their_times(run):
    _, found = run("out", extras=["json"], resolution="keep", track=True)
    assert [line["time"] for line in found] == pytest.approx([n / 10 for n in range(FRAMES)])
