"""Confusion matrices: how often each annotated class is detected as each class."""

from collections.abc import Sequence

import numpy as np
import supervision as sv
from numpy.typing import NDArray

# IoU of equal squares that are about half their side apart: correct for points.
IOU_OF_POINTS = 1 / 3


def confusion_matrix(
    detections: Sequence[sv.Detections],
    objects: Sequence[sv.Detections],
    class_names: Sequence[str],
    iou: float,
) -> NDArray[np.int64]:
    """The matrix (C + 1, C + 1): annotated class by row, detected class by column.

    The last column counts missed objects, the last row detections without an object.

    Args:
        detections: the detections of each image that count.
        objects: the annotated objects of each image.
        class_names: class names by label.
        iou: minimum IoU of a detection and its object.
    """
    # supervision needs an IoU above the threshold, in float32; COCO accepts an equal one.
    below = float(np.nextafter(np.float32(iou), np.float32(0)))
    matrix = sv.ConfusionMatrix.from_detections(
        list(detections), list(objects), list(class_names), conf_threshold=0, iou_threshold=below
    )
    return matrix.matrix.astype(np.int64)
