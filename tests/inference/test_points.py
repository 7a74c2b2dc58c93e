"""Detections of classes that were learned from points: their centers, as dots."""

import csv
import json

import cv2
import numpy as np
import pytest
from fakes import COLORS, picture, spot_detector

from centernet.inference import detect
from centernet.inference.points import points_of, with_squares
from centernet.inference.tta import clip_to_image

SPOTS = [("red", 40, 60), ("blue", 80, 20), ("red", 0, 124)]
CENTERS = [[42, 62], [82, 22], [2, 126]]  # the middles of their cells


@pytest.fixture(params=[(20.0, 20.0, 20.0), (None, 20.0, None)], ids=["all", "blue"])
def sizes(request):
    return request.param


def found_points(detections):
    """Label and center of each point, and label and box of each other detection."""
    marks = points_of(detections)
    centers = (detections.xyxy[:, :2] + detections.xyxy[:, 2:]) / 2
    places = np.where(marks[:, None], np.hstack([centers, centers]), detections.xyxy).tolist()
    rows = zip(detections.class_id.tolist(), places, marks, strict=True)
    return sorted((label, place[: 2 if mark else 4]) for label, place, mark in rows)


def test_points_are_squares_around_centers(sizes):
    detections = spot_detector(point_sizes=sizes)(picture(*SPOTS))
    is_all = sizes[0] is not None
    first, last = ([42, 62], [2, 126]) if is_all else ([34, 58, 50, 66], [0, 122, 10, 128])
    assert found_points(detections) == [(0, last), (0, first), (1, [82, 22])]
    square = detections.xyxy[detections.class_id == 1][0]
    assert square.tolist() == [72, 12, 92, 32]


def test_without_points_nothing_is_marked():
    detections = spot_detector()(picture(*SPOTS))
    assert "is_point" not in detections.data and not points_of(detections).any()


def test_several_scales_are_merged_by_squares(sizes):
    detector = spot_detector(point_sizes=sizes, scales=(1.0, 2.0))
    detections = detector(picture(("blue", 80, 20)))
    assert len(detections) == 1 and points_of(detections).tolist() == [True]


def test_points_outside_of_the_image_are_dropped():
    found = {
        "boxes": np.array([[-9, 1, 1, 9], [-3, 1, 5, 9], [-3, 1, 5, 9]], np.float32),
        "labels": np.array([1, 1, 0]),
        "scores": np.ones(3, np.float32),
    }
    squares = with_squares(found, (None, 4.0))
    assert squares["boxes"].tolist() == [[-6, 3, -2, 7], [-1, 3, 3, 7], [-3, 1, 5, 9]]
    kept = clip_to_image(squares, (10, 10))
    assert kept["boxes"].tolist() == [[-1, 3, 3, 7], [0, 1, 5, 9]]
    assert kept["is_point"].tolist() == [True, False]
    assert with_squares(found, None) == found


def test_dots_are_drawn():
    image = picture(*SPOTS[:2], size=(320, 320))
    drawn = {
        sizes: spot_detector(point_sizes=sizes, image_size=(320, 320)).predict(image).draw("none")
        for sizes in (None, (20.0, 20.0, 20.0))
    }
    points = drawn[(20.0,) * 3]
    changed = (points != image).any(2)
    assert cv2.connectedComponents(changed.astype(np.uint8))[0] - 1 == 2  # a dot for each
    rows, columns = np.nonzero(changed[:, :60])
    assert (rows.mean(), columns.mean()) == pytest.approx((62, 42), abs=1)
    assert np.ptp(rows) < 12  # not a square of 20 pixels
    assert (drawn[None] != image).any(2).sum() > 0


@pytest.fixture
def run(tmp_path, monkeypatch):
    def run(sizes):
        cv2.imwrite(str(tmp_path / "a.png"), picture(*SPOTS[:2])[..., ::-1])
        detector = spot_detector(point_sizes=sizes)
        monkeypatch.setattr(detect.Detector, "load", lambda *_, **__: detector)
        detect.detect(
            str(tmp_path / "a.png"), "w.ckpt", output=tmp_path / "out", extras=("json", "csv")
        )
        lines = (tmp_path / "out" / "detections.jsonl").read_text().splitlines()
        rows = list(csv.DictReader((tmp_path / "out" / "detections.csv").open()))
        return json.loads(lines[0])["detections"], rows

    return run


def test_json_and_csv_have_points(run):
    objects, rows = run((20.0, 20.0, 20.0))
    assert sorted(one["point"] for one in objects) == CENTERS[:2]
    assert not any("box" in one for one in objects)
    assert list(rows[0]) == ["image", "class", "score", "x", "y"]
    assert sorted([float(row["x"]), float(row["y"])] for row in rows) == CENTERS[:2]


def test_json_and_csv_of_boxes_and_points(run):
    objects, rows = run((None, 20.0, None))
    by_class = {one["class"]: one for one in objects}
    assert "point" not in by_class["red"] and by_class["blue"]["point"] == [82, 22]
    columns = ["x1", "y1", "x2", "y2"]
    boxes = {row["class"]: [float(row[name]) for name in columns] for row in rows}
    assert boxes == {"red": [34, 58, 50, 66], "blue": [82, 22, 82, 22]}
    assert set(boxes) < set(COLORS)
