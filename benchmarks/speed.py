"""Time parts of the package and complete workloads against plain implementations.

python benchmarks/speed.py --threads 1
python benchmarks/speed.py loss step --threads 2 --repeats 20

The ratios are those of CPU times (below 1: faster), so that they mean something on a machine that
other work shares; see timing.py. `growth` writes docs/images/speed_growth.png.
"""

import argparse

import speed_growth
import speed_parts
import speed_runs
import torch
from timing import print_header

from centernet.cli import run_and_exit
from centernet.errors import require_at_least
from centernet.training.memory import keep_freed_memory

PARTS = {
    "loss": speed_parts.measure_loss,
    "targets": speed_parts.measure_targets,
    "decode": speed_parts.measure_decode,
    "input": speed_parts.measure_input,
    "deformable": speed_parts.measure_deformable,
}
RUNS = {
    "step": speed_runs.measure_step,
    "fit": speed_runs.measure_fit,
    "detect": speed_runs.measure_detect,
    "startup": speed_runs.measure_startup,
}
GROWTH = {"growth": speed_growth.measure_growth}
MEASURES = PARTS | RUNS | GROWTH


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "parts", nargs="*", metavar="PART", help=f"any of {', '.join(MEASURES)} (default: all)"
    )
    parser.add_argument(
        "--repeats", type=int, default=10, help="runs of each side (default: %(default)s)"
    )
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    options = parser.parse_args()
    require_at_least(1, repeats=options.repeats, threads=options.threads)
    torch.set_num_threads(options.threads)
    unknown = set(options.parts) - MEASURES.keys()
    if unknown:
        parser.error(f"unknown part {', '.join(unknown)}: choose from {', '.join(MEASURES)}")
    for part in options.parts or MEASURES:
        if part in RUNS:  # as in training; it changes the plain loss most
            keep_freed_memory()
        if part not in GROWTH:
            print_header(part)
        MEASURES[part](options.repeats)


if __name__ == "__main__":
    run_and_exit(main)
