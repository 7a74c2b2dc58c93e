from time import process_time

import numpy as np
import pytest

from centernet.geometry import box_iou
from centernet.nms import nms, soft_nms


def test_no_boxes():
    for method in ("soft", 0.5):
        left, scores = nms(np.zeros((0, 4)), np.zeros(0), np.zeros(0, np.int64), method)
        assert left.shape == scores.shape == (0,)


def test_soft_nms_by_hand():
    # Pixels 0..9 and 0..19: of 10 and 20 pixels, 10 are common, so IoU = 1/2 by counting pixels.
    boxes = np.array([[0, 0, 9, 0], [0, 0, 19, 0], [50, 50, 60, 60]], float)
    order, scores = soft_nms(boxes, np.array([0.5, 0.9, 0.8]))
    assert order.tolist() == [1, 2, 0]
    assert scores.tolist() == pytest.approx([0.9, 0.8, 0.5 * np.exp(-(0.5**2) / 0.5)])


def test_a_reduced_score_below_the_minimum_is_removed_and_an_isolated_low_score_stays():
    boxes = np.array([[0, 0, 9, 9], [0, 0, 9, 9], [50, 50, 60, 60]], float)
    order, _ = soft_nms(boxes, np.array([0.9, 0.005, 0.0005]))
    assert order.tolist() == [0, 2]


def test_boxes_of_negative_size():
    boxes = np.array([[0, 0, 9, 9], [5, 5, 2, 2], [3, 3, 2, 2], [9, 0, 0, 9]], float)
    order, scores = soft_nms(boxes, np.array([0.9, 0.8, 0.7, 0.6]))
    assert sorted(order.tolist()) == [0, 1, 2, 3] and np.isfinite(scores).all()


def test_negative_coordinates_do_not_mix_classes():
    boxes = np.array([[90, 90, 100, 100], [-11, -11, -1, -1]], np.float32)
    left, _ = nms(boxes, np.array([0.9, 0.8]), np.array([0, 1]), 0.5)
    assert sorted(left.tolist()) == [0, 1]


def test_classes_are_independent():
    boxes = np.array([[0, 0, 9, 9]] * 3, np.float32)
    scores, labels = np.array([0.5, 0.9, 0.7], np.float32), np.array([1, 0, 1])
    left, lowered = nms(boxes, scores, labels, "soft")
    found = dict(zip(left.tolist(), lowered.tolist(), strict=True))
    assert found == pytest.approx({0: 0.5 * np.exp(-2), 1: 0.9, 2: 0.7})
    left, lowered = nms(boxes, scores, labels, 0.5)
    assert dict(zip(left.tolist(), lowered.tolist(), strict=True)) == pytest.approx(
        {1: 0.9, 2: 0.7}
    )


def boxes_in_a_row(count: int, seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    corners = rng.uniform(0, 640, (count, 2))
    return np.hstack([corners, corners + rng.uniform(4, 40, (count, 2))]).astype(np.float32)


def test_the_same_boxes_remain_as_by_comparing_all_pairs():
    for seed in range(5):
        boxes = np.vstack([boxes_in_a_row(200, seed), [[0, 0, 640, 640]]])
        scores = np.random.default_rng(seed).random(201).round(2).astype(np.float32)
        kept, _ = nms(boxes, scores, np.zeros(201, int), 0.3)
        expected: list[int] = []
        for i in np.argsort(-scores, kind="stable").tolist():
            if not (box_iou(boxes[i], boxes[expected]) > 0.3).any():
                expected.append(i)
        assert kept.tolist() == expected
        # Soft: every better box reduces the score, also those that were reduced before.
        order, reduced = soft_nms(boxes, scores)
        for place, i in enumerate(order.tolist()):
            better = box_iou(boxes[i], boxes[order[:place]], extra=1)
            assert reduced[place] == pytest.approx(
                scores[i] * np.exp(-np.square(better).sum() / 0.5), abs=1e-5
            )
        assert (np.diff(reduced) <= 0).all()


@pytest.mark.parametrize("method", ["soft", 0.5])
def test_4500_boxes_take_less_than_a_second(method):
    boxes, scores = boxes_in_a_row(4500), np.linspace(1, 0.1, 4500, dtype=np.float32)
    start = process_time()
    kept, _ = nms(boxes, scores, np.zeros(4500, int), method)
    assert process_time() - start < 1 and len(kept) > 1000


@pytest.mark.parametrize("method", ["soft", 0.5])
def test_boxes_that_are_not_finite_change_no_other(method):
    boxes = boxes_in_a_row(50)
    scores = np.linspace(0.9, 0.2, 50, dtype=np.float32)
    kept, _ = nms(boxes, scores, np.zeros(50, int), method)
    boxes[7, 2] = np.nan
    others, _ = nms(np.delete(boxes, 7, 0), np.delete(scores, 7), np.zeros(49, int), method)
    with_nan, _ = nms(boxes, scores, np.zeros(50, int), method)
    assert sorted(set(with_nan.tolist()) - {7}) == sorted(i + (i >= 7) for i in others.tolist())
    assert len(kept) >= 40
