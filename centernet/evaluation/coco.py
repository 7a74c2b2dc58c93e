"""Average precision with COCO's metrics, computed by faster-coco-eval."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from centernet.data.annotations import DatasetSplit, read_coco
from centernet.decode import DEFAULT_TOP_K
from centernet.evaluation.ground_truth import GroundTruth
from centernet.evaluation.metrics import Evaluation, metric_names
from centernet.evaluation.points import evaluate_points


def coco_results(
    image_id: Any,
    boxes: NDArray,
    scores: NDArray,
    labels: NDArray,
    category_ids: Sequence[int | None],
) -> list[dict[str, Any]]:
    """Convert the detections of one image to COCO's result format.

    Args:
        image_id: the id in the annotation file.
        boxes: (K, 4) xyxy in image pixels.
        scores: (K,).
        labels: (K,).
        category_ids: category id by label; None for a class that the annotation file does not have,
            whose detections are dropped.
    """
    return [
        {
            "image_id": image_id,
            "category_id": category_ids[label],
            "bbox": [x1, y1, x2 - x1, y2 - y1],
            "score": score,
        }
        for (x1, y1, x2, y2), score, label in zip(
            boxes.tolist(), scores.tolist(), labels.tolist(), strict=True
        )
        if category_ids[label] is not None
    ]


Annotations = str | Path | DatasetSplit | Mapping[str, Any] | GroundTruth


def evaluate(
    annotations: Annotations,
    results: Sequence[Mapping[str, Any]],
    image_ids: Sequence[Any] | None = None,
    *,
    top_k: int = DEFAULT_TOP_K,
    centers: bool | None = None,
) -> Evaluation:
    """Compute the COCO metrics of detections, or those of their centers.

    Detections in crowd and ignore regions are no false positives. Boxes and scores are not rounded.
    Of boxes and points, only the boxes are evaluated, see :class:`.GroundTruth`.

    Args:
        annotations: a COCO JSON file, a split of a dataset in another format, the content of
            either, or its index.
        results: detections in COCO's result format (see :func:`coco_results`).
        image_ids: the images to evaluate; all by default.
        top_k: the detector's limit of detections per image. COCO evaluates 100 per image and class,
            here max(100, top_k).
        centers: compute the metrics of :func:`.evaluate_points`; by default if all objects are
            points.
    """
    truth = _ground_truth(annotations)
    note = _limit_note(truth, image_ids, top_k)
    if truth.has_points_only if centers is None else centers:
        return evaluate_points(truth, results, image_ids, limit_note=note)
    limit = max(DEFAULT_TOP_K, top_k)
    coco = truth.average_precision(results, image_ids, (1, 10, limit))
    # precision: (IoU, recall, class, area, limit); recall: (IoU, class, area, limit)
    precision, recall = coco.eval["precision"], coco.eval["recall"]
    at = [np.isclose(coco.params.iouThrs, iou) for iou in (0.5, 0.75)]
    everywhere = precision[..., 0, -1]
    values = [
        *(everywhere, everywhere[at[0]], everywhere[at[1]]),
        *(precision[..., area, -1] for area in (1, 2, 3)),
        *(recall[..., 0, i] for i in range(3)),
        *(recall[..., area, -1] for area in (1, 2, 3)),
    ]
    names = metric_names(limit)
    metrics = {name: _mean(value) for name, value in zip(names, values, strict=True)}
    per_class = [
        {
            "class": str(category["name"]),
            "objects": int(count),
            "AP": _mean(everywhere[:, :, i]),
            "AP50": _mean(everywhere[at[0], :, i]),
            "AP75": _mean(everywhere[at[1], :, i]),
            f"AR_{limit}": _mean(recall[:, i, 0, -1]),
        }
        for i, (category, count) in enumerate(
            zip(truth.categories, truth.counts(image_ids), strict=True)
        )
    ]
    return Evaluation(metrics, per_class, limit, everywhere[at[0]][0], note)


def _limit_note(truth: GroundTruth, image_ids: Sequence[Any] | None, top_k: int) -> str:
    images, most = truth.densest(image_ids, top_k)
    if not images:
        return ""
    return (
        f"the limit top_k {top_k} lowers the AP: {images} of the images have more objects than "
        f"that, up to {most}; raise it: --model.test.top_k in fit and validate, --top-k elsewhere"
    )


def average_precision(
    annotations: Annotations,
    results: Sequence[Mapping[str, Any]],
    *,
    top_k: int = DEFAULT_TOP_K,
) -> dict[str, Any]:
    """Compute only AP, AP50 and AP75 of :func:`evaluate`, which is faster.

    Returns:
        The three by name, and ``per_class``, a list of AP by ascending category id; NaN for a class
        without objects.
    """
    limits = (max(DEFAULT_TOP_K, top_k),)
    coco = _ground_truth(annotations).average_precision(results, None, limits, areas=False)
    precision = coco.eval["precision"][..., 0, 0]
    metrics = {"AP": precision, "AP50": precision[:1], "AP75": precision[5:6]}
    return {name: _mean(values) for name, values in metrics.items()} | {
        "per_class": [_mean(precision[..., i]) for i in range(precision.shape[-1])]
    }


def _ground_truth(annotations: Annotations) -> GroundTruth:
    if isinstance(annotations, GroundTruth):
        return annotations
    if isinstance(annotations, Mapping):
        return GroundTruth(annotations)
    return GroundTruth(read_coco(annotations))


def _mean(values: NDArray) -> float:
    """The mean over all classes with objects; COCO marks the others with -1."""
    known = values[values > -1]
    return float(known.mean()) if known.size else float("nan")
