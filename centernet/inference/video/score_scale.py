"""One scale for the scores of classes with different score thresholds."""

import numpy as np
from numpy.typing import ArrayLike, NDArray

# The value of a score that equals the threshold of its class.
AT_THRESHOLD = 0.5
# Detections with a lower value mislead a tracker more often than they help it (docs/tracking.md).
LOWEST = 0.2
# Thresholds of 0 and 1 have no logit.
_MARGIN = 1e-3


def rescale(
    scores: NDArray, labels: NDArray[np.integer], thresholds: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Map scores so that the threshold of each class becomes 0.5.

    The map is sigmoid(logit(score) - logit(threshold)): that of a network whose bias for this class
    is shifted until the best threshold is 0.5. It is monotone, keeps 0 and 1, and keeps the ratios
    of odds, so that one value means the same for each class.

    Args:
        scores: (K,) in [0, 1].
        labels: (K,) class of each score.
        thresholds: (C,) score threshold of each class.

    Returns:
        (K,) float64 in [0, 1].
    """
    values = _shift(scores, -_logit(thresholds)[labels])
    # Despite rounding, a score at the threshold is not below it.
    return np.maximum(values, AT_THRESHOLD * (scores >= thresholds[labels]))


def lowest_thresholds(thresholds: NDArray[np.float64]) -> NDArray[np.float64]:
    """The score (C,) of each class that :func:`rescale` maps to :data:`LOWEST`.

    It is the threshold to detect with, for a tracker that continues tracks with weak detections.
    """
    return np.minimum(_shift(LOWEST, _logit(thresholds)), thresholds)


def _shift(scores: ArrayLike, shift: NDArray[np.float64]) -> NDArray[np.float64]:
    """Add to the logit of scores in [0, 1]."""
    scores = np.asarray(scores, np.float64)
    gain = np.exp(shift)
    return scores * gain / (1 - scores + scores * gain)


def _logit(thresholds: NDArray[np.float64]) -> NDArray[np.float64]:
    inner = thresholds.clip(_MARGIN, 1 - _MARGIN)
    return np.log(inner / (1 - inner))
