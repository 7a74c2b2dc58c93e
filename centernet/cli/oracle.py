"""``centernet oracle``."""

import argparse
import math
import sys
import textwrap
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from centernet.cli.options import add_image_size
from centernet.cli.paths import Configuration, Existing
from centernet.errors import InputError, require_at_least
from centernet.sizes import format_size, parse_size

if TYPE_CHECKING:
    from centernet.data.dataset import DetectionDataset
    from centernet.evaluation.oracle import Row
    from centernet.models.base import DetectionModel

HELP = "find what limits the accuracy of a trained network"
DESCRIPTION = """\
Find what limits the accuracy of a trained network. Heatmap, size and offset (or sides) are replaced
by the ground truth, one at a time and together, and the average precision of each is printed. The
output with the largest gain is the one to improve. This is the error analysis of the paper, on your
images.

  centernet oracle data/mine --weights runs/custom/best.ckpt
  centernet oracle data/mine --weights runs/custom/best.ckpt --split test
  centernet oracle --weights runs/bccd_resnet18/best.ckpt --config configs/bccd_resnet18.yaml
"""
EPILOG = """\
With nothing replaced, the result equals that of validate; with everything replaced, the ceiling of
check. Ground truth exists only at the centers of objects. Every other cell uses the nearest center:
its size, the point of the cell nearest to it as offset, and the distances to its box as sides.

DATASET is a folder or annotation file in any format that check and convert read.
"""
EXTRA = "train"

