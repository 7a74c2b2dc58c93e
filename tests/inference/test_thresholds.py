import numpy as np
import pytest
import torch
from fakes import checkpoint, picture, spot_detector

from centernet import Detector
from centernet.errors import InputError
from centernet.inference.thresholds import per_class_thresholds
from centernet.models.checkpoints import DESCRIPTION, description

NAMES = ("cat", "dog", "crosswalk")


@pytest.mark.parametrize(
    ("threshold", "values"),
    [
        (0.4, [0.4, 0.4, 0.4]),
        (1, [1, 1, 1]),
        (np.float32(0.5), [0.5, 0.5, 0.5]),
        (torch.tensor(0.5), [0.5, 0.5, 0.5]),
        ([0.1, 0.2, 0], [0.1, 0.2, 0]),
        (np.array([0.1, 0.2, 0.3]), [0.1, 0.2, 0.3]),
        (torch.tensor([0.25, 0.5, 1]), [0.25, 0.5, 1]),
        ({}, [0.3, 0.3, 0.3]),
        ({"crosswalk": 0.2}, [0.3, 0.3, 0.2]),
        ({"dog": 0, "cat": 1}, [1, 0, 0.3]),
    ],
)
def test_one_number_one_per_class_or_by_name(threshold, values):
    found = per_class_thresholds(threshold, None, NAMES)
    assert found.dtype == np.float64 and found.tolist() == values


def test_best_is_each_classs_own_and_the_usual_one_where_it_is_not_known():
    assert per_class_thresholds("best", (0.5, None), ("cat", "dog")).tolist() == [0.5, 0.3]


@pytest.mark.parametrize(
    ("threshold", "said"),
    [
        ("best", "centernet report RUN"),
        ("most", "'most'"),
        ([0.1, 0.2], "one number or 3, got 2"),
        (-0.5, "between 0 and 1, got -0.5"),
        ([0.1, np.nan, 2], "between 0 and 1, got nan"),
        (np.inf, "between 0 and 1, got inf"),
        (None, "got None"),
        (True, "got True"),
        (np.True_, "got .*True"),
        ([0.1, True, 0.2], "got True"),
        (["a", "b", "c"], "got 'a'"),
        ([[0.1, 0.2, 0.3]], r"one number or 3, got shape \(1, 3\)"),
        ([[0.1], [0.2, 0.3]], r"got \[0.1\]"),
        ([], "one number or 3, got 0"),
        (1j, "got 1j"),
        ({"cow": 0.5}, "'cow'.*cat, dog, crosswalk"),
        ({0: 0.5}, "0.*cat, dog, crosswalk"),
        ({"cat": None}, "got None"),
        ({"cat": "0.5"}, "got '0.5'"),
        ({"cat": 2}, "between 0 and 1, got 2"),
    ],
)
def test_what_is_no_threshold_is_said(threshold, said):
    with pytest.raises(InputError, match=said) as error:
        per_class_thresholds(threshold, None, NAMES)
    assert "\n" not in str(error.value)


def test_a_checkpoint_remembers_them(tmp_path):
    content = checkpoint()
    content[DESCRIPTION]["thresholds"] = [0.6, None]
    torch.save(content, tmp_path / "w.ckpt")
    detector = Detector.load(tmp_path / "w.ckpt", device="cpu")
    assert detector.thresholds("best").tolist() == [0.6, 0.3]
    assert description(detector.network, None)["thresholds"] == [0.6, None]


def test_the_detector_heeds_the_threshold_of_each_class():
    detector = spot_detector(thresholds=(0.999999, 0.5, None))
    image = picture(("red", 40, 40), ("blue", 80, 80), ("white", 20, 100))
    assert set(detector(image)["class_name"]) == {"red", "blue", "white"}
    assert set(detector(image, threshold="best")["class_name"]) == {"blue", "white"}
    only_blue = {"red": 1, "white": 1}
    assert set(detector(image, threshold=only_blue)["class_name"]) == {"blue"}
    assert set(detector.batch([image], threshold=only_blue)[0]["class_name"]) == {"blue"}
    (batch,) = detector.batch([image], threshold="best")
    assert set(batch["class_name"]) == {"blue", "white"}
    peaks = detector.heatmaps(image).peaks(detector.thresholds("best"))
    assert np.unique(peaks["label"]).tolist() == [1, 2]
