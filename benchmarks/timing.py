"""Compare the CPU time of two functions on a machine that other work shares.

Wall time includes the time in which other programs used the cores. CPU time, user and system of
this process and its finished children, does not; it grows by some ten percent when they occupy
caches and memory. Both sides alternate, so that this affects both.
"""

import resource
from collections.abc import Callable
from dataclasses import dataclass
from statistics import median
from time import perf_counter

Function = Callable[[], object]


@dataclass(frozen=True)
class Cost:
    """Seconds."""

    cpu: float
    wall: float


def cpu_seconds() -> float:
    """CPU time of this process and its finished children so far."""
    usages = (resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return sum(usage.ru_utime + usage.ru_stime for usage in usages)


def cost(function: Function) -> Cost:
    """What one call costs."""
    cpu, wall = cpu_seconds(), perf_counter()
    function()
    return Cost(cpu_seconds() - cpu, perf_counter() - wall)


def median_costs(functions: list[Function], repeats: int, *, warm_up: bool = True) -> list[Cost]:
    """Median cost of each function, called in turn; a warm-up call is not counted."""
    if warm_up:
        for function in functions:
            function()
    rounds = [[cost(function) for function in functions] for _ in range(repeats)]
    return [
        Cost(median(c.cpu for c in costs), median(c.wall for c in costs))
        for costs in zip(*rounds, strict=True)
    ]


def compare(
    name: str,
    ours: Function,
    plain: Function,
    repeats: int,
    *,
    count: int = 1,
    unit: str = "",
    warm_up: bool = True,
) -> float:
    """Print a row: the ratio of CPU times (below 1: ours is faster), and the times.

    Args:
        name: first column.
        ours: the function of the project.
        plain: what it is compared with.
        repeats: calls of each.
        count: units of work in a call; the times are per unit.
        unit: their name.
        warm_up: call each once before the measurement.

    Returns:
        The ratio.
    """
    fast, slow = median_costs([ours, plain], repeats, warm_up=warm_up)
    ratio = fast.cpu / slow.cpu
    times = ", ".join(
        f"{1000 * getattr(fast, kind) / count:.2f} and {1000 * getattr(slow, kind) / count:.2f}"
        for kind in ("cpu", "wall")
    )
    print(f"| {name} | {ratio:.3g} | {times} ms {f'per {unit}' if unit else ''} |", flush=True)
    return ratio


def print_header(title: str) -> None:
    print(f"\n| {title} | CPU time, ratio | ours and plain: CPU time, wall time |\n|---|---|---|")