# More classes do not fit as columns in a terminal.
_MAX_COLUMNS = 6
# Smaller gains of AP are not worth a remedy.
_MIN_GAIN = 0.005
# Options that replace those of a configuration.
_CONFIG_OPTIONS = ("root", "val_images", "val_annotations")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options to a parser."""
    add = parser.add_argument
    path = partial(add, action=Existing)
    path("dataset", metavar="DATASET", nargs="?", help="a dataset, unless --config names one")
    path("--weights", required=True, help="a checkpoint of fit, as runs/custom/best.ckpt")
    add("--split", help="split of DATASET (val)")
    add("--config", action=Configuration, help="a YAML of fit: its validation images and size")
    for name in _CONFIG_OPTIONS:
        add(f"--data.{name}", help="replaces the option of the config", metavar=name.upper())
    add_image_size(parser, "the config's, or the size that the network was trained at")
    add("--batch-size", type=int, help="images per batch; by default the config's, or 16")
    add("--top-k", type=int, help="detections per image; by default as in training")
    add("--device", default="auto", help="auto, cpu, cuda, cuda:1, mps (%(default)s)")
    add("--json", type=Path, metavar="FILE", help="also write the numbers, with those per class")


def run(options: argparse.Namespace) -> None:
    """Analyze and print the table.

    Raises:
        InputError: weights, dataset or options are wrong.
    """
    _validate(options)
    from centernet.evaluation.oracle import analyze
    from centernet.inference.engines.torch_engine import choose_device
    from centernet.models.pretrained import load_weights

    network, trained_size = load_weights(options.weights)
    find = _data_of_config if options.config else _data_of_dataset
    dataset, batch_size = find(options, network, trained_size)
    height, width = dataset.input_size
    if height % network.size_multiple or width % network.size_multiple:
        raise InputError(
            f"the network of these weights needs multiples of {network.size_multiple}, "
            f"not {format_size(dataset.input_size)}: give --image-size"
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
        f"{dataset.source} ({dataset.name}): {len(dataset)} images, {dataset.num_objects} objects\n"
        f"images are scaled to fit {format_size(dataset.input_size)}; 'true' outputs are the "
        f"ground truth\n\n"
        f"{table(rows)}\n\n{_advice(rows)}"
    )
    if rows[0].evaluation.note:
        print(rows[0].evaluation.note)
    if options.json:
        _write(options.json, rows)


def table(rows: Sequence["Row"]) -> str:
    """Format rows in columns: the replaced outputs, AP, AP50, AP75, and AP of few classes.

    For points, the metrics are those of the centers.
    """
    names, headline = rows[-1].replaced, rows[0].evaluation.headline
    classes = [str(row["class"]) for row in rows[0].evaluation.per_class]
    classes = classes if 1 < len(classes) <= _MAX_COLUMNS else []
    lines = [[*names, *headline, *(f"AP {name}" for name in classes)]]
    for row in rows:
        metrics, own = row.evaluation.metrics, row.evaluation.per_class
        values = [metrics[name] for name in headline]
        values += [entry["AP"] for entry in own] if classes else []
        lines.append(
            [
                *("true" if name in row.replaced else "." for name in names),
                *("-" if math.isnan(value) else f"{value:.3f}" for value in values),
            ]
        )
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    return "\n".join(
        "  ".join(cell.rjust(width) for cell, width in zip(line, widths, strict=True))
        for line in lines
    )


def _advice(rows: Sequence["Row"]) -> str:
    """What a perfect output would gain, the largest gain first, and what to try for it."""
    from centernet.analysis import remedies

    metric = rows[0].evaluation.headline[0]
    values = {row.replaced: row.evaluation.metrics[metric] for row in rows}
    gains = {
        replaced[0]: value - values[()]
        for replaced, value in values.items()
        if len(replaced) == 1 and value - values[()] >= _MIN_GAIN
    }
    causes = [
        (name, f"{gains[name]:+.3f}", remedies.OUTPUTS.get(name, ""))
        for name in sorted(gains, key=gains.__getitem__, reverse=True)
    ]
    if not causes:
        causes = [("", "", "no single output, even if perfect, would raise the AP")]
    ceiling = values[rows[-1].replaced]
    if ceiling <= 1 - _MIN_GAIN:
        causes.append(("all true", f"{ceiling:.3f}", remedies.CEILING))
    width = max(len(name) for name, _, _ in causes)
    heading = f"gain in {metric} if an output were perfect, and what to try:"
    return "\n".join([heading, *(_cause(*cause, width=width) for cause in causes)])


def _cause(name: str, value: str, remedy: str, *, width: int) -> str:
    """A cause as lines of text."""
    begin = f"  {name.ljust(width)}  {value}  "
    return textwrap.fill(begin + remedy, 100, subsequent_indent=" " * len(begin))


def _write(path: Path, rows: Sequence["Row"]) -> None:
    import json

    from centernet.evaluation.oracle import numbers
    from centernet.files import atomic_write

    with atomic_write(path) as unfinished:
        unfinished.write_text(json.dumps(numbers(rows), indent=2) + "\n")


def _validate(options: argparse.Namespace) -> None:
    """Raise InputError for options that are out of range or cannot be combined."""
    if (options.dataset is None) == (options.config is None):
        raise InputError("oracle needs either a DATASET or --config")
    require_at_least(1, batch_size=options.batch_size, top_k=options.top_k)
    if options.config and options.split:
        raise InputError("--split requires a DATASET: with --config, use --data.val_annotations")
    for name in () if options.config else _CONFIG_OPTIONS:
        if getattr(options, f"data.{name}") is not None:
            raise InputError(f"--data.{name} requires --config: omit it with a DATASET")


def _data_of_dataset(
    options: argparse.Namespace, network: "DetectionModel", trained_size: tuple[int, int] | None
) -> tuple["DetectionDataset", int]:
    """The images of a split, and the batch size."""
    from centernet.data.dataset import DetectionDataset
    from centernet.data.formats import read_dataset
    from centernet.data.formats.split_validation import split_validation
    from centernet.training.auto_config import DEFAULT_BATCH_SIZE
    from centernet.training.sources import HELD_OUT

    splits = read_dataset(options.dataset, outlines=False)
    name = options.split or "val"
    is_whole = Path(options.dataset).is_dir() and "train" in splits
    if name in ("train", "val") and "val" not in splits and is_whole:
        held_out, _ = split_validation(list(splits.values()), HELD_OUT)  # as in training
        splits = {split.name: split for split in held_out}
    if name not in splits and (len(splits) > 1 or options.split):
        raise InputError(
            f"{options.dataset} has no split {name!r}: give --split, one of {', '.join(splits)}"
        )
    split = splits.get(name) or next(iter(splits.values()))
    size = trained_size
    if options.image_size is not None:
        size = _image_size(options, network)
    if size is None:
        raise InputError("these weights have no input size: give --image-size")
    dataset = DetectionDataset(
        split.images,
        split,
        input_size=size,
        class_names=_class_names(network),
        stride=network.stride,
    )
    return dataset, DEFAULT_BATCH_SIZE


def _data_of_config(
    options: argparse.Namespace, network: "DetectionModel", trained_size: tuple[int, int] | None
) -> tuple["DetectionDataset", int]:
    """The validation images of a configuration, as validate uses them, and its batch size."""
    from centernet.training.config_data import data_of_config

    changes = {name: getattr(options, f"data.{name}") for name in _CONFIG_OPTIONS}
    changes["class_names"] = _class_names(network)
    if options.image_size is not None:
        changes["image_size"] = _image_size(options, network)
    data = data_of_config(options.config, **changes)
    if data.image_size == "auto" and trained_size:
        data = data_of_config(options.config, **changes | {"image_size": trained_size})
    return data.val_set, data.val_batch_size()


def _image_size(options: argparse.Namespace, network: "DetectionModel") -> tuple[int, int]:
    return parse_size(options.image_size, multiple=network.size_multiple, name="--image-size")


def _class_names(network: "DetectionModel") -> tuple[str, ...] | None:
    """Class names by label, if the weights have them."""
    from centernet.models.pretrained import has_class_names

    return network.class_names if has_class_names(network) else None
