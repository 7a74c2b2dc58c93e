import numpy as np
import pytest
from fakes import picture, spot_detector

from centernet.inference.video.candidates import (
    candidate_thresholds,
    keep_candidates,
    merge_candidates,
)
from centernet.inference.video.view import View

NAMES = ("red", "blue", "white")
THRESHOLDS = np.full(3, 0.5)
# A full red spot, a full blue one, and half of a red one, which scores 0.12.
HALF = picture(("red", 40, 64), ("blue", 100, 8), ("red", 8, 100))
HALF[100:104, 8:12, 0] = 102


def predict(thresholds=THRESHOLDS):
    low = spot_detector().predict(HALF, threshold=candidate_thresholds(thresholds))
    return keep_candidates(low, thresholds)


def shown(view, prediction=None):
    found = view.apply(prediction or predict()).objects
    return [(one.class_name, round(one.score, 2)) for one in found]


def view(**settings):
    return View(THRESHOLDS, NAMES, True, **settings)


def press(view, keys):
    for key in keys:
        assert view.press(key)
    return view


def test_candidates_are_apart_from_the_detections():
    prediction = predict()
    assert len(prediction.detections) == 2 and len(prediction.candidates) == 3
    again = spot_detector().predict(HALF, threshold=THRESHOLDS)
    np.testing.assert_array_equal(prediction.detections.xyxy, again.detections.xyxy)
    assert not prediction.truncated


def test_without_settings_the_prediction_is_shown_as_it_is():
    prediction = predict()
    assert view().apply(prediction) is prediction


def test_a_lower_threshold_shows_candidates_and_a_higher_one_fewer():
    assert shown(press(view(), "-" * 8)) == [("red", 1.0), ("blue", 1.0), ("red", 0.12)]
    assert shown(press(view(), "-" * 7)) == [("red", 1.0), ("blue", 1.0)]
    prediction = predict(np.full(3, 0.1))
    low = View(np.full(3, 0.1), NAMES, True)
    assert len(shown(low, prediction)) == 3 and len(shown(press(low, "+"), prediction)) == 2


def test_thresholds_stay_within_their_range():
    lowest = press(view(), "-" * 30)
    assert "threshold 0.05" in lowest.describe() and lowest.steps == -9
    assert "threshold 0.10" in press(lowest, "+").describe()
    assert "threshold 0.95" in press(view(), "=" * 30).describe()
    mixed = View(np.array([0.2, 0.6, 0.6]), NAMES, True)
    assert "threshold 0.15 to 0.55" in press(mixed, "_").describe()


def test_digits_choose_a_class():
    assert shown(press(view(), "2")) == [("blue", 1.0)]
    assert "only blue" in press(view(), "2").describe()
    assert len(shown(press(view(), "20"))) == 2
    assert press(view(), "1").label == 0 and press(view(), "9").label is None  # three classes


def test_m_goes_through_the_heatmaps():
    seen = view()
    order = []
    for _ in range(6):
        order.append((seen.heatmap, seen.heatmap_label))
        seen.press("m")
    assert order == [(False, None), (True, None), (True, 0), (True, 1), (True, 2), (False, None)]
    image = predict().image
    heat = press(view(), "m").apply(predict()).image
    assert heat.shape == image.shape and (heat != image).any()
    assert "heatmap red" in press(view(), "mm").describe()


def test_a_network_without_heatmaps_says_so():
    seen = press(View(THRESHOLDS, NAMES, False), "m")
    assert "no heatmaps" in seen.describe() and not press(seen, "m").heatmap


@pytest.mark.parametrize("key", ["", " ", "q", "h", "x", "ä"])
def test_other_keys_are_not_settings(key):
    assert not view().press(key)


def test_candidates_have_no_track():
    prediction = predict()
    prediction.detections.tracker_id = np.array([7, 8])
    prediction.detections.data["speed"] = np.array([1.5, 2.5])
    merged = merge_candidates(prediction, THRESHOLDS)
    assert merged.tracker_id.tolist() == [7, 8, -1]
    assert merged.data["speed"].tolist() == [1.5, 2.5, 0.0]
    assert merged.data["class_name"].tolist() == ["red", "blue", "red"]
