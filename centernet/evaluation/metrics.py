"""The metrics of a set of detections."""

import csv
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from centernet.decode import DEFAULT_TOP_K
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

    # The most important metrics; best.ckpt is chosen by the first.
    headline: ClassVar[tuple[str, ...]] = ("AP", "AP50", "AP75")
    # What a correct detection needs, for plots.
    criterion: ClassVar[str] = "IoU 0.5"

    @property
    def note(self) -> str:
        """What a reader of the metrics should know; empty for nothing."""
        return self.limit_note

    @property
    def numbers(self) -> dict[str, float]:
        """The metrics that are known; without objects the first of ``headline`` is 0."""
        known = {name: value for name, value in self.metrics.items() if not np.isnan(value)}
        return {self.headline[0]: 0.0} | known

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


# The metric that chooses best.ckpt, by kind of evaluation.
MAIN_METRICS = ("AP", "AP_points")
