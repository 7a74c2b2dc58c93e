"""The least score of a detection: one number, or the best one of each class."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

from centernet.errors import InputError

# As a threshold: each class's own, which the report of a training found (F1 is highest there).
BEST = "best"
# Of a class whose best threshold is not known, and where none is given.
USUAL = 0.3


def by_label(
    threshold: ArrayLike, best: Sequence[float | None] | None, classes: int
) -> NDArray[np.float64]:
    """The threshold of each class.

    Args:
        threshold: one number, one per class, or ``best``.
        best: the best ones by label, where the weights know them; None for a class without one.
        classes: their number.

    Returns:
        (C,) float64.

    Raises:
        InputError: ``best`` is not known, or it is not a number from 0 to 1 or one per class.
    """
    if isinstance(threshold, str):
        if threshold != BEST:
            raise InputError(f"threshold must be a number or best, got {threshold!r}")
        if best is None:
            raise InputError(
                "these weights do not know their best thresholds: give a number, or run "
                "`centernet report RUN`, which finds them and writes them into RUN/best.ckpt"
            )
        threshold = [USUAL if value is None else value for value in best]
    values = np.asarray(threshold, np.float64)
    if values.shape not in ((), (classes,)):
        raise InputError(f"threshold must be one number or {classes}, got {values.size}")
    wrong = values[~((values >= 0) & (values <= 1))]
    if wrong.size:
        raise InputError(f"threshold must be between 0 and 1, got {wrong[0]}")
    return np.broadcast_to(values, (classes,))
