"""Logits to probabilities, and back, for arrays."""

import numpy as np
from numpy.typing import NDArray


def sigmoid(logits: NDArray) -> NDArray:
    """The probabilities of logits."""
    with np.errstate(over="ignore"):
        return np.reciprocal(1 + np.exp(-logits))


def logit(probabilities: NDArray) -> NDArray:
    """The logits of probabilities; infinite at 0 and 1."""
    with np.errstate(divide="ignore"):
        return np.log(probabilities) - np.log1p(-probabilities)
