"""How the learning rate goes over a training: a linear warm-up, then a cosine or steps."""

import math
from collections.abc import Callable, Sequence

from centernet.errors import InputError

SCHEDULES = ("cosine", "step")


def rate_factor(
    schedule: str,
    *,
    total_steps: int,
    steps_per_epoch: int,
    warmup_steps: int = 0,
    milestones: Sequence[float] = (),
) -> Callable[[int], float]:
    """The factor on the learning rate by step.

    Args:
        schedule: after the warm-up, ``cosine`` goes down to 1 %, ``step`` to a tenth after each
            milestone.
        total_steps: of the whole training.
        steps_per_epoch: of one pass over the data.
        warmup_steps: of the warm-up, at most a tenth of all.
        milestones: epochs after which the step schedule drops; below 1, parts of the training.

    Raises:
        InputError: an unknown schedule.
    """
    if schedule not in SCHEDULES:
        raise InputError(f"unknown schedule {schedule!r}: choose {' or '.join(SCHEDULES)}")
    warmup = min(warmup_steps, total_steps // 10)

    def factor(step: int) -> float:
        if step < warmup:
            return (step + 1) / (warmup + 1)
        if schedule == "cosine":
            progress = min(1.0, (step - warmup) / max(1, total_steps - warmup))
            return 0.01 + 0.99 * (1 + math.cos(math.pi * progress)) / 2
        passed = (step >= m * (steps_per_epoch if m >= 1 else total_steps) for m in milestones)
        return 0.1 ** sum(passed)

    return factor
