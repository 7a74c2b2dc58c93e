"""Score thresholds: one number, one per class, by class name, or each class's best."""

from collections.abc import Mapping, Sequence
from numbers import Real
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from centernet.errors import InputError
from centernet.suggestions import did_you_mean

# One number, one per class, a dict by class name, or ``best``.
Threshold = ArrayLike | Mapping[str, float]

# As a threshold: for each class the one with the highest F1 score in validation, which the report
# of a training run stores in the weights.
BEST = "best"
# Also for classes that are missing in a dict, and for classes without a best threshold.
DEFAULT_SCORE_THRESHOLD = 0.3


def per_class_thresholds(
    threshold: Threshold, best: Sequence[float | None] | None, class_names: Sequence[str]
) -> NDArray[np.float64]:
    """The threshold of each class.

    Args:
        threshold: one number, one per class, a dict from class names to numbers
            (:data:`DEFAULT_SCORE_THRESHOLD` for the other classes), or ``best``.
        best: the best threshold of each class, None for a class without one; None if the weights
            store none.
        class_names: class names by label.

    Returns:
        (C,) float64.

    Raises:
        InputError: the weights store no best thresholds, a class name is unknown, or a value is
            not a number from 0 to 1.
    """
    values: Any = threshold
    if isinstance(threshold, str):
        values = _best(threshold, best)
    elif isinstance(threshold, Mapping):
        values = _by_name(threshold, class_names)
    return np.broadcast_to(_validated(values, len(class_names)), (len(class_names),))


def _best(word: str, best: Sequence[float | None] | None) -> list[float]:
    if word != BEST:
        raise InputError(f"threshold must be a number or best, got {word!r}")
    if best is None:
        raise InputError(
            "threshold best: these weights store no best thresholds; give a number, or run "
            "`centernet report RUN`, which writes them into RUN/best.ckpt"
        )
    return [DEFAULT_SCORE_THRESHOLD if value is None else value for value in best]


def _by_name(threshold: Mapping[str, Any], class_names: Sequence[str]) -> list[Any]:
    unknown = [name for name in threshold if name not in class_names]
    if unknown:
        hint = did_you_mean(str(unknown[0]), class_names)
        raise InputError(
            f"unknown class {unknown[0]!r} in threshold{hint}: the classes are "
            f"{', '.join(class_names)}"
        )
    return [threshold.get(name, DEFAULT_SCORE_THRESHOLD) for name in class_names]


def _validated(threshold: Any, classes: int) -> NDArray[np.float64]:
    """The thresholds as float64, () or (C,), each from 0 to 1."""
    try:
        values = np.asarray(threshold, dtype=object)
    except (TypeError, ValueError):
        raise InputError(f"threshold must be a number, got {threshold!r}") from None
    for value in values.flat:
        if isinstance(value, bool | np.bool_) or not isinstance(value, Real):
            raise InputError(f"threshold must be a number or best, got {value!r}")
        if not 0 <= float(value) <= 1:
            raise InputError(f"threshold must be between 0 and 1, got {value}")
    if values.shape not in ((), (classes,)):
        got = values.size if values.ndim == 1 else f"shape {values.shape}"
        raise InputError(f"threshold must be one number or {classes}, got {got}")
    return values.astype(np.float64)
