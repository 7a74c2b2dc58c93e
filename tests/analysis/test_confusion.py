import numpy as np
import pytest
import supervision as sv

from centernet.analysis.confusion import confusion_matrix


def boxes(*given, labels):
    return sv.Detections(
        np.array(given, float), confidence=np.ones(len(given)), class_id=np.array(labels)
    )


@pytest.mark.parametrize(("height", "detected"), [(5, True), (4.9, False)])
def test_an_iou_at_the_minimum_is_a_match(height, detected):
    found, truth = boxes((0, 0, 10, height), labels=[1]), boxes((0, 0, 10, 10), labels=[0])
    matrix = confusion_matrix([found], [truth], ("a", "b"), 0.5)
    missed = [[0, 0, 1], [0, 0, 0], [0, 1, 0]]
    assert matrix.tolist() == ([[0, 1, 0], [0, 0, 0], [0, 0, 0]] if detected else missed)
