"""Each error type from a hand-made case; the image is the network input, cells have 4 pixels."""

from pathlib import Path

import numpy as np
import pytest

from centernet.analysis import inspector
from centernet.analysis.inspector.error_types import (
    ErrorType,
    Match,
    Objects,
    Peaks,
    Regions,
    box_overlaps,
    classify_errors,
    count_errors,
)

CAT, DOG = 0, 1
BOX = (40, 40, 80, 80)  # its center, (60, 60), is the corner of cell (15, 15)


def shifted(box, x, y=0):
    return (box[0] + x, box[1] + y, box[2] + x, box[3] + y)


def cells_of(boxes):
    return np.floor((boxes[:, :2] + boxes[:, 2:]) / 8).astype(np.int64)


def arrays(things):
    boxes = np.array([thing[1] for thing in things], np.float32).reshape(-1, 4)
    return boxes, np.array([thing[0] for thing in things], np.int64)


def judged(objects=(), peaks=(), regions=(), heat=None, iou=0.5):
    """Objects (label, box); peaks (label, box, score[, cell]), best first; regions (label, box)."""
    boxes, labels = arrays(objects)
    there = Objects(boxes, labels, cells_of(boxes), np.full(len(labels), 2))
    boxes, labels = arrays(peaks)
    cells = cells_of(boxes)
    for i, peak in enumerate(peaks):
        if len(peak) > 3:
            cells[i] = peak[3]
    scores = np.array([peak[2] for peak in peaks], np.float32)
    found = Peaks(boxes, labels, cells, scores)
    heat = np.zeros((2, 40, 40), np.float32) if heat is None else heat
    missed, false = classify_errors(there, found, Regions(*arrays(regions)), heat, iou=iou)
    return missed, false, scores


def test_nothing_gives_nothing():
    assert judged()[:2] == ([], [])


def test_an_object_is_found_and_its_box_is_right():
    (missed,), (false,), scores = judged([(CAT, BOX)], [(CAT, shifted(BOX, 4), 0.9)])
    assert missed == Match(index=0) and false == Match(index=0)
    assert missed.error_at(0.9, scores) is None


def test_below_threshold_depends_on_the_threshold_alone():
    (missed,), _, scores = judged([(CAT, BOX)], [(CAT, BOX, 0.25)])
    assert missed.error_at(0.3, scores) == ErrorType.BELOW_THRESHOLD
    assert missed.error_at(0.25, scores) is None


def test_no_peak_at_all():
    (missed,), _, scores = judged([(CAT, BOX)])
    assert missed.error == ErrorType.NO_PEAK == missed.error_at(0.1, scores)


@pytest.mark.parametrize("neighbor", [shifted(BOX, 0, 1), shifted(BOX, 3)])
def test_two_centers_of_a_class_in_one_cell_or_neighbors_collide(neighbor):
    missed, _, _ = judged([(CAT, BOX), (CAT, neighbor)], [(CAT, BOX, 0.9)])
    assert missed == [Match(index=0), Match(error=ErrorType.COLLIDED, object=0, peak=0)]


def test_centers_of_two_classes_collide_in_one_cell_but_not_in_neighbors():
    small = (55, 55, 65, 65)  # in the same cell, and a cell has but one size
    peaks = [(CAT, BOX, 0.9), (DOG, BOX, 0.8)]
    missed, _, _ = judged([(CAT, BOX), (DOG, small)], peaks)
    assert missed[1].error == ErrorType.COLLIDED
    missed, _, _ = judged([(CAT, BOX), (DOG, shifted(small, 4))], peaks)
    assert missed[1].error == ErrorType.POOR_SIZE


def test_suppressed_by_the_stronger_peak_of_a_neighbor():
    """Heat falls from the neighbor's peak at column 12 through this object's center at 15."""
    neighbor = shifted(BOX, -12)
    heat = np.zeros((2, 40, 40), np.float32)
    heat[CAT, 15, 12:18] = (0.9, 0.7, 0.5, 0.4, 0.2, 0.1)
    objects, peaks = [(CAT, neighbor), (CAT, BOX)], [(CAT, neighbor, 0.9)]
    missed, _, _ = judged(objects, peaks, heat=heat)
    assert missed[1] == Match(error=ErrorType.SUPPRESSED, peak=0, object=0)
    # What is hardly warm is not suppressed: there is nothing.
    missed, _, _ = judged(objects, peaks, heat=heat / 10)
    assert missed[1].error == ErrorType.NO_PEAK


def test_wrong_class_is_said_of_the_object_and_of_the_box():
    (missed,), (false,), _ = judged([(CAT, BOX)], [(DOG, BOX, 0.8)])
    assert missed == Match(error=ErrorType.WRONG_CLASS, peak=0)
    assert false == Match(error=ErrorType.WRONG_CLASS, object=0)


