"""The result of an evaluation: metrics, classes, and the confusion matrix."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from centernet.errors import InputError
from centernet.inference.thresholds import (
    DEFAULT_SCORE_THRESHOLD,
    Threshold,
    per_class_thresholds,
)

if TYPE_CHECKING:
    import supervision as sv

    from centernet.data.compact import ImageAnnotation
    from centernet.evaluation.metrics import Evaluation

_AXES = {"annotated": 1, "detected": 0}


@dataclass(frozen=True)
class EvaluatedImage:
    """The detections and the annotations of an image, in its pixels.

    Attributes:
        path: image file.
        detections: all detections, best first; no threshold is applied.
        annotation: objects and ignore regions.
    """

    path: Path
    detections: "sv.Detections"
    annotation: "ImageAnnotation"

    @property
    def arrays(self) -> dict[str, NDArray]:
        """``boxes`` (K, 4), ``scores`` (K,) and ``labels`` (K,) of the detections."""
        found = self.detections
        assert found.confidence is not None and found.class_id is not None
        return {"boxes": found.xyxy, "scores": found.confidence, "labels": found.class_id}


@dataclass(frozen=True)
class ConfusionMatrix:
    """How often each annotated class is detected as each class.

    Attributes:
        counts: (C + 1, C + 1) int64, annotated class by row, detected class by column. The last
            column counts missed objects, the last row detections without an object.
        class_names: class names by label.
        caption: the score thresholds and the IoU.
    """

    counts: NDArray[np.int64]
    class_names: tuple[str, ...]
    caption: str

    def normalized(self, by: str = "annotated") -> NDArray[np.float64]:
        """The counts as fractions, (C + 1, C + 1); 0 in a row or column without any.

        Args:
            by: ``annotated`` divides by the sum of each row (the diagonal is the recall),
                ``detected`` by the sum of each column (the diagonal is the precision).

        Raises:
            InputError: ``by`` is another word.
        """
        if by not in _AXES:
            raise InputError(f"by must be {' or '.join(_AXES)}, got {by!r}")
        return self.counts / np.maximum(self.counts.sum(_AXES[by], keepdims=True), 1)

    def to_dict(self) -> dict[str, Any]:
        """``classes``, with ``background`` as the last one, ``counts`` as lists, ``caption``."""
        names = [*self.class_names, "background"]
        return {"classes": names, "counts": self.counts.tolist(), "caption": self.caption}

    def _repr_html_(self) -> str:
        """The picture of the matrix, for a notebook."""
        from centernet.api.pages import confusion_html

        return confusion_html(self)


@dataclass(frozen=True)
class EvaluationResult:
    """The result of :func:`centernet.evaluate`.

    >>> result.metrics["AP50"], result.per_class[0]                     # doctest: +SKIP
    >>> result.confusion().normalized()                                 # doctest: +SKIP
    >>> print(result)                                                   # doctest: +SKIP

    Attributes:
        source: the evaluated annotations.
        class_names: class names by label.
        evaluation: the metrics as ``validate`` computes them.
        results: the detections in COCO's result format.
        images: detections and annotations of each image.
        best_thresholds: the best score threshold of each class, if the weights store them.
    """

    source: str
    class_names: tuple[str, ...]
    evaluation: "Evaluation"
    results: list[dict[str, Any]]
    images: Sequence[EvaluatedImage]
    best_thresholds: Sequence[float | None] | None = None

    @property
    def metrics(self) -> dict[str, float]:
        """The twelve COCO metrics by name, as ``AP``, ``AP50``, ``AR_100``; NaN if not defined.

        For points, those of :class:`.PointEvaluation`.
        """
        return self.evaluation.metrics

    @property
    def per_class(self) -> list[dict[str, Any]]:
        """One row per class: ``class``, ``objects``, ``AP``, ``AP50``, ``AP75``, ``AR_100``."""
        return self.evaluation.per_class

    @property
    def note(self) -> str:
        """What a reader of the metrics should know; empty for nothing."""
        return self.evaluation.note

    def confusion(
        self, threshold: Threshold = DEFAULT_SCORE_THRESHOLD, *, iou: float | None = None
    ) -> ConfusionMatrix:
        """The confusion matrix of the detections that reach a score threshold.

        Detections in ignore regions are left out.

        Args:
            threshold: as for :class:`centernet.Detector`.
            iou: minimum IoU of a detection and its object; by default 0.5, for points 1/3, the
                IoU of squares that are a quarter of their diagonal apart.

        Raises:
            InputError: the threshold is wrong, or ``iou`` is not between 0 and 1.
        """
        from centernet.analysis.confusion import IOU_OF_POINTS
        from centernet.api.confusion import count_confusions
        from centernet.evaluation.points import PointEvaluation

        if iou is None:
            iou = IOU_OF_POINTS if isinstance(self.evaluation, PointEvaluation) else 0.5
        if not 0 < iou < 1:
            raise InputError(f"iou must be above 0 and below 1, got {iou}")
        thresholds = per_class_thresholds(threshold, self.best_thresholds, self.class_names)
        counts = count_confusions(self.images, thresholds, self.class_names, iou)
        return ConfusionMatrix(counts, self.class_names, _caption(thresholds, iou))

    def to_dict(self) -> dict[str, Any]:
        """The metrics, the table of the classes and the confusion matrix as plain values.

        Values that are not defined are None, as in ``metrics.json``.
        """
        return {
            "source": self.source,
            "images": len(self.images),
            "metrics": _without_nan(self.metrics),
            "per_class": [_without_nan(row) for row in self.per_class],
            "confusion": self.confusion().to_dict(),
        }

    def __repr__(self) -> str:
        values = ", ".join(f"{n} {self.metrics[n]:.3f}" for n in self.evaluation.headline)
        return f"EvaluationResult({self.source}, {len(self.images)} images: {values})"

    def __str__(self) -> str:
        return self.evaluation.summary

    def _repr_html_(self) -> str:
        """The metrics, the classes and the confusion matrix, for a notebook."""
        from centernet.api.pages import evaluation_html

        return evaluation_html(self)


def _without_nan(values: Mapping[str, Any]) -> dict[str, Any]:
    return {
        name: None if isinstance(value, float) and np.isnan(value) else value
        for name, value in values.items()
    }


def _caption(thresholds: NDArray[np.float64], iou: float) -> str:
    lowest, highest = thresholds.min(initial=1), thresholds.max(initial=0)
    spread = f"{lowest:.2g}" if lowest == highest else f"{lowest:.2g} to {highest:.2g}"
    return f"score threshold {spread}, IoU {iou:.2g}"
