"""Average precision with COCO's metrics, computed by faster-coco-eval."""

import csv
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from centernet.data.annotations import DatasetSplit, read_coco
from centernet.decode import DEFAULT_TOP_K
from centernet.evaluation.ground_truth import GroundTruth
from centernet.files import atomic_write

_AREAS = ("small", "medium", "large")


@dataclass(frozen=True)
class Evaluation:
    """COCO metrics of a set of detections.

    Attributes:
        metrics: the twelve COCO metrics by name, in [0, 1]; NaN without objects. See
            :func:`metric_names`.
        per_class: one row per class with ``class``, ``objects`` (in the evaluated images, without
            crowds), ``AP``, ``AP50``, ``AP75``, and the average recall at ``max_detections``.
        max_detections: number of detections per image and class that were evaluated.
        precision: (101, C) precision at IoU 0.5, by recall (0, 0.01, ..., 1) and class, in the
            order of ``per_class``; -1 for a class without objects.
        limit_note: what the limit of detections per image costs; empty if it costs nothing.
    """

    metrics: dict[str, float]
    per_class: list[dict[str, Any]]
    max_detections: int
    precision: NDArray
    limit_note: str = ""

    @property
    def summary(self) -> str:
        """The twelve metrics in the table format of pycocotools."""
        lines = zip(self.metrics.items(), _conditions(self.max_detections), strict=True)
        return "\n".join(
            f" {'Average Precision' if name.startswith('AP') else 'Average Recall':<18} "
            f"({name[:2]}) @[ IoU={iou:<9} | area={area:>6s} | maxDets={limit:>3d} ] = "
            f"{-1 if np.isnan(value) else value:0.3f}"
            for (name, value), (iou, area, limit) in lines
        )

    def save(self, folder: Path) -> None:
        """Write ``metrics.json`` and ``per_class.csv``, each atomically."""
        numbers = {name: None if np.isnan(value) else value for name, value in self.metrics.items()}
        with atomic_write(folder / "metrics.json") as unfinished:
            unfinished.write_text(json.dumps(numbers, indent=2) + "\n")
        place = atomic_write(folder / "per_class.csv")
        with place as unfinished, unfinished.open("w", newline="") as file:
            writer = csv.DictWriter(file, self.per_class[0])
            writer.writeheader()
            writer.writerows(self.per_class)


def metric_names(max_detections: int = DEFAULT_TOP_K) -> tuple[str, ...]:
    """Names of the twelve COCO metrics; one is the average recall at ``max_detections``."""
    return (
        "AP", "AP50", "AP75", *(f"AP_{area}" for area in _AREAS),
        "AR_1", "AR_10", f"AR_{max_detections}", *(f"AR_{area}" for area in _AREAS),
    )  # fmt: skip


def _conditions(limit: int) -> list[tuple[str, str, int]]:
    """IoU, area and detections per image of each of the twelve metrics."""
    all_ious = "0.50:0.95"
    by_area = [(all_ious, area, limit) for area in _AREAS]
    precision = [(iou, "all", limit) for iou in (all_ious, "0.50", "0.75")]
    recall = [(all_ious, "all", count) for count in (1, 10, limit)]
    return [*precision, *by_area, *recall, *by_area]


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
) -> Evaluation:
    """Compute the COCO metrics of detections.

    Detections in crowd and ignore regions are no false positives. Boxes and scores are not rounded.

    Args:
        annotations: a COCO JSON file, a split of a dataset in another format, the content of
            either, or its index.
        results: detections in COCO's result format (see :func:`coco_results`).
        image_ids: the images to evaluate; all by default.
        top_k: the detector's limit of detections per image. COCO evaluates 100 per image and class,
            here max(100, top_k).
    """
    truth = _ground_truth(annotations)
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
    note = _limit_note(truth, image_ids, top_k)
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
