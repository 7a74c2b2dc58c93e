"""Count the confusions of classes in evaluated images."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import supervision as sv
from numpy.typing import NDArray

from centernet import geometry
from centernet.analysis.confusion import confusion_matrix
from centernet.analysis.inspector.overlaps import box_overlaps, match_greedily

if TYPE_CHECKING:
    from centernet.api.evaluation_result import EvaluatedImage
    from centernet.data.compact import ImageAnnotation


def count_confusions(
    images: "Sequence[EvaluatedImage]",
    thresholds: NDArray[np.float64],
    class_names: Sequence[str],
    iou: float,
) -> NDArray[np.int64]:
    """The counts (C + 1, C + 1) of :class:`.ConfusionMatrix`.

    Args:
        images: detections and annotations.
        thresholds: (C,) the score threshold of each class.
        class_names: class names by label.
        iou: minimum IoU of a detection and its object.
    """
    predictions, targets = [], []
    for image in images:
        found, objects = image.arrays, image.annotation
        kept = found["scores"] >= thresholds[found["labels"]]
        boxes, labels = found["boxes"][kept], found["labels"][kept]
        counted = ~_are_ignored(boxes, labels, objects, iou)
        predictions.append(
            sv.Detections(
                xyxy=boxes[counted],
                confidence=found["scores"][kept][counted],
                class_id=labels[counted],
            )
        )
        targets.append(sv.Detections(xyxy=objects.boxes, class_id=objects.labels))
    return confusion_matrix(predictions, targets, class_names, iou)


def _are_ignored(
    boxes: NDArray, labels: NDArray, objects: "ImageAnnotation", iou: float
) -> NDArray[np.bool_]:
    """Whether each detection lies in an ignore region of its class and detects no object, (k,)."""
    if not objects.regions:
        return np.zeros(len(boxes), bool)
    regions = np.array([region["bbox"] for _, region in objects.regions], np.float32)
    of_region = np.array([-1 if label is None else label for label, _ in objects.regions])
    inside = box_overlaps(boxes, geometry.xywh_to_xyxy(regions), is_crowd=True) >= iou
    ignored = (inside & ((of_region < 0) | (of_region == labels[:, None]))).any(1)
    overlap = box_overlaps(boxes, objects.boxes)
    same_class = labels[:, None] == objects.labels
    ignored[list(match_greedily(overlap, same_class, iou).values())] = False
    return ignored
