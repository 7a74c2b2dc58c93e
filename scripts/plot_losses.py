"""Plot the values of the losses and the distribution of their gradients.

    python scripts/plot_losses.py
    python scripts/plot_losses.py --weights runs/bccd_resnet18/best.ckpt --images data/bccd/images \
        --annotations data/bccd/annotations/instances_val.json

The first command writes losses.svg: every loss of one example against p_t, the predicted
probability of the true class. The second also writes gradient_shares.png: for each loss, the share
of the heatmap's gradient from cells in each of ten intervals of |p - target|, with a trained
network.
"""

import argparse
from collections.abc import Callable
from pathlib import Path

import matplotlib

matplotlib.use("Agg")

import matplotlib.pyplot as plt
import numpy as np
import torch
from torch import Tensor

from centernet.cli import run_and_exit
from centernet.data.dataset import DetectionDataset, collate
from centernet.errors import InputError, require_at_least
from centernet.inference.engines.torch_engine import choose_device
from centernet.losses import (
    focal_loss_star,
    ghm_classification_loss,
    gradient_shares,
    sigmoid_focal_loss,
)
from centernet.models.base import DetectionModel
from centernet.models.checkpoints import DESCRIPTION, build_network, read_checkpoint
from centernet.models.registry import make_loss

BINS = 10
# Compared on a heatmap: name, loss and its options. Cross-entropy is the reference.
COMPARED = (
    ("cross-entropy", "focal", {"alpha": None, "gamma": 0.0}),
    ("penalty_reduced_focal", "penalty_reduced_focal", {}),
    ("focal", "focal", {}),
    ("focal_star", "focal_star", {}),
    ("ghm", "ghm", {"bins": BINS}),
)


def draw_curves(path: Path) -> None:
    """Loss and absolute gradient of one positive example against p_t."""
    p_t = torch.linspace(0.005, 0.995, 199, dtype=torch.float64)
    positive = torch.ones_like(p_t, dtype=torch.bool)

    def focal(gamma: float) -> Callable[[Tensor], Tensor]:
        return lambda x: sigmoid_focal_loss(x, positive, alpha=None, gamma=gamma, reduction="none")

    def star(gamma: float, beta: float) -> Callable[[Tensor], Tensor]:
        return lambda x: focal_loss_star(x, positive, gamma=gamma, beta=beta, reduction="none")

    losses = {
        "cross-entropy": (focal(0), "k-"),
        r"focal, $\gamma$ = 0.5": (focal(0.5), "C0:"),
        r"focal, $\gamma$ = 1": (focal(1), "C0--"),
        r"focal, $\gamma$ = 2; penalty-reduced, $\alpha$ = 2": (focal(2), "C0-"),
        r"focal, $\gamma$ = 5": (focal(5), "C0-."),
        r"FL*, $\gamma$ = 2, $\beta$ = 1": (star(2, 1), "C1-"),
        r"FL*, $\gamma$ = 4, $\beta$ = 0": (star(4, 0), "C1--"),
    }
    figure, axes = plt.subplots(1, 2, figsize=(11, 4.2), layout="constrained")
    for name, (loss, line) in losses.items():
        logits = torch.logit(p_t).requires_grad_()
        values = loss(logits)
        (gradient,) = torch.autograd.grad(values.sum(), logits)
        axes[0].plot(p_t, values.detach(), line, label=name)
        axes[1].plot(p_t, gradient.abs(), line)
    draw_harmonized(axes, p_t)
    axes[0].set(ylabel="loss", ylim=(0, 5))
    axes[1].set(ylabel="|gradient by the logit|", ylim=(0, 1.5))
    for ax in axes:
        ax.set(xlabel="probability of the truth, $p_t$", xlim=(0, 1))
        ax.grid(alpha=0.3)
    figure.legend(*axes[0].get_legend_handles_labels(), loc="outside right center", frameon=False)
    # The same curves give the same file, with text as text.
    with plt.rc_context({"svg.fonttype": "none", "svg.hashsalt": "losses"}):
        figure.savefig(path, metadata={"Date": None})
    plt.close(figure)


def draw_harmonized(axes: np.ndarray, p_t: Tensor) -> None:
    """Draw the curves of GHM, scaled so that cross-entropy is multiplied by at most 1.

    They depend on the distribution of the other examples.
    """
    # An example: many easy ones, and more outliers than hard ones.
    density = [0.60, 0.08, 0.04, 0.03, 0.03, 0.03, 0.03, 0.04, 0.04, 0.08]
    logits = torch.logit(p_t).requires_grad_()
    weight = torch.ones_like(logits, requires_grad=True)
    loss = ghm_classification_loss(logits, torch.ones_like(logits), density=density, weight=weight)
    # The loss is linear in the weights; its derivative by a weight is that example's share.
    for ax, slope in zip(axes, torch.autograd.grad(loss, (weight, logits)), strict=True):
        label = (
            "GHM, if {} %\nof the examples are in the regions from\neasy to hard; scaled".format(
                ", ".join(f"{100 * share:.0f}" for share in density)
            )
        )
        rarest = min(density) * len(p_t) * BINS
        ax.plot(p_t, rarest * slope.abs(), "C2-", label=label)


