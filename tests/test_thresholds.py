import numpy as np
import pytest
import torch
from doubles import checkpoint, picture, spot_detector

from centernet import Detector
from centernet.checkpoints import DESCRIPTION, description
from centernet.errors import InputError
from centernet.thresholds import by_label


def test_one_number_is_for_all_classes():
    assert by_label(0.4, None, 3).tolist() == [0.4, 0.4, 0.4]
    assert by_label([0.1, 0.2], None, 2).tolist() == [0.1, 0.2]


def test_best_is_each_classs_own_and_the_usual_one_where_it_is_not_known():
    assert by_label("best", (0.5, None), 2).tolist() == [0.5, 0.3]


@pytest.mark.parametrize(
    ("threshold", "said"),
    [
        ("best", "centernet report RUN"),
        ("most", "'most'"),
        ([0.1, 0.2], "one number or 3, got 2"),
        (-0.5, "between 0 and 1, got -0.5"),
        ([0.1, np.nan, 2], "between 0 and 1, got nan"),
    ],
)
def test_what_is_no_threshold_is_said(threshold, said):
    with pytest.raises(InputError, match=said):
        by_label(threshold, None, 3)


def test_a_checkpoint_remembers_them(tmp_path):
    content = checkpoint()
    content[DESCRIPTION]["thresholds"] = [0.6, None]
    torch.save(content, tmp_path / "w.ckpt")
    detector = Detector.load(tmp_path / "w.ckpt", device="cpu")
    assert detector.thresholds("best").tolist() == [0.6, 0.3]
    assert description(detector.network, None)["thresholds"] == [0.6, None]


def test_the_detector_heeds_the_threshold_of_each_class():
    detector = spot_detector()
    detector.network.thresholds = (0.999999, 0.5, None)
    image = picture(("red", 40, 40), ("blue", 80, 80), ("white", 20, 100))
    assert set(detector(image)["class_name"]) == {"red", "blue", "white"}
    assert set(detector(image, threshold="best")["class_name"]) == {"blue", "white"}
    (batch,) = detector.batch([image], threshold="best")
    assert set(batch["class_name"]) == {"blue", "white"}
    peaks = detector.heatmaps(image).peaks(detector.thresholds("best"))
    assert np.unique(peaks["label"]).tolist() == [1, 2]
