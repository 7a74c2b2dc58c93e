"""benchmarks/tracking.py without a network."""

import json

import numpy as np
import pytest
import supervision as sv
import tracking
import tracking_clips
from tracking_clips import Clip
from tracking_scenes import Scene


@pytest.fixture
def clip() -> Clip:
    """Two objects that move apart; the second is weak from frame 5 on, and its class is wrong."""
    found, truth = [], []
    for number in range(12):
        boxes = np.array([[50 - number, 10, 90 - number, 50], [200 + number, 10, 240 + number, 50]])
        scores = np.array([0.9, 0.8 if number < 5 else 0.28])
        labels = np.array([0, 1])
        truth.append(sv.Detections(boxes.astype(float), class_id=labels, tracker_id=labels + 1))
        seen = labels if number < 5 else np.array([0, 0])
        found.append(
            sv.Detections(
                boxes.astype(float),
                confidence=scores,
                class_id=seen,
                data={"class_name": np.array(["a", "b"])[seen]},
            )
        )
    return Clip("drawn", found, truth, np.array([0.3, 0.3]), 25.0)


def test_weak_detections_continue_a_track(clip):
    numbers = tracking.evaluate([clip], [tracking.track(clip)])
    assert numbers["IDSW"] == 0 and numbers["tracks"] == 2
    assert numbers["MOTA"] == pytest.approx(100 * 22 / 24)  # two objects have no id in frame 0
    high = tracking.evaluate([clip], [tracking.track(clip, high_only=True)])
    assert high["MOTA"] == pytest.approx(100 * 15 / 24)


def test_votes_repair_the_class(clip):
    assert tracking.class_accuracy([clip], voted=False) == pytest.approx(15 / 22)
    assert tracking.class_accuracy([clip], voted=True) == 1


def test_a_table_has_a_row_for_each_way(clip, capsys):
    tracking.print_table([clip])
    table = capsys.readouterr().out
    assert table.startswith("1 videos, 12 frames, 2 true ids")
    assert "| detect --track | 91.7 | " in table and "true class: 68.2 %" in table


def test_the_best_threshold_by_hand():
    truth = np.array([[1, 1, 10, 10, 20, 20, 1], [1, 2, 60, 10, 20, 20, 1]], float)
    found = np.array(
        [
            [1, -1, 10, 10, 20, 20, 0.9],
            [1, -1, 60, 10, 20, 20, 0.6],
            [1, -1, 200, 10, 20, 20, 0.5],
        ]
    )
    assert tracking_clips.best_threshold([(truth, found)]) == 0.6


def test_scenes_are_reproducible_and_have_the_boxes_that_they_show():
    first, again = (list(Scene(3).frames(2)) for _ in range(2))
    np.testing.assert_array_equal(first[1].image, again[1].image)
    assert len(first[0].ids) >= 6 and (first[0].boxes[:, 2:] > first[0].boxes[:, :2]).all()
    assert (first[0].image != first[1].image).any()


def test_training_images_are_a_coco_dataset(tmp_path, monkeypatch):
    monkeypatch.setattr(tracking_clips, "_TRAINING", {"train": range(2), "val": range(2, 3)})
    tracking_clips.write_shapes(tmp_path)
    content = json.loads((tmp_path / "annotations" / "instances_train.json").read_text())
    assert len(content["images"]) == 2 and (tmp_path / "train" / "1.png").is_file()
    assert {"circle", "star"} <= {category["name"] for category in content["categories"]}