def measure_shares(
    weights: str, images: str, annotations: str, *, limit: int, batch_size: int, device: str
) -> dict[str, np.ndarray]:
    """Share of the heatmap's gradient by interval of |p - target|, easiest first, for every loss.

    Returns:
        By name of the loss (BINS,); under "all cells" the share of the cells themselves.
    """
    require_at_least(1, limit=limit, batch_size=batch_size)
    device = choose_device(device)
    checkpoint = read_checkpoint(weights)
    description = checkpoint[DESCRIPTION]
    network = build_network(checkpoint).to(device)
    if not network.has_heatmaps:
        raise InputError(f"{weights} is a network without heatmaps: choose a CenterNet checkpoint")
    dataset = DetectionDataset(
        images,
        annotations,
        input_size=tuple(description["image_size"] or (512, 512)),
        class_names=description["class_names"],
        stride=network.stride,
    )
    sums: dict[str, Tensor] = {}
    for start in range(0, min(limit, len(dataset)), batch_size):
        indices = range(start, min(start + batch_size, limit, len(dataset)))
        inputs, targets = collate([dataset[i] for i in indices])
        with torch.no_grad():
            outputs = network(inputs.to(device))
        for name, shares in shares_of_batch(network, outputs, targets).items():
            sums[name] = sums.get(name, 0) + len(indices) * shares
    return {name: (total / total.sum()).cpu().numpy() for name, total in sums.items()}


def shares_of_batch(
    network: DetectionModel, outputs: dict[str, Tensor], targets: list[dict]
) -> dict[str, Tensor]:
    """Shares of the gradient of one batch for every loss, and shares of its cells."""
    logits = outputs["heatmap"].requires_grad_()
    wanted = network.encode(targets, outputs)
    positive = wanted.heatmap == 1
    edges = [i / BINS for i in range(1, BINS)]
    seen = torch.ones_like(logits) if wanted.mask is None else wanted.mask
    shares = {"all cells": gradient_shares(seen, logits, positive, edges)}
    for name, heatmap_loss, options in COMPARED:
        loss = make_loss(network, heatmap_loss, heatmap_loss_options=options)
        (gradient,) = torch.autograd.grad(loss([outputs], wanted)["heatmap"], logits)
        shares[name] = gradient_shares(gradient, logits, positive, edges)
    return shares


def draw_shares(shares: dict[str, np.ndarray], path: Path) -> None:
    """Grouped bars: intervals from easy to hard, one bar per loss."""
    figure, ax = plt.subplots(figsize=(11, 4.2), layout="constrained")
    width = 0.85 / len(shares)
    colors = ["lightgrey", "black", "C0", "C3", "C1", "C2"]
    for i, ((name, values), color) in enumerate(zip(shares.items(), colors, strict=True)):
        left = np.arange(BINS) + (i - (len(shares) - 1) / 2) * width
        ax.bar(left, values, width, label=name, color=color)
    ax.set_xticks(range(BINS), [f"{i / BINS:.1f} to {(i + 1) / BINS:.1f}" for i in range(BINS)])
    ax.set(
        xlabel="|p - target|, easy to hard",
        ylabel="share of the gradient, or of the cells",
        ylim=(0, 1),
    )
    ax.grid(alpha=0.3, axis="y")
    ax.legend(frameon=False)
    figure.savefig(path, dpi=100)
    plt.close(figure)


def main(arguments: list[str] | None = None) -> None:
    summary, *_ = __doc__.splitlines()
    parser = argparse.ArgumentParser(description=summary)
    parser.add_argument(
        "--output", type=Path, default="docs/images", help="output folder (default: %(default)s)"
    )
    parser.add_argument("--weights", help="checkpoint of fit, for gradient_shares.png")
    parser.add_argument("--images", help="folder of the images")
    parser.add_argument("--annotations", help="COCO JSON of the images")
    parser.add_argument(
        "--limit", type=int, default=64, help="number of images (default: %(default)s)"
    )
    parser.add_argument(
        "--batch-size",
        type=int,
        default=8,
        help="images per gradient density of ghm (default: %(default)s)",
    )
    parser.add_argument(
        "--device", default="cpu", help="auto, cpu, cuda, ... (default: %(default)s)"
    )
    options = parser.parse_args(arguments)
    if options.weights and not (options.images and options.annotations):
        parser.error("--weights needs --images and --annotations")
    options.output.mkdir(parents=True, exist_ok=True)
    draw_curves(options.output / "losses.svg")
    if not options.weights:
        return
    shares = measure_shares(
        options.weights,
        options.images,
        options.annotations,
        limit=options.limit,
        batch_size=options.batch_size,
        device=options.device,
    )
    draw_shares(shares, options.output / "gradient_shares.png")
    for name, values in shares.items():
        print(f"{name:22}", *(f"{value:6.3f}" for value in values))


if __name__ == "__main__":
    run_and_exit(main)
