import contextlib
import csv
import io
import json

import numpy as np
import pytest
from fakes import BCCD
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from centernet.data.annotations import read_coco
from centernet.evaluation.coco import average_precision, coco_results, evaluate, metric_names
from centernet.evaluation.ground_truth import GroundTruth

CAT = {"bbox": [10, 5, 20, 30]}
DOG = {"bbox": [30, 10, 25, 8], "category_id": 7}
HALF = 0.5 * 51 / 101  # precision 1/2 at the 51 of 101 recalls up to 1/2


def detection(annotation: dict, score: float, **changes) -> dict:
    found = {"image_id": 10, "category_id": 3} | annotation | {"score": score} | changes
    return {key: found[key] for key in ("image_id", "category_id", "bbox", "score")}


def by_pycocotools(annotations, results) -> tuple[np.ndarray, str]:
    """The twelve numbers, and the table that it prints."""
    with contextlib.redirect_stdout(io.StringIO()):
        truth = COCO(str(annotations))
        coco = COCOeval(truth, truth.loadRes(results), "bbox")
        coco.evaluate()
        coco.accumulate()
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        coco.summarize()
    return np.where(coco.stats < 0, np.nan, coco.stats), printed.getvalue()


def test_perfect_detections_have_ap_one(tiny_coco):
    truth = [CAT, DOG, CAT | {"image_id": 20}]
    path = tiny_coco(truth, sizes=[(40, 60)] * 3).annotations
    found = evaluate(path, [detection(a, 0.5 + i / 10) for i, a in enumerate(truth)])
    assert tuple(found.metrics) == metric_names()
    for name in ("AP", "AP50", "AP75", "AP_small", "AR_100"):
        assert found.metrics[name] == pytest.approx(1)
    assert np.isnan(found.metrics["AP_large"])  # there is no such object


def test_no_detections_have_ap_zero(tiny_coco):
    found = evaluate(tiny_coco([CAT, DOG]).annotations, [])
    assert found.metrics["AP"] == found.metrics["AR_100"] == 0
    assert [row["AP"] for row in found.per_class] == [0, 0]


def test_a_second_detection_of_an_object_is_false(tiny_coco):
    path = tiny_coco([CAT, CAT | {"image_id": 20}], sizes=[(40, 60)] * 2).annotations
    results = [detection(CAT, 0.9), detection(CAT, 0.8), detection(CAT, 0.7, image_id=20)]
    # Precision 1 at the 51 recalls up to 1/2, then 2/3.
    assert evaluate(path, results).metrics["AP"] == pytest.approx((51 + 50 * 2 / 3) / 101)


def test_without_objects_there_is_no_ap(tiny_coco):
    found = evaluate(tiny_coco([]).annotations, [detection(CAT, 0.9)])
    assert all(np.isnan(value) for value in found.metrics.values())


@pytest.mark.parametrize(("mark", "ap"), [({"ignore": 1}, 1), ({"iscrowd": 1}, 1), ({}, HALF)])
def test_a_region_is_neither_missed_nor_false(tiny_coco, mark, ap):
    region = {"bbox": [0, 0, 9, 30]} | mark
    inside = detection({"bbox": [1, 2, 3, 4]}, 0.9)
    found = evaluate(tiny_coco([CAT, region]).annotations, [inside, detection(CAT, 0.8)])
    assert found.metrics["AP"] == pytest.approx(ap)
    assert found.per_class[0]["objects"] == (1 if mark else 2)


def test_each_class_has_its_row(tiny_coco):
    categories = {90: "empty", 7: "dog", 3: "cat"}
    dogs = [DOG, DOG | {"image_id": 20}]
    path = tiny_coco(
        [CAT | {"area": 2000}, *dogs], sizes=[(40, 60)] * 2, categories=categories
    ).annotations
    wrong = detection({"bbox": [1, 1, 3, 3]}, 0.9, category_id=7)
    loose = detection(CAT, 0.5, bbox=[10, 5, 20, 21.6])  # IoU 0.72
    found = evaluate(path, [wrong, detection(DOG, 0.8), loose])
    cat, dog, empty = found.per_class
    assert cat == pytest.approx(
        {"class": "cat", "objects": 1, "AP": 0.5, "AP50": 1, "AP75": 0, "AR_100": 0.5}
    )
    assert [dog[key] for key in ("AP", "AP50", "AP75")] == pytest.approx([HALF] * 3)
    assert (dog["objects"], dog["AR_100"]) == (2, 0.5)
    assert (empty["class"], empty["objects"]) == ("empty", 0) and np.isnan(empty["AP"])
    assert found.metrics["AP"] == pytest.approx((0.5 + HALF) / 2)


