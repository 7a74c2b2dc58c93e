import numpy as np
import pytest

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
