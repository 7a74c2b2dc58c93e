"""How probable it is that a peak is a real object, from its score and its surroundings.

The model is a logistic regression of "an annotation supports the peak" on what is known about the
peak. Annotators miss some objects, so the probability of an annotation ends at ``1 - missed``
instead of 1; fitting that curve by expectation maximization gives the probability of an object.
"""

import numpy as np
from numpy.typing import NDArray

from centernet.analysis.inspector.error_types import Peaks, box_overlaps
from centernet.inference.probabilities import logit, sigmoid

# Scores are clipped to this distance from 0 and 1.
_MARGIN = 1e-4
# Pixels between a box and the border of the image that it touches.
_BORDER = 3
_RIDGE, _ROUNDS, _STEPS = 1e-4, 10, 8


def peak_features(peaks: Peaks, size: tuple[int, int]) -> NDArray[np.float64]:
    """What tells whether annotators annotate a peak, (k, 4).

    Logit of the score, whether the box touches the border of the image, logarithm of its area, and
    the highest IoU with a stronger peak's box. Objects that are cut, small or hidden are often not
    annotated on purpose.

    Args:
        peaks: peaks of an image.
        size: (height, width) of the image.
    """
    scores = peaks.scores.clip(_MARGIN, 1 - _MARGIN)
    sides = peaks.boxes[:, 2:] - peaks.boxes[:, :2]
    border = (peaks.boxes[:, :2] < _BORDER) | (peaks.boxes[:, 2:] > np.array(size)[::-1] - _BORDER)
    overlap = np.triu(box_overlaps(peaks.boxes, peaks.boxes), 1)  # best first
    return np.column_stack(
        [
            logit(scores),
            border.any(1),
            np.log(sides.prod(1).clip(1)),
            overlap.max(0, initial=0),
        ]
    ).astype(np.float64)


class Reliability:
    """The fitted curve of one class.

    Attributes:
        weights: of the standardized features, and the intercept.
    """

    def __init__(self, features: NDArray, supported: NDArray[np.bool_], missed: float) -> None:
        """Fit the curve.

        Args:
            features: (k, d) of :func:`peak_features`.
            supported: (k,) whether an annotation supports the peak.
            missed: share of the real objects whose peaks no annotation supports, in [0, 1).
        """
        self._mean, self._scale = features.mean(0), features.std(0) + 1e-9
        inputs = self._standardize(features)
        self.weights = np.zeros(inputs.shape[1])
        real = supported.astype(float)
        for _ in range(_ROUNDS):
            self.weights = _fit_logistic(inputs, real, self.weights)
            chance = sigmoid(inputs @ self.weights)
            unannotated = chance * missed / (chance * missed + 1 - chance)
            real = np.where(supported, 1.0, unannotated)

    def is_real(self, features: NDArray) -> NDArray[np.float64]:
        """Probability that each peak is a real object, (k,)."""
        return sigmoid(self._standardize(features) @ self.weights)

    def _standardize(self, features: NDArray) -> NDArray:
        return np.column_stack([(features - self._mean) / self._scale, np.ones(len(features))])


def _fit_logistic(inputs: NDArray, targets: NDArray, weights: NDArray) -> NDArray:
    """Ridge logistic regression on targets in [0, 1] by Newton's method; the last is intercept."""
    ridge = _RIDGE * np.diag([*np.ones(len(weights) - 1), 1e-6])
    for _ in range(_STEPS):
        chance = sigmoid(inputs @ weights)
        gradient = inputs.T @ (chance - targets) / len(targets) + ridge @ weights
        curvature = (inputs.T * (chance * (1 - chance))) @ inputs / len(targets) + ridge
        weights = weights - np.linalg.solve(curvature, gradient)
    return weights