def test_a_class_whose_name_is_a_number_has_it_as_a_word(tiny_coco):
    path = tiny_coco([CAT], categories={3: 1}).annotations
    assert [row["class"] for row in evaluate(path, []).per_class] == ["1"]


def test_only_the_images_asked_for_count(tiny_coco):
    path = tiny_coco([CAT, CAT | {"image_id": 20}], sizes=[(40, 60)] * 3).annotations
    results = [detection(CAT, 0.9), detection(CAT, 0.99, image_id=30)]
    for image_ids, ap, objects in (
        ([10], 1, 1),
        ([20, 10], 51 / 101, 2),
        (None, HALF, 2),
        ([20], 0, 1),
    ):
        found = evaluate(path, results, image_ids)
        assert found.metrics["AP"] == pytest.approx(ap)
        assert found.per_class[0]["objects"] == objects


@pytest.mark.parametrize(("top_k", "limit"), [(50, 100), (100, 100), (300, 300)])
def test_as_many_detections_count_as_the_detector_gives(tiny_coco, top_k, limit):
    """300 perfect detections of 300 objects; COCO's own limit finds a third of them."""
    boxes = [[10 * x, 10 * y, 8, 8] for x in range(20) for y in range(15)]
    path = tiny_coco([{"bbox": box} for box in boxes], sizes=[(200, 200)]).annotations
    results = [detection({"bbox": box}, 0.9 - i / 1000) for i, box in enumerate(boxes)]
    found = evaluate(path, results, top_k=top_k)
    recall = limit / 300
    assert found.metrics["AP"] == pytest.approx(np.floor(101 * recall) / 101, abs=0.01)
    assert found.metrics[f"AR_{limit}"] == found.per_class[0][f"AR_{limit}"]
    assert found.metrics[f"AR_{limit}"] == pytest.approx(recall)
    assert found.max_detections == limit and f"maxDets={limit:>3d}" in found.summary
    quick = average_precision(path, results, top_k=top_k)
    assert quick["AP"] == found.metrics["AP"]
    assert (found.metrics["AP"] == 1) == (top_k == 300)


def test_one_index_serves_many_evaluations(tiny_coco):
    path = tiny_coco([CAT, DOG]).annotations
    truth = GroundTruth(read_coco(path))
    for results in ([detection(CAT, 0.9)], [], [detection(DOG, 0.9), detection(CAT, 0.1)]):
        assert evaluate(truth, results).metrics == pytest.approx(
            evaluate(path, results).metrics, abs=0, nan_ok=True
        )


def test_image_ids_may_be_numbers_and_strings(tiny_coco):
    path = tiny_coco([CAT, CAT | {"image_id": 20}, DOG], sizes=[(40, 60)] * 2).annotations
    text = path.read_text()
    content = json.loads(text)
    for entry in [*content["images"], *content["annotations"]]:
        key = "image_id" if "image_id" in entry else "id"
        entry[key] = "a" if entry[key] == 20 else entry[key]
    path.write_text(json.dumps(content))
    results = [detection(CAT, 0.9), detection(CAT, 0.8, image_id="a")]
    assert evaluate(path, results, [10, "a"]).per_class[0]["AP"] == 1
    assert evaluate(path, results, ["a"]).per_class[0]["objects"] == 1


def test_detections_become_results_with_the_category_ids_of_the_file():
    boxes = np.float32([[10, 5, 30, 35], [1, 2, 3, 4], [30, 10, 55.25, 18]])
    results = coco_results(
        9, boxes, np.float32([0.5, 0.25, 0.125]), np.array([0, 1, 2]), [3, None, 7]
    )
    assert results == [
        {"image_id": 9, "category_id": 3, "bbox": [10, 5, 20, 30], "score": 0.5},
        {"image_id": 9, "category_id": 7, "bbox": [30, 10, 25.25, 8], "score": 0.125},
    ]
    assert json.loads(json.dumps(results)) == results
    assert coco_results(9, boxes[:0], np.zeros(0), np.zeros(0, int), [3]) == []


def jittered(annotations: list[dict], rng: np.random.Generator) -> list[dict]:
    """Each box a little off, some lost, some of another class, some found twice."""
    categories = [a["category_id"] for a in annotations]
    results = []
    for annotation in annotations:
        for _ in range(rng.choice(3, p=[0.2, 0.6, 0.2])):
            box = np.array(annotation["bbox"])
            box = box + rng.normal(0, 0.1, 4) * np.tile(box[2:], 2)
            changes = {"category_id": int(rng.choice(categories))} if rng.random() < 0.1 else {}
            results.append(
                detection(annotation, round(rng.random(), 2), bbox=box.tolist(), **changes)
            )
    return results


