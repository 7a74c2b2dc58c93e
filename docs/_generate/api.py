"""Python reference, from the docstrings."""

import importlib

# Title, introduction, and the modules of each section.
SECTIONS = (
    (
        "Train and evaluate",
        "`from centernet import Run, evaluate, train`; by example: [Python API](python.md)",
        (
            "centernet.api.train",
            "centernet.api.run",
            "centernet.api.evaluate",
            "centernet.api.evaluation_result",
        ),
    ),
    (
        "Detect",
        "`from centernet import Detector, Tracker`",
        (
            "centernet.inference.detector",
            "centernet.inference.torch_outputs",
            "centernet.inference.prediction",
            "centernet.inference.stream",
            "centernet.inference.heatmaps",
            "centernet.inference.counting",
            "centernet.inference.video.tracking",
        ),
    ),
    (
        "Networks",
        "`from centernet import CenterNet, official`",
        ("centernet.models.centernet", "centernet.models.official"),
    ),
    (
        "Targets, losses and decoding",
        "Plain functions of tensors, for a training loop of your own.",
        ("centernet.targets", "centernet.losses", "centernet.heads", "centernet.decode"),
    ),
    (
        "Data",
        "Datasets in any supported format, and conversion.",
        ("centernet.data.dataset", "centernet.data.formats"),
    ),
    (
        "Evaluation",
        "Average precision, points and the oracle analysis.",
        (
            "centernet.evaluation.metrics",
            "centernet.evaluation.coco",
            "centernet.evaluation.points",
            "centernet.evaluation.oracle",
        ),
    ),
)


def reference() -> str:
    """A section for each theme, and in it a part for each module."""
    parts = [""]
    for title, introduction, modules in SECTIONS:
        parts += [f"## {title}", introduction]
        for module in modules:
            parts += [f"### `{module}`", _automodule(module)]
    return "\n\n".join(parts) + "\n"


def _automodule(module: str) -> str:
    # A package shows what it exports.
    is_package = hasattr(importlib.import_module(module), "__path__")
    lines = [f".. automodule:: {module}", *["   :imported-members:"] * is_package]
    return "\n".join(["```{eval-rst}", *lines, "```"])
