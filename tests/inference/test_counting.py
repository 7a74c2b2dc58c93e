import csv
import json

import numpy as np
import pytest
from fakes import SCORE, picture, run_centernet, spot_detector, write_video

from centernet import Detector
from centernet.errors import InputError
from centernet.files import atomic_write
from centernet.inference.count_totals import CountTotals
from centernet.inference.counting import (
    Count,
    CountCalibration,
    CountInterval,
    counts_text,
    sum_counts,
)
from centernet.inference.detect import detect

# Of the spots (red, blue, white): every detection is an object; red ones stand for two.
CALIBRATION = CountCalibration(
    slopes=(1.0, 1.0, 1.0),
    offsets=(0.0, 0.0, 0.0),
    factors=(2.0, 1.0, 1.0),
    quantiles=(2.0, 1.0, None, 1.0),
    errors=(1.0, 0.5, 0.5, 1.0),
    images=40,
)
STORED = CALIBRATION.as_dict()
SPOTS = picture(("red", 20, 20), ("red", 60, 20), ("blue", 20, 80))
# A spot of this gray has the logit 20 * amount - 10 of about -1: below the default threshold.
FAINT = 115


def test_an_interval_holds_whole_numbers_and_the_count_itself():
    one = CountInterval(12.4, 2.5)
    assert (one.number, one.low, one.high) == (12, 10, 14)
    assert str(one.as_dict()) == "{'estimate': 12.4, 'low': 10, 'high': 14}"
    assert one.text("cell") == "12 cell (10 to 14)"
    narrow = CountInterval(1.5, 0.1)
    assert (narrow.number, narrow.low, narrow.high) == (2, 2, 2)
    assert CountInterval(0.3, 4.0).low == 0
    unknown = CountInterval(1234.0, None)
    assert (unknown.low, unknown.high) == (None, None) and "1,234" in unknown.text("a")


def test_the_text_of_a_count():
    single = CountInterval(412.0, 15.0)
    assert str(Count(single, {"cells": single})) == "412 cells (397 to 427)"
    classes = {"a": CountInterval(2.0, 1.0), "b": CountInterval(0.2, 0.5), "c": single}
    text = counts_text(CountInterval(414.2, 16.0), classes)
    assert text == "414 objects (399 to 430): 412 c (397 to 427), 2 a (1 to 3)"
    assert "top_k" in str(Count(single, {"cells": single}, truncated=True))


def test_the_moments_of_a_count():
    """Red: p 0.8 and 0.5, twice as many objects; a score below 0.05 does not count."""
    scores, labels = np.array([0.8, 0.5, 0.04, 0.9]), np.array([0, 0, 0, 1])
    mean, variance = CALIBRATION.moments(scores, labels)
    assert mean == pytest.approx([2.6, 0.9, 0])
    assert variance == pytest.approx([0.16 + 0.25 + 1.3, 0.09, 0])
    count = CALIBRATION.count(scores, labels, ("red", "blue", "white"))
    red = count.classes["red"]
    assert red.half_width == pytest.approx(2 * np.sqrt(1.71 + 0.25))
    assert (red.low, red.high) == (0, 5) and count.classes["white"].low is None
    assert count.total.estimate == pytest.approx(3.5)


def test_scores_of_0_and_1_have_a_probability():
    flat = CountCalibration((0.0,), (0.0,), (1.0,), (1.0, 1.0), (1.0, 1.0), 9)
    assert flat.probabilities(np.array([0.0, 1.0]), np.zeros(2, int)).tolist() == [0.5, 0.5]
    p = CALIBRATION.probabilities(np.array([0.0, 1.0]), np.zeros(2, int))
    assert p == pytest.approx([0, 1], abs=1e-5)


def test_a_sum_is_wider_than_independent_errors_and_narrower_than_equal_ones():
    counts = [CountInterval(10.0, 4.0, 2.0)] * 25
    total = sum_counts(counts, 50)
    assert total.estimate == 250
    assert total.half_width == pytest.approx(1.645 * np.sqrt(25 * 4 + 50**2 / 50), rel=1e-3)
    assert sum_counts(counts[:1], 50).half_width == 4.0
    assert sum_counts([*counts, CountInterval(1.0, None, 1.0)], 50).low is None


