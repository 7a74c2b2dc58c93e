"""How CPU time grows with objects, classes and pixels: exponents, and one plot.

An exponent of 1 is linear growth. It is fitted to the larger half of the sizes, where constant
costs matter least.
"""

from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
import torch
from speed_parts import random_targets
from speed_runs import bare_forward, make_network, random_batch
from timing import median_costs

from centernet.decode import decode
from centernet.losses import CenterNetLoss
from centernet.targets import encode_targets

PICTURE = Path(__file__).parents[1] / "docs" / "images" / "speed_growth.png"
OBJECTS = (1, 3, 10, 30, 100, 300, 1000)
CLASSES = (1, 3, 10, 30, 100, 300, 1000)
SIDES = (256, 384, 512, 768, 1024, 1536)

Task = Callable[[], object]


def _encode(objects: int, classes: int, side: int) -> Task:
    shape = (1, classes, side // 4, side // 4)
    targets = random_targets(1, objects, classes, side)
    out = encode_targets(targets, shape)
    return lambda: encode_targets(targets, shape, out=out)


def _loss(objects: int, classes: int, side: int) -> Task:
    shape = (1, classes, side // 4, side // 4)
    targets = encode_targets(random_targets(1, objects, classes, side), shape)
    loss = CenterNetLoss(box_head="sides")
    outputs = {
        "heatmap": (torch.randn(shape) - 2).requires_grad_(),
        "sides": (torch.rand(1, 4, *shape[2:]) + 1).requires_grad_(),
    }
    return lambda: loss([outputs], targets)["loss"].backward()


def _decode(top_k: int, classes: int, side: int) -> Task:
    outputs = {
        "heatmap": torch.randn(1, classes, side // 4, side // 4) - 4,
        "sides": torch.rand(1, 4, side // 4, side // 4),
    }
    return lambda: decode(outputs, top_k=top_k)


def _network(_: int, __: int, side: int) -> Task:
    return partial(bare_forward, make_network().eval(), random_batch(1, (side, side)))


# By what grows: the sizes, and the tasks with (objects, classes, side) of each size.
SERIES = {
    "objects": (OBJECTS, lambda n: (n, 3, 512), (_encode, _loss, _decode)),
    "classes": (CLASSES, lambda n: (20, n, 256), (_encode, _loss, _decode)),
    "pixels": (SIDES, lambda n: (20, 3, n), (_encode, _loss, _decode, _network)),
}


def exponent(sizes: np.ndarray, seconds: np.ndarray) -> float:
    """Slope of log(seconds) over log(sizes) in the larger half."""
    half = len(sizes) // 2
    return float(np.polyfit(np.log(sizes[half:]), np.log(seconds[half:]), 1)[0])


def measure_growth(repeats: int) -> None:
    curves = {}
    print("| CPU time grows with | of | exponent | from | to |\n|---|---|---|---|---|")
    for what, (sizes, arguments, makers) in SERIES.items():
        x = np.array(sizes, float) ** (2 if what == "pixels" else 1)
        for maker in makers:
            tasks = [maker(*arguments(size)) for size in sizes]
            ms = 1000 * np.array([c.cpu for c in median_costs(tasks, repeats)])
            name, slope = maker.__name__[1:], exponent(x, ms)
            curves[what, name] = x, ms, slope
            print(
                f"| {what} | {name} | {slope:.2f} | {ms[0]:.2f} ms | {ms[-1]:.2f} ms |", flush=True
            )
    _plot(curves)
    print(f"\n{PICTURE}")


def _plot(curves: dict[tuple[str, str], tuple[np.ndarray, np.ndarray, float]]) -> None:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9, 3.2), layout="constrained")
    for axes, what in zip(figure.subplots(1, len(SERIES), sharey=True), SERIES, strict=True):
        for (grows, name), (x, ms, slope) in curves.items():
            if grows == what:
                axes.loglog(x, ms, "o-", ms=3, label=f"{name}: {slope:.2f}")
        axes.set(xlabel=what, ylabel="ms of CPU time" if what == "objects" else "")
        axes.grid(alpha=0.3)
        axes.set_ylim(0.2, 1e5)  # room for the legend
        axes.legend(loc="upper left", title="exponents", fontsize=8)
    figure.savefig(PICTURE, dpi=110)
