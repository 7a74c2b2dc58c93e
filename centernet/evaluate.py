"""COCO's average precision, by pycocotools."""

import contextlib
import csv
import io
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from centernet.annotations import Split, read_coco
from centernet.files import whole

METRICS = (
    "AP", "AP50", "AP75", "AP_small", "AP_medium", "AP_large",
    "AR_1", "AR_10", "AR_100", "AR_small", "AR_medium", "AR_large",
)  # fmt: skip


@dataclass(frozen=True)
class Evaluation:
    """How good detections are.

    Attributes:
        metrics: COCO's twelve numbers by name, in [0, 1]; NaN where there is no such object.
        per_class: one row per class with ``class``, ``objects`` (in the images looked at, not
            counting crowds), ``AP``, ``AP50``, ``AP75``, ``AR_100``.
        summary: the table that pycocotools prints.
        precision: (101, C) at IoU 0.5 by recall (0, 0.01, ..., 1) and class, in the order of
            ``per_class``; -1 for a class without objects.
    """

    metrics: dict[str, float]
    per_class: list[dict[str, Any]]
    summary: str
    precision: NDArray

    def save(self, folder: Path) -> None:
        """Write ``metrics.json`` and ``per_class.csv``, each whole or not at all."""
        numbers = {name: None if np.isnan(value) else value for name, value in self.metrics.items()}
        with whole(folder / "metrics.json") as unfinished:
            unfinished.write_text(json.dumps(numbers, indent=2) + "\n")
        place = whole(folder / "per_class.csv")
        with place as unfinished, unfinished.open("w", newline="") as file:
            writer = csv.DictWriter(file, self.per_class[0])
            writer.writeheader()
            writer.writerows(self.per_class)


def coco_results(
    image_id: Any,
    boxes: NDArray,
    scores: NDArray,
    labels: NDArray,
    category_ids: Sequence[int | None],
) -> list[dict[str, Any]]:
    """Detections of one image in COCO's result format.

    Args:
        image_id: of the annotation file.
        boxes: (K, 4) xyxy in image pixels.
        scores: (K,).
        labels: (K,).
        category_ids: by label; detections of a class that the file does not have (None) are left
            out.
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


def evaluate(
    annotations: str | Path | Split,
    results: Sequence[dict[str, Any]],
    image_ids: Sequence[Any] | None = None,
) -> Evaluation:
    """Compare detections with an annotation file, as COCO does.

    Crowd and ignore regions are neither missed nor false. Nothing is rounded.

    Args:
        annotations: COCO JSON, or a split of a dataset of another format.
        results: detections in COCO's result format (see :func:`coco_results`).
        image_ids: the images to look at; all by default.
    """
    truth = read_coco(annotations)
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        coco = COCOeval(_indexed(truth), _indexed(truth | {"annotations": _found(results)}), "bbox")
        coco.params.imgIds = sorted(coco.params.imgIds if image_ids is None else image_ids)
        coco.evaluate()
        coco.accumulate()
        printed.seek(0)
        printed.truncate()
        coco.summarize()
    metrics = {name: _number(value) for name, value in zip(METRICS, coco.stats, strict=True)}
    # (threshold, recall, class, area, detections)
    precision = coco.eval["precision"][np.isclose(coco.params.iouThrs, 0.5), ..., 0, -1][0]
    return Evaluation(metrics, _per_class(coco, truth), printed.getvalue(), precision)


def average_precision(
    annotations: str | Path | Split, results: Sequence[dict[str, Any]]
) -> dict[str, Any]:
    """AP, AP50 and AP75 of :func:`evaluate` alone, in a fraction of the time.

    Returns:
        The three by name, and ``per_class``, a list of AP by ascending category id; NaN where there
        is no object.
    """
    truth = read_coco(annotations)
    with contextlib.redirect_stdout(io.StringIO()):
        coco = COCOeval(_indexed(truth), _indexed(truth | {"annotations": _found(results)}), "bbox")
        coco.params.areaRng, coco.params.areaRngLbl = coco.params.areaRng[:1], ["all"]
        coco.params.maxDets = coco.params.maxDets[-1:]
        coco.evaluate()
        coco.accumulate()
    precision = coco.eval["precision"][..., 0, 0]
    seen = precision[:, :, (precision > -1).all((0, 1))]
    metrics = {"AP": seen, "AP50": seen[:1], "AP75": seen[5:6]}
    return {name: _mean(values) for name, values in metrics.items()} | {
        "per_class": [_mean(precision[..., i]) for i in range(precision.shape[-1])]
    }


def _found(results: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    return [
        result | {"id": i, "area": result["bbox"][2] * result["bbox"][3], "iscrowd": 0}
        for i, result in enumerate(results, 1)
    ]


def _indexed(content: dict[str, Any]) -> COCO:
    coco = COCO()
    coco.dataset = content
    coco.createIndex()
    return coco


def _per_class(coco: COCOeval, truth: dict[str, Any]) -> list[dict[str, Any]]:
    # precision (threshold, recall, class, area, detections); recall the same without its second
    # axis
    precision, recall = coco.eval["precision"][..., 0, -1], coco.eval["recall"][..., 0, -1]
    thresholds, seen = coco.params.iouThrs, set(coco.params.imgIds)
    rows = []
    for i, category in enumerate(truth["categories"]):
        at = {
            name: precision[np.isclose(thresholds, t), :, i]
            for name, t in (("AP50", 0.5), ("AP75", 0.75))
        }
        objects = [
            a
            for a in truth["annotations"]
            if a["category_id"] == category["id"] and a["image_id"] in seen and not a["iscrowd"]
        ]
        rows.append(
            {
                "class": str(category["name"]),
                "objects": len(objects),
                "AP": _mean(precision[:, :, i]),
                **{name: _mean(values) for name, values in at.items()},
                "AR_100": _mean(recall[:, i]),
            }
        )
    return rows


def _mean(values: NDArray) -> float:
    return _number(values.mean()) if values.size and (values > -1).all() else float("nan")


def _number(value: float) -> float:
    """COCO's -1 means that there was nothing to find."""
    return float("nan") if value < 0 else float(value)