def test_the_sum_of_many_images_has_the_coverage_of_one():
    """The errors of 30 images are normal, and so is that of the calibration by 40 images."""
    rng, hits = np.random.default_rng(0), []
    for _ in range(2000):
        shared = rng.normal(0, 3 / np.sqrt(40))
        truth = np.sum(20 + shared + rng.normal(0, 3, 30))
        total = sum_counts([CountInterval(20.0, 5.0, 3.0)] * 30, 40)
        hits.append(abs(total.estimate - truth) <= total.half_width)
    assert 0.88 < np.mean(hits) < 0.92


def test_a_stored_calibration_is_read_again():
    again = CountCalibration.from_stored(json.loads(json.dumps(STORED)), 3)
    assert again == CALIBRATION
    assert CountCalibration.from_stored(None, 3) is None


@pytest.mark.parametrize(
    ("changes", "word"),
    [
        ({"slopes": [1.0, 1.0]}, "slopes"),
        ({"slopes": [-1.0, 1.0, 1.0]}, "slopes"),
        ({"offsets": [None, 0.0, 0.0]}, "offsets"),
        ({"factors": [float("nan"), 1, 1]}, "nan"),
        ({"quantiles": ["a", 1, 1, 1]}, "'a'"),
        ({"images": 0}, "images"),
        ({"errors": 3}, "int"),
    ],
)
def test_a_damaged_calibration_is_an_error(changes, word):
    with pytest.raises(InputError, match=rf"calibration.*{word}"):
        CountCalibration.from_stored(STORED | changes, 3)
    with pytest.raises(InputError, match="calibration"):
        CountCalibration.from_stored({"slopes": []}, 3)
    with pytest.raises(InputError, match="calibration"):
        CountCalibration.from_stored([1, 2], 3)


def test_a_detector_counts_all_detections_of_an_image():
    detector = spot_detector(counting=STORED)
    count = detector.count(SPOTS)
    assert count.classes["red"].estimate == pytest.approx(4 * SCORE, rel=1e-5)
    assert count.total.number == 5 and not count.truncated
    faint = picture()
    faint[40:44, 40:44] = (FAINT, 0, 0)
    prediction = detector.predict(faint)
    assert len(prediction.detections) == 0  # but an expected number of objects
    assert prediction.count.classes["red"].estimate == pytest.approx(0.54, abs=0.1)
    assert detector.predict(faint, threshold=0.9, clip=False).count == prediction.count


def test_a_count_says_if_top_k_limits_it():
    assert not spot_detector(counting=STORED, top_k=4).count(SPOTS).truncated
    limited = spot_detector(counting=STORED, top_k=2).count(SPOTS)
    assert limited.truncated and limited.as_dict()["truncated"] is True
    faint = SPOTS.copy()
    faint[80:84, 20:24] = faint[20:24, 60:64] = (FAINT, 0, 0)
    prediction = spot_detector(counting=STORED, top_k=2).predict(faint)
    # The best is detected; of two faint ones, which only count, one is cut off.
    assert len(prediction.detections) == 1
    assert prediction.count.truncated and not prediction.truncated


def test_weights_without_calibration_say_how_to_get_one():
    detector = spot_detector()
    with pytest.raises(InputError, match=r"count\(\).*centernet report RUN"):
        detector.count(SPOTS)
    assert detector.predict(SPOTS).count is None


@pytest.fixture
def spots(tmp_path, monkeypatch):
    """A folder of two images; Detector.load gives a detector with calibration."""
    from centernet.inference.writers import write_picture

    for name in ("a", "b"):
        write_picture(tmp_path / "in" / f"{name}.png", SPOTS)
    loaded = spot_detector(counting=STORED)
    monkeypatch.setattr(Detector, "load", lambda *_, **__: loaded)
    return tmp_path


