import numpy as np
import pytest

from centernet.data.annotations import read_coco
from centernet.data.points import extend_points
from centernet.evaluation.coco import evaluate
from centernet.evaluation.ground_truth import GroundTruth
from centernet.evaluation.points import PointEvaluation, best_f1, evaluate_points, match_centers


def at(x, y, score, image_id=10, category_id=3):
    """A detection with its center at (x, y)."""
    box = [x - 3, y - 3, 6, 6]
    return {"image_id": image_id, "category_id": category_id, "bbox": box, "score": score}


def point(x, y, **more):
    return {"bbox": [x, y, 0, 0], "point": True} | more


@pytest.fixture
def truth(tiny_coco):
    """Two images with three cats: points of size 8, so that detections may be 4 pixels away."""
    annotations = [
        point(10, 10),
        point(16, 10),
        point(30, 30, image_id=20),
        {"bbox": [40, 0, 20, 20], "iscrowd": 1},
    ]
    files = tiny_coco(annotations, sizes=[(40, 60), (40, 60)])
    return GroundTruth(extend_points(read_coco(files.annotations), 8.0))


def test_matching_by_hand(truth):
    detections = [
        at(12, 10, 0.9),  # the first cat, 2 pixels away
        at(11, 10, 0.8),  # nearer, but later: the second cat is 5 away, a false positive
        at(19, 12, 0.7),  # the second cat, 3.6 away
        at(30, 35, 0.6, image_id=20),  # 5 away
        at(50, 10, 0.5),  # in the ignore region
        at(30, 30, 0.4, image_id=20, category_id=7),  # another class
    ]
    own = [d for d in detections if d["image_id"] == 10]
    annotations = [a for a in truth.source if a["image_id"] == 10]
    assert match_centers(annotations, own).tolist() == [0, -1, 1, -2]
    # correct, wrong, correct, wrong, of three cats: precision 1, then 2/3 up to recall 2/3
    found = evaluate(truth, detections)
    assert isinstance(found, PointEvaluation)
    cat, dog = found.per_class
    ap = (34 + 33 * 2 / 3) / 101
    assert cat["AP"] == pytest.approx(ap) and found.metrics["AP_points"] == pytest.approx(ap)
    # best after the third: 2 of 3 detections, 2 of 3 cats
    assert cat["precision"] == cat["recall"] == cat["F1"] == pytest.approx(2 / 3)
    assert cat["threshold"] == 0.7 and cat["objects"] == 3
    assert np.isnan(dog["AP"]) and dog["objects"] == 0
    assert found.precision[:, 1].tolist() == [-1] * 101
    assert found.headline[0] in found.numbers
    assert "AP_points" in found.summary and "half" in found.summary


def test_fixed_distance_and_images(truth):
    detections = [at(30, 35, 0.6, image_id=20), at(30, 35, 0.5, image_id=10)]
    wide = evaluate_points(truth, detections, distance=5.0)
    assert wide.per_class[0]["precision"] == 1 and "5 pixels" in wide.summary
    narrow = evaluate_points(truth, detections, distance=4.9)
    assert narrow.metrics["F1_points"] == 0 and np.isnan(narrow.per_class[0]["threshold"])
    one = evaluate_points(truth, detections, [20], distance=5.0)
    assert one.metrics["AP_points"] == 1 and one.per_class[0]["objects"] == 1


def test_empty_inputs(truth, tiny_coco):
    found = evaluate(truth, [])
    assert found.metrics == dict.fromkeys(found.metrics, 0.0)
    nothing = GroundTruth(read_coco(tiny_coco([]).annotations))
    empty = evaluate_points(nothing, [at(1, 1, 0.5)])
    assert all(map(np.isnan, empty.metrics.values())) and empty.numbers == {"AP_points": 0.0}


def test_equal_scores_are_not_separated():
    assert best_f1(np.array([0.9, 0.9, 0.5]), np.array([True, False, False]), 1) == {
        "F1": pytest.approx(2 / 3),
        "precision": 0.5,
        "recall": 1.0,
        "threshold": 0.9,
    }


def test_boxes_are_evaluated_by_center_on_request(tiny_coco):
    # 16 x 25 pixels: half the square root of the area is 10
    files = tiny_coco([{"bbox": [10, 5, 16, 25]}])
    near, far = at(18, 27, 0.9), at(18, 28, 0.9)
    assert evaluate(files.annotations, [near]).metrics["AP"] == 0
    assert evaluate(files.annotations, [near], centers=True).metrics["AP_points"] == 1
    assert evaluate(files.annotations, [far], centers=True).metrics["AP_points"] == 0


def test_of_boxes_and_points_only_boxes_are_evaluated(tiny_coco):
    box = {"bbox": [10, 5, 20, 30]}
    annotations = [box, point(50, 20), point(30, 30, image_id=20), point(8, 8, category_id=7)]
    files = tiny_coco(annotations, sizes=[(40, 60), (40, 60)])
    truth = GroundTruth(extend_points(read_coco(files.annotations), 6.0))
    result = {"image_id": 10, "category_id": 3, "bbox": box["bbox"], "score": 0.5}
    others = [
        result | {"image_id": 20, "score": 0.9},  # an image with points only
        result | {"bbox": [47, 17, 6, 6], "score": 0.8},  # a point of the first image
    ]
    found = evaluate(truth, [result, *others])
    assert found.metrics["AP"] == 1 and [row["objects"] for row in found.per_class] == [1, 0]
    assert evaluate(truth, [result, *others], [10, 20]).metrics["AP"] == 1
