"""The benchmark of label errors: the planted errors, and the score of a ranking."""

from collections import Counter

import label_errors
import numpy as np
import plant_label_errors
import pytest


def dataset():
    rng = np.random.default_rng(0)
    images = [{"id": n, "file_name": f"{n}.png", "width": 640, "height": 480} for n in range(20)]
    boxes = [
        [float(40 + 120 * k), float(rng.integers(20, 300)), 60.0, 50.0]
        for _ in images
        for k in range(5)
    ]
    annotations = [
        {"id": n + 1, "image_id": n // 5, "category_id": n % 2 + 1, "bbox": box, "iscrowd": 0}
        for n, box in enumerate(boxes)
    ]
    categories = [{"id": 1, "name": "a"}, {"id": 2, "name": "b"}]
    return {"images": images, "annotations": annotations, "categories": categories}


def test_errors_are_planted_as_the_protocol_says():
    clean = dataset()
    corrupted, planted = plant_label_errors.plant(clean, 0.2, seed=1)
    assert Counter(error.kind for error in planted) == dict.fromkeys(plant_label_errors.KINDS, 5)
    assert clean == dataset()  # the input does not change
    before = {a["id"]: a for a in clean["annotations"]}
    after = {a["id"]: a for a in corrupted["annotations"]}
    assert len(after) == len(before)  # as many added as dropped
    for error in planted:
        if error.kind == "drop":
            assert error.id not in after
        elif error.kind == "add":
            others = [a["bbox"] for a in clean["annotations"] if a["image_id"] == error.image_id]
            assert error.id not in before
            assert plant_label_errors._iou(error.false[1], np.array(others)).max() < 0.1
        elif error.kind == "relabel":
            assert after[error.id]["category_id"] != before[error.id]["category_id"]
            assert after[error.id]["bbox"] == before[error.id]["bbox"]
        else:
            iou = plant_label_errors._iou(error.true[1], np.array([error.false[1]]))[0]
            assert 0.2 <= iou <= 0.6 and after[error.id]["bbox"] == error.false[1]
    touched = {error.id for error in planted}
    assert all(after[n] == before[n] for n in before.keys() - touched)
    assert plant_label_errors.plant(clean, 0.2, seed=1)[1] == planted


def test_average_precision_by_hand():
    # Precision 1 at the first error, 2/3 at the second; the third is not found.
    hits = [True, False, True, False]
    assert label_errors.average_precision(hits, 3) == pytest.approx((1 + 2 / 3) / 3)


def test_each_planted_error_is_found_once(tmp_path):
    (tmp_path / "annotations").mkdir()
    corrupted, planted = plant_label_errors.plant(dataset(), 0.2, seed=1)
    write = plant_label_errors.json.dumps
    (tmp_path / "annotations" / "instances_train.json").write_text(write(corrupted))
    (tmp_path / "planted.json").write_text(
        write([plant_label_errors.asdict(error) for error in planted])
    )
    truth = label_errors.Truth(tmp_path)
    assert truth.count("drop") == 5

    def entry(error, score, shift=0.0):
        x, y, w, h = (error.true if error.kind == "drop" else error.false)[1]
        box = np.array([[x + shift, y, x + w + shift, y + h]])
        kind = label_errors.KIND_OF[error.kind]
        return label_errors.Entry(score, kind, f"{error.image_id}.png", box)

    drop = next(error for error in planted if error.kind == "drop")
    moved = next(error for error in planted if error.kind == "shift")
    entries = [
        entry(drop, 0.9, shift=5),  # IoU 0.85
        entry(drop, 0.8),  # the same one again
        entry(moved, 0.7, shift=5),  # not this annotation
        entry(moved, 0.6, shift=0.1),
    ]
    assert truth.hits(entries) == ["drop", "", "", "shift"]
