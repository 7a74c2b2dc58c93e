"""``centernet oracle``: find weights and images, print the table."""

import argparse
import json
import sys
from collections.abc import Sequence

import numpy as np

from centernet.cli.image_size import input_size
from centernet.data.dataset import DetectionDataset
from centernet.data.formats import read_dataset
from centernet.errors import InputError, require_at_least
from centernet.evaluation.oracle import Row, analyze, numbers
from centernet.files import atomic_write
from centernet.inference.engines import choose_device
from centernet.models.base import DetectionModel
from centernet.models.pretrained import has_class_names, load_weights

# Beyond so many classes a column for each would not fit a terminal.
_MOST_COLUMNS = 6
_DEFAULT_BATCH = 16
# The options of its data that can be changed.
_OF_CONFIG = ("root", "val_images", "val_annotations")


def run(options: argparse.Namespace) -> None:
    """Analyse and print.

    Raises:
        InputError: weights, dataset or options are wrong.
    """
    if (options.dataset is None) == (options.config is None):
        raise InputError("oracle needs either a DATASET or --config, which names one")
    require_at_least(1, batch_size=options.batch_size, top_k=options.top_k)
    _refuse_ignored(options)
    network, trained_for = load_weights(options.weights)
    make = _of_config if options.config else _of_dataset
    dataset, batch_size = make(options, network, trained_for)
    size = dataset.input_size
    if any(side % network.size_multiple for side in size):
        raise InputError(
            f"the network of these weights takes multiples of {network.size_multiple}, "
            f"not {size[0]}x{size[1]}: give --image-size"
        )
    rows = analyze(
        network,
        dataset,
        device=choose_device(options.device),
        batch_size=options.batch_size or batch_size,
        top_k=options.top_k,
        progress=sys.stderr.isatty(),
    )
    print(
        f"{dataset.source} ({dataset.name}): {len(dataset)} images, {dataset.num_objects} objects"
    )
    print(
        f"images are scaled to fit {size[0]}x{size[1]}; "
        "what is replaced by the ground truth is 'true'\n"
    )
    print(table(rows))
    print(f"\n{_advice(rows)}")
    if options.json:
        with atomic_write(options.json) as unfinished:
            unfinished.write_text(json.dumps(numbers(rows), indent=2) + "\n")


def table(rows: Sequence[Row]) -> str:
    """The rows in columns: what was replaced, AP, AP50, AP75, and AP of few classes."""
    names = rows[-1].replaced
    classes = [str(row["class"]) for row in rows[0].evaluation.per_class]
    classes = classes if 1 < len(classes) <= _MOST_COLUMNS else []
    lines = [[*names, "AP", "AP50", "AP75", *(f"AP {name}" for name in classes)]]
    for row in rows:
        metrics, own = row.evaluation.metrics, row.evaluation.per_class
        values = [metrics[name] for name in ("AP", "AP50", "AP75")]
        values += [entry["AP"] for entry in own] if classes else []
        lines.append(
            [
                *("true" if name in row.replaced else "." for name in names),
                *("-" if np.isnan(value) else f"{value:.3f}" for value in values),
            ]
        )
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    return "\n".join(
        "  ".join(cell.rjust(width) for cell, width in zip(line, widths, strict=True))
        for line in lines
    )


def _advice(rows: Sequence[Row]) -> str:
    base = rows[0].evaluation.metrics["AP"]
    alone = {
        row.replaced[0]: row.evaluation.metrics["AP"] - base
        for row in rows
        if len(row.replaced) == 1
    }
    name = max(alone, key=alone.__getitem__)
    if not alone[name] > 0:
        return "no output alone, however perfect, would raise the AP"
    return f"a perfect {name} alone would give {alone[name]:+.3f} AP, more than any other output"


def _refuse_ignored(options: argparse.Namespace) -> None:
    """Options that mean nothing beside the DATASET or the configuration that is given."""
    if options.config and options.split:
        raise InputError("--split goes with a DATASET: with --config, give --data.val_annotations")
    for name in () if options.config else _OF_CONFIG:
        if getattr(options, f"data.{name}") is not None:
            raise InputError(f"--data.{name} goes with --config: with a DATASET, leave it out")


def _of_dataset(
    options: argparse.Namespace, network: DetectionModel, trained_for: tuple[int, int] | None
) -> tuple[DetectionDataset, int]:
    """The images of a split, and how many to take at a time."""
    splits = read_dataset(options.dataset)
    name = options.split or "val"
    if name not in splits and len(splits) > 1:
        raise InputError(
            f"{options.dataset} has no split {name!r}: give --split, one of {', '.join(splits)}"
        )
    split = splits.get(name) or next(iter(splits.values()))
    size = input_size(options.image_size, network.size_multiple) if options.image_size else None
    dataset = DetectionDataset(
        split.images,
        split,
        input_size=_known(size or trained_for),
        class_names=_names(network),
        stride=network.stride,
    )
    return dataset, _DEFAULT_BATCH


def _of_config(
    options: argparse.Namespace, network: DetectionModel, trained_for: tuple[int, int] | None
) -> tuple[DetectionDataset, int]:
    """The validation images of a config of fit, as validate sees them, and its batch size."""
    from centernet.training.datamodule import data_of_config

    given = {name: getattr(options, f"data.{name}") for name in _OF_CONFIG}
    given["class_names"] = _names(network)
    if options.image_size:
        given["image_size"] = input_size(options.image_size, network.size_multiple)
    data = data_of_config(options.config, **given)
    if data.image_size == "auto" and trained_for:
        data = data_of_config(options.config, **given | {"image_size": trained_for})
    return data.val_set, data.batch_size


def _names(network: DetectionModel) -> tuple[str, ...] | None:
    """Names by label, where the weights know them."""
    return network.class_names if has_class_names(network) else None


def _known(size: tuple[int, int] | None) -> tuple[int, int]:
    if size is None:
        raise InputError(
            "these weights do not say for which size they were trained: give --image-size"
        )
    return size
