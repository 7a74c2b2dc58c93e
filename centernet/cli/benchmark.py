"""``centernet benchmark``."""

import argparse
import json
import math
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from centernet.cli.paths import Existing
from centernet.errors import InputError, require_at_least
from centernet.export.options import DEFORMABLE, ExportOptions
from centernet.inference.config import PRECISIONS
from centernet.sizes import format_size

if TYPE_CHECKING:
    from centernet.inference.benchmark import Measurement

HELP = "measure how fast each engine runs a network on this machine"
DESCRIPTION = """\
Measure how fast each engine runs a network on this machine: the time from network input to
detections, for single images and for batches, at the size that the network was trained at.

  centernet benchmark runs/custom/best.ckpt
  centernet benchmark runs/custom/best.ckpt int8.onnx --engines torch onnxruntime
  centernet benchmark runs/custom/best.ckpt --device cuda --precision float16 --engines torch

A checkpoint is exported to a temporary file for the engines that need one. Engines that are not
installed are skipped. Let nothing else run on the machine meanwhile.
"""
EXTRA = "export"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options to a parser."""
    from centernet.inference.benchmark import DEFAULT_BATCH_SIZES, DEFAULT_SECONDS
    from centernet.inference.engines import ENGINES

    add = parser.add_argument
    add(
        "weights",
        action=Existing,
        metavar="WEIGHTS",
        nargs="+",
        help="checkpoints (.ckpt, .pth) or .onnx files",
    )
    add(
        "--engines",
        nargs="+",
        choices=list(ENGINES),
        metavar="ENGINE",
        help=f"{', '.join(ENGINES)}; by default all that run such a file",
    )
    add("--device", default="auto", help="auto, cpu, cuda, cuda:1, mps (%(default)s)")
    add(
        "--precision",
        choices=PRECISIONS,
        default=PRECISIONS[0],
        help="of torch and compile, on a GPU (%(default)s)",
    )
    add(
        "--batch-sizes",
        type=int,
        nargs="+",
        default=DEFAULT_BATCH_SIZES,
        help=f"images per batch ({' '.join(map(str, DEFAULT_BATCH_SIZES))})",
    )
    add(
        "--seconds",
        type=float,
        default=DEFAULT_SECONDS,
        help="duration of each measurement (%(default)g)",
    )
    add("--json", type=Path, metavar="FILE", help="also write the numbers")


def run(options: argparse.Namespace) -> None:
    """Measure, and print the table."""
    from centernet.files import atomic_write
    from centernet.inference.benchmark import measure

    require_at_least(1, **{"--batch-sizes": min(options.batch_sizes)})
    if not 0 < options.seconds < math.inf:
        raise InputError(f"--seconds must be a positive number, got {options.seconds:g}")
    rows: list[tuple[str, Path, Measurement]] = []
    with TemporaryDirectory() as folder:
        for number, weights in enumerate(map(Path, options.weights)):
            # A folder of its own: the files of two training runs have the same name.
            exports = Path(folder, str(number))
            for engine in _engines(weights, options.engines):
                print(f"{weights} in {engine} ...", flush=True)
                try:
                    file = _file(weights, engine, exports)
                    result = measure(
                        file,
                        engine,
                        device=options.device,
                        batch_sizes=options.batch_sizes,
                        seconds=options.seconds,
                        precision=options.precision,
                    )
                except InputError as error:
                    print(f"  skipped: {error}")
                    continue
                rows.append((str(weights), file, result))
        if not rows:
            raise InputError("no engine could run these weights")
        print(f"\n{table(rows)}")
        if options.json:
            content = [
                {"weights": name, "bytes": file.stat().st_size}
                | asdict(result)
                | {"input_size": format_size(result.input_size)}
                for name, file, result in rows
            ]
            with atomic_write(options.json) as unfinished:
                unfinished.write_text(json.dumps(content, indent=2) + "\n")


def _engines(weights: Path, chosen: Sequence[str] | None) -> Sequence[str]:
    """The engines to measure: the chosen ones, or all that run the weights or an export of them."""
    from centernet.inference.engines import ENGINES, engines_of, is_exported

    return chosen or (engines_of(weights) if is_exported(weights) else list(ENGINES))


def _file(weights: Path, engine: str, folder: Path) -> Path:
    """The file that an engine runs: the weights, or an export of them, which is made once."""
    from centernet.inference.engines import engines_of, is_exported

    if engine in engines_of(weights) or is_exported(weights):
        return weights
    native, sampled = (folder / f"{kind}.onnx" for kind in DEFORMABLE)
    if not native.exists():
        _export(weights, native, "native")
    if engine != "openvino" or not _is_deformable(native):
        return native
    if not sampled.exists():
        _export(weights, sampled, "sampled")
    return sampled


def _export(weights: Path, output: Path, deform: str) -> None:
    from centernet.export.export_weights import export_weights

    print("  exporting ...", flush=True)
    export_weights(weights, output, ExportOptions(deform=deform), report=lambda line: None)


def _is_deformable(model: Path) -> bool:
    """Whether an exported model has the operator DeformConv, which OpenVINO lacks."""
    import onnx

    return any(node.op_type == "DeformConv" for node in onnx.load(str(model)).graph.node)


def table(rows: Sequence[tuple[str, Path, "Measurement"]]) -> str:
    """Format measurements in columns."""
    sizes = [time.batch_size for time in rows[0][2].times]
    lines = [["weights", "engine", "device", "input", "file MB", "memory MB", "load s"]]
    for size in sizes:
        lines[0] += [f"batch {size}: ms", "p95 ms", "images/s"]
    for name, file, result in rows:
        line = [name, result.engine, result.device, format_size(result.input_size)]
        line.append(f"{file.stat().st_size / 1e6:.1f}")
        line.append("?" if result.memory is None else f"{result.memory / 1e6:.0f}")
        line.append(f"{result.load_seconds:.1f}")
        for time in result.times:
            line += [f"{1000 * time.median:.1f}", f"{1000 * time.p95:.1f}"]
            line.append(f"{time.images_per_second:.1f}")
        lines.append(line)
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    return "\n".join(
        "  ".join(
            cell.ljust(width) if index < 4 else cell.rjust(width)
            for index, (cell, width) in enumerate(zip(line, widths, strict=True))
        ).rstrip()
        for line in lines
    )