def test_random_detections_score_exactly_as_in_pycocotools(tiny_coco):
    rng = np.random.default_rng(0)
    truth = [
        {
            "image_id": int(rng.choice([10, 20, 30])),
            "category_id": int(rng.choice([3, 7, 90])),
            "bbox": (box := [*rng.uniform(0, 200, 2), *rng.uniform(5, 150, 2)]),
            "area": box[2] * box[3] * 0.7,
            "iscrowd": int(rng.random() < 0.2),
        }
        for _ in range(60)
    ]  # fmt: skip
    categories = {90: "c", 3: "a", 7: "b", 11: "none"}
    path = tiny_coco(truth, sizes=[(400, 400)] * 4, categories=categories).annotations
    results = jittered(truth, rng)
    expected, summary = by_pycocotools(path, results)
    assert 0.05 < expected[0] < 0.9
    found = evaluate(path, results)
    np.testing.assert_allclose(list(found.metrics.values()), expected, rtol=1e-14)
    assert found.summary.splitlines() == summary.splitlines()


@pytest.mark.parametrize("data", ["bccd", "coco_mini"])
def test_real_annotations_score_exactly_as_in_pycocotools(request, data):
    path = BCCD / "annotations" / "instances_train.json"
    if data == "coco_mini":
        root = request.getfixturevalue("test_data_root")
        path = root / data / "annotations" / "instances_val2017.json"
    truth = json.loads(path.read_text())["annotations"]
    results = jittered(truth, np.random.default_rng(0))
    expected, summary = by_pycocotools(path, results)
    assert 0.05 < expected[0] < 0.9
    found = evaluate(path, results)
    np.testing.assert_allclose(list(found.metrics.values()), expected, rtol=1e-14)
    assert found.summary.splitlines() == summary.splitlines()


def test_saving_writes_both_tables(tiny_coco, tmp_path):
    found = evaluate(tiny_coco([CAT]).annotations, [detection(CAT, 0.9)])
    found.save(tmp_path)
    text = (tmp_path / "metrics.json").read_text()
    metrics = json.loads(text)
    assert "NaN" not in text  # which is no JSON
    assert {name: np.nan if value is None else value for name, value in metrics.items()} == (
        pytest.approx(found.metrics, rel=1e-12, nan_ok=True)
    )
    with (tmp_path / "per_class.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert rows == [{key: str(value) for key, value in row.items()} for row in found.per_class]
    assert [row["class"] for row in rows] == ["cat", "dog"]


def dense(images: int, objects: int) -> tuple[dict, list]:
    """Annotations of objects in a grid, and perfect detections."""
    boxes = [[16 * (i % 40), 16 * (i // 40), 8, 8] for i in range(objects)]
    coco = {
        "images": [{"id": i, "file_name": f"{i}.png"} for i in range(images)],
        "categories": [{"id": 3, "name": "cat"}],
        "annotations": [
            {"image_id": i, "category_id": 3, "bbox": box, "area": 64, "iscrowd": 0}
            for i in range(images)
            for box in boxes
        ],
    }
    return coco, [
        {"image_id": a["image_id"], "category_id": 3, "bbox": a["bbox"], "score": 1 - k / 1e6}
        for k, a in enumerate(coco["annotations"])
    ]


def test_1500_objects_in_an_image_are_evaluated():
    coco, results = dense(2, 1500)
    result = evaluate(coco, results, top_k=2300)
    assert result.metrics["AP"] == 1 and result.max_detections == 2300
    assert result.limit_note == ""


def test_a_limit_below_the_number_of_objects_is_noted():
    coco, results = dense(2, 150)
    few = [r for r in results if r["bbox"][1] < 40]  # 120 of each image
    coco["annotations"] = coco["annotations"][:-100]
    result = evaluate(coco, few, top_k=100)
    assert result.metrics["AP"] < 1
    note = result.limit_note
    assert "top_k 100" in note and " 1 of " in note and "150" in note and "--top-k" in note
    assert evaluate(coco, few, image_ids=[1], top_k=100).limit_note == ""
    assert evaluate(coco, few, top_k=150).limit_note == ""
    for annotation in coco["annotations"][:51]:
        annotation["iscrowd"] = 1
    assert evaluate(coco, few, top_k=100).limit_note == ""