def test_json_and_csv_have_counts(spots):
    assert detect(str(spots / "in"), "w", output=spots, extras=["json", "csv"]) == 0
    line = json.loads((spots / "detections.jsonl").read_text().splitlines()[0])
    assert line["count"]["total"] == {"estimate": 5.0, "low": 4, "high": 6}
    assert line["count"]["classes"]["white"] == {"estimate": 0.0, "low": None, "high": None}
    with (spots / "counts.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["class"] for row in rows[:4]] == ["red", "blue", "white", "all classes"]
    assert len(rows) == 8 and rows[0]["image"].endswith("a.png")
    assert (rows[3]["estimate"], rows[3]["low"], rows[3]["high"]) == ("5.0", "4", "6")
    assert (rows[2]["low"], rows[0]["truncated"]) == ("", "0")


def test_count_is_printed_and_drawn(spots, capsys):
    assert detect(str(spots / "in"), "w", output=spots / "plain") == 0
    assert "counted" not in capsys.readouterr().out
    assert detect(str(spots / "in"), "w", output=spots / "count", count=True) == 0
    text = capsys.readouterr().out
    assert "counted: 10 objects" in text and "8 red" in text and "2 blue" in text
    plain, counted = ((spots / name / "a.png").read_bytes() for name in ("plain", "count"))
    assert plain != counted and not (spots / "plain" / "counts.csv").exists()


def test_a_picture_without_detections_shows_the_count():
    detector = spot_detector(counting=STORED)
    prediction = detector.predict(picture(size=(320, 480)))
    assert (prediction.draw(count=True) != prediction.draw()).any()
    assert (prediction.draw("none", count=True) != prediction.draw("none")).any()
    for size in ((8, 320), (320, 8)):
        assert detector.predict(picture(size=size)).draw(count=True).ndim == 3


def test_frames_of_a_video_are_counted_one_by_one(tmp_path, monkeypatch, capsys):
    video = write_video(tmp_path / "v.avi", [SPOTS, picture()])
    monkeypatch.setattr(Detector, "load", lambda *_, **__: spot_detector(counting=STORED))
    assert detect(str(video), "w", output=tmp_path / "out", extras=["csv"], count=True) == 0
    rows = list(csv.DictReader((tmp_path / "out" / "counts.csv").open(newline="")))
    assert [row["frame"] for row in rows] == ["0"] * 4 + ["1"] * 4
    assert "per frame: 2.5 on average" in capsys.readouterr().out


def test_the_option_count_needs_a_calibration(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(Detector, "load", lambda *_, **__: spot_detector())
    with atomic_write(tmp_path / "a.png") as unfinished:
        unfinished.write_bytes(b"")
    command = [
        "detect",
        tmp_path / "a.png",
        f"--weights={tmp_path}",
        "--count",
        f"--output={tmp_path / 'o'}",
    ]
    error, *_ = run_centernet(command, capsys)
    assert "--count" in error and "centernet report" in error
    assert not (tmp_path / "o").exists()


def test_counts_of_other_options_are_marked():
    usual, other = (CountTotals(9, video=False, plain=plain) for plain in (True, False))
    for totals in (usual, other):
        totals.add(spot_detector(counting=STORED, top_k=2).count(SPOTS))
    assert "--top-k" in usual.text() and "--flip" not in usual.text()
    assert "--flip" in other.text()
    assert "nothing" in CountTotals(9, video=False).text()


def test_an_exported_model_keeps_the_calibration():
    from centernet.inference.engines.exported import metadata_of, read_info

    info = spot_detector(counting=STORED).engine.info
    metadata = metadata_of(info, "1")
    outputs = ("boxes", "scores", "labels", "heatmap", "cells")
    assert read_info("m.onnx", metadata, outputs).counting == CALIBRATION
    # Models of earlier versions have none.
    old = {name: value for name, value in metadata.items() if name != "counting"}
    assert read_info("m.onnx", old, outputs).counting is None
    with pytest.raises(InputError, match="calibration"):
        read_info("m.onnx", metadata | {"counting": '{"slopes": [1]}'}, outputs)
