"""What the preview window shows of a prediction: threshold, class, heatmap."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from centernet.inference.prediction import Prediction
from centernet.inference.video.candidates import MIN_SHOWN_SCORE, merge_candidates, select

# Change of the thresholds by a key.
_STEP = 0.05
_MAX_THRESHOLD = 0.95
# Keys that choose one of the first classes.
_DIGITS = "123456789"


@dataclass
class View:
    """The settings of the preview window, which do not change the written detections.

    Attributes:
        thresholds: (C,) the score threshold of each class, from the command.
        class_names: class names by label.
        has_heatmaps: whether the network has heatmaps.
        steps: how often the thresholds were raised, negative if they were lowered.
        label: the only class to show; None for all classes.
        heatmap: whether the heatmap is shown.
        heatmap_label: the class of the heatmap; None for all classes.
    """

    thresholds: NDArray[np.float64]
    class_names: Sequence[str]
    has_heatmaps: bool
    steps: int = 0
    label: int | None = None
    heatmap: bool = False
    heatmap_label: int | None = None

    def press(self, key: str) -> bool:
        """Change the setting of a key; False if the key has another meaning."""
        if key in ("+", "=", "-", "_"):
            step = 1 if key in ("+", "=") else -1
            before = self._shifted(self.steps)
            self.steps += step * bool((self._shifted(self.steps + step) != before).any())
        elif key == "m":
            self._next_heatmap()
        elif key == "0":
            self.label = None
        elif key and key in _DIGITS:
            label = _DIGITS.index(key)
            self.label = label if label < len(self.class_names) else self.label
        else:
            return False
        return True

    def apply(self, prediction: Prediction) -> Prediction:
        """The prediction with the settings: its detections, and the heatmap as its image."""
        found = prediction.detections
        if self.steps or self.label is not None:
            merged = merge_candidates(prediction, self.thresholds) if self.steps < 0 else found
            class_ids, scores = merged.class_id, merged.confidence
            assert class_ids is not None and scores is not None  # the Detector sets both
            kept = np.ones(len(merged), bool)
            if self.steps:
                kept &= scores >= self._shifted(self.steps)[class_ids]
            if self.label is not None:
                kept &= class_ids == self.label
            prediction = replace(prediction, detections=select(merged, kept))
        if self.heatmap and prediction.heatmaps is not None:
            height = prediction.image.shape[0]
            overlay = prediction.heatmaps.overlay(prediction.image, self.heatmap_label)
            prediction = replace(prediction, image=overlay[:height])
        return prediction

    def describe(self) -> str:
        """The settings in one line."""
        values = self._shifted(self.steps)
        low, high = values.min(initial=1.0), values.max(initial=0.0)
        parts = [f"threshold {low:.2f}" + (f" to {high:.2f}" if high > low else "")]
        if self.label is not None:
            parts.append(f"only {self.class_names[self.label]}")
        if self.heatmap and not self.has_heatmaps:
            parts.append("these weights have no heatmaps")
        elif self.heatmap:
            label = self.heatmap_label
            parts.append(f"heatmap {'all classes' if label is None else self.class_names[label]}")
        return ", ".join(parts)

    def _shifted(self, steps: int) -> NDArray[np.float64]:
        """The thresholds after steps, (C,); those outside of the range of the keys stay."""
        low = np.minimum(self.thresholds, MIN_SHOWN_SCORE)
        high = np.maximum(self.thresholds, _MAX_THRESHOLD)
        return (self.thresholds + steps * _STEP).clip(low, high).round(6)

    def _next_heatmap(self) -> None:
        """Off, all classes, each class; with one class only off and all classes."""
        classes = len(self.class_names) if self.has_heatmaps else 1
        label = -1 if self.heatmap_label is None else self.heatmap_label
        if not self.heatmap:
            self.heatmap, self.heatmap_label = True, None
        elif classes > 1 and label + 1 < classes:
            self.heatmap_label = label + 1
        else:
            self.heatmap, self.heatmap_label = False, None