def test_poor_size_is_right_in_place_and_too_large():
    (missed,), (false,), _ = judged([(CAT, BOX)], [(CAT, (20, 20, 100, 100), 0.8)])
    assert missed == Match(error=ErrorType.POOR_SIZE, peak=0)
    assert false == Match(error=ErrorType.POOR_SIZE, object=0)


def test_poor_size_is_told_by_the_peaks_place_where_boxes_hardly_touch():
    (missed,), _, _ = judged([(CAT, BOX)], [(CAT, (58, 58, 62, 62), 0.8)])
    assert missed == Match(error=ErrorType.POOR_SIZE, peak=0)


def test_poor_offset_has_the_right_size_beside_the_object():
    (missed,), (false,), _ = judged([(CAT, BOX)], [(CAT, shifted(BOX, 20), 0.8)])
    assert missed == Match(error=ErrorType.POOR_OFFSET, peak=0)
    assert false == Match(error=ErrorType.POOR_OFFSET, object=0)


def test_a_box_far_away_is_background_and_no_reason_for_a_miss():
    (missed,), (false,), _ = judged([(CAT, BOX)], [(CAT, shifted(BOX, 60), 0.8)])
    assert missed.error == ErrorType.NO_PEAK and false == Match(error=ErrorType.BACKGROUND)


def test_the_second_box_of_an_object_is_a_duplicate():
    peaks = [(CAT, BOX, 0.9), (CAT, shifted(BOX, 4), 0.6), (CAT, (50, 50, 70, 70), 0.5)]
    _, false, _ = judged([(CAT, BOX)], peaks)
    duplicate = Match(error=ErrorType.DUPLICATE, object=0)
    assert false == [Match(index=0), duplicate, duplicate]


def test_a_poor_box_above_the_right_one_is_poor_and_no_duplicate():
    peaks = [(CAT, shifted(BOX, 20), 0.9), (CAT, BOX, 0.6)]
    (missed,), false, _ = judged([(CAT, BOX)], peaks)
    assert missed.index == 1 and false[0].error == ErrorType.POOR_OFFSET


def test_a_box_that_only_touches_a_found_object_is_background():
    """As on an object that nobody annotated, beside one that somebody did."""
    peaks = [(CAT, BOX, 0.9), (CAT, shifted(BOX, 28), 0.6)]
    _, false, _ = judged([(CAT, BOX)], peaks)
    assert false[1].error == ErrorType.BACKGROUND


@pytest.mark.parametrize(
    ("label", "expected"),
    [(CAT, ErrorType.IGNORED), (-1, ErrorType.IGNORED), (DOG, ErrorType.BACKGROUND)],
)
def test_a_box_in_an_ignore_region_of_its_class_or_of_all(label, expected):
    _, (false,), _ = judged([], [(CAT, BOX, 0.9)], [(label, (0, 0, 64, 160))])
    assert false.error == expected


def test_an_object_in_an_ignore_region_is_found_all_the_same():
    (missed,), (false,), _ = judged([(CAT, BOX)], [(CAT, BOX, 0.9)], [(CAT, (0, 0, 160, 160))])
    assert missed.index == false.index == 0


def test_the_best_peak_chooses_first_and_takes_what_it_overlaps_most():
    left, right = BOX, shifted(BOX, 10)
    peaks = [(CAT, shifted(BOX, 8), 0.9), (CAT, shifted(BOX, 9), 0.8)]
    missed, false, _ = judged([(CAT, left), (CAT, right)], peaks)
    assert [v.index for v in false] == [1, 0] and [v.index for v in missed] == [1, 0]


def test_the_overlap_asked_for_decides():
    peaks = [(CAT, shifted(BOX, 10), 0.9)]  # overlaps by 30 / 50
    assert judged([(CAT, BOX)], peaks, iou=0.6)[0][0].index == 0
    assert judged([(CAT, BOX)], peaks, iou=0.61)[0][0].error == ErrorType.POOR_OFFSET


def test_overlaps_of_boxes_and_of_shares():
    boxes, others = np.array([(0, 0, 10, 10)]), np.array([(0, 0, 10, 20), (20, 20, 30, 30)])
    assert box_overlaps(boxes, others).tolist() == [[0.5, 0]]
    assert box_overlaps(boxes, others, is_crowd=True).tolist() == [[1, 0]]
    assert box_overlaps(boxes, np.empty((0, 4))).shape == (1, 0)


def test_reasons_are_counted_the_most_frequent_first():
    given = [ErrorType.POOR_SIZE, None, ErrorType.NO_PEAK, ErrorType.NO_PEAK]
    assert list(count_errors(given).items()) == [(ErrorType.NO_PEAK, 2), (ErrorType.POOR_SIZE, 1)]


def test_the_page_describes_every_error_type():
    script = (Path(inspector.__file__).parent / "matches.js").read_text()
    assert all(f'"{error}"' in script or f" {error}: " in script for error in ErrorType)
