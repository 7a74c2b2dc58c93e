r"""Train this project's detectors and others with the same CPU time, and tabulate their accuracy.

python benchmarks/peers.py --sets DATASETS --minutes 10 --peers-python ENVIRONMENT/bin/python

Every method trains for --minutes of CPU time (user and system, of all its processes) on one thread.
Two short runs measure the time of the start and of an epoch; the number of epochs that fit is the
length of the method's own schedule. If not even one fits, it trains on a fraction of the images.
No method validates while it trains. The detections of the last weights, from a score of 0.001 on,
are evaluated by this project's evaluation, with the same number of detections per image for all.

The data sets are those of benchmarks/peers/sets.yaml, in the folder --sets. Each is converted once,
so that all methods read the same images and boxes.

--peers-python is the Python of an environment for the other libraries, which are no dependencies of
this project (ultralytics has the AGPL-3.0 license):

    python -m venv ENVIRONMENT
    ENVIRONMENT/bin/pip install ultralytics libreyolo

The output folder keeps the logs, detections and result.json of each run, and the table as table.md,
table.csv and table.json. A second call trains only what is missing.
"""

import argparse
import json
import math
import shutil
from collections.abc import Sequence
from dataclasses import replace
from operator import itemgetter
from pathlib import Path
from typing import Any

import yaml
from commands import run_logged
from compare import most_epochs, over_seeds, write_table
from peer_methods import (
    ENVIRONMENT,
    METHODS,
    SCORE_THRESHOLD,
    SCRIPTS,
    DataSet,
    Method,
    PeerMethod,
)

from centernet.cli import run_and_exit
from centernet.errors import InputError
from centernet.evaluation.coco import evaluate
from centernet.files import atomic_write

SETS = SCRIPTS / "sets.yaml"
# Images of the two runs that measure the time: multiples of all batch sizes.
CALIBRATION_IMAGES = (16, 112)
METRICS = ("AP", "AP50", "AP75", "AP_small", "AP_medium", "AP_large")


def read_sets(path: Path, output: Path) -> dict[str, DataSet]:
    """The data sets of a YAML file by name; they are converted in a folder of the output."""
    entries = yaml.safe_load(path.read_text())["sets"]
    return {name: DataSet(name, output / "data" / name, **entry) for name, entry in entries.items()}


def measure(method: Method, data: DataSet, folder: Path, seed: int) -> dict[str, float]:
    """CPU seconds of the start and of an epoch, from two short runs; kept in calibration.json."""
    path = folder / "calibration.json"
    if path.exists():
        return json.loads(path.read_text())
    total, run = data.count_images(), folder / "calibration"
    counts = [min(count, total) for count in CALIBRATION_IMAGES]
    seconds = []
    for count in counts:
        # Half an image more, because methods may round down.
        command = method.train(data, run, 1, min(1.0, (count + 0.5) / total), seed)
        shutil.rmtree(run, ignore_errors=True)
        name = f"calibration in {folder}"
        seconds.append(run_logged(name, command, folder / "calibration.log", ENVIRONMENT))
    shutil.rmtree(run, ignore_errors=True)
    times = start_and_epoch(counts, seconds, total)
    _write_json(path, times)
    return times


def start_and_epoch(
    counts: Sequence[int], seconds: Sequence[float], total: int
) -> dict[str, float]:
    """CPU seconds of the start and of ``total`` images, from two runs with few images each."""
    # Start-up time varies; do not let images count as free.
    per_image = max(1e-3, (seconds[1] - seconds[0]) / max(1, counts[1] - counts[0]))
    return {"start": max(0.0, seconds[0] - counts[0] * per_image), "epoch": total * per_image}


def length(minutes: float, times: dict[str, float]) -> tuple[int, float]:
    """Number of epochs, and fraction of the images, that fit into a time."""
    start, epoch = times["start"], times["epoch"]
    epochs = most_epochs(60 * minutes, start=start, epoch=epoch, validation=0.0, every=1)
    if epochs:
        return epochs, 1.0
    if start >= 60 * minutes:
        raise InputError(f"--minutes {minutes:g}: the start alone takes {start / 60:.1f} minutes")
    return 1, (60 * minutes - start) / epoch


def train(method: Method, data: DataSet, folder: Path, seed: int, minutes: float) -> None:
    """Train one method on one data set and evaluate it; write result.json."""
    folder.mkdir(parents=True, exist_ok=True)
    times = measure(method, data, folder, seed)
    epochs, fraction = length(minutes, times)
    run, results = folder / "run", folder / "detections.json"
    shutil.rmtree(run, ignore_errors=True)
    seconds = {}
    for name in ("train", "detect"):
        command = (
            method.train(data, run, epochs, fraction, seed)
            if name == "train"
            else method.detect(data, run, results)
        )
        log = folder / f"{name}.log"
        seconds[name] = run_logged(f"{name} in {folder}", command, log, ENVIRONMENT)
    method.collect(data, run, results)
    numbers = {"epochs": epochs * fraction, "minutes": seconds["train"] / 60}
    numbers |= score(data, results)
    content = {"budget_minutes": minutes, "seconds": seconds | times, "numbers": numbers}
    _write_json(folder / "result.json", content)


def score(data: DataSet, results: Path) -> dict[str, float | None]:
    """COCO metrics of detections; None for a range of areas without objects."""
    kept = best_per_image(json.loads(results.read_text()), data.top_k)
    metrics = evaluate(data.annotations, kept, top_k=data.top_k).metrics
    return {name: None if math.isnan(metrics[name]) else metrics[name] for name in METRICS}


def best_per_image(detections: Sequence[dict[str, Any]], top_k: int) -> list[dict[str, Any]]:
    """The detections of each image with the highest scores, above the threshold of all methods."""
    kept: dict[Any, list[dict[str, Any]]] = {}
    for detection in sorted(detections, key=itemgetter("score"), reverse=True):
        best = kept.setdefault(detection["image_id"], [])
        if detection["score"] >= SCORE_THRESHOLD and len(best) < top_k:
            best.append(detection)
    return [detection for best in kept.values() for detection in best]


def read_numbers(path: Path, minutes: float) -> dict[str, float | None] | None:
    """The numbers of a finished run; None if there is none.

    Raises:
        InputError: the run had another budget.
    """
    if not path.exists():
        return None
    result = json.loads(path.read_text())
    if result["budget_minutes"] != minutes:
        raise InputError(
            f"{path} has a budget of {result['budget_minutes']:g} minutes, not --minutes "
            f"{minutes:g}: choose another --output"
        )
    return result["numbers"]


def tabulate(output: Path, names: Sequence[str], seeds: Sequence[int], minutes: float) -> str:
    """Write the table of all finished runs as table.md, .csv and .json; return table.md."""
    lines: list[dict[str, Any]] = []
    for name in names:
        for method in METHODS:
            paths = [output / name / method / f"seed-{seed}" / "result.json" for seed in seeds]
            found = [numbers for path in paths if (numbers := read_numbers(path, minutes))]
            if found:
                lines.append({"set": name, "method": method} | over_seeds(found))
    _write_json(output / "table.json", lines)
    return write_table(lines, output)


def _write_json(path: Path, content: Any) -> None:
    with atomic_write(path) as unfinished:
        unfinished.write_text(json.dumps(content, indent=2) + "\n")


def main(arguments: list[str] | None = None) -> None:
    summary, *_ = __doc__.splitlines()
    parser = argparse.ArgumentParser(description=summary)
    names = list(read_sets(SETS, Path()))
    add = parser.add_argument
    add("--sets", type=Path, required=True, help=f"folder of the data sets that {SETS.name} lists")
    add("--only", nargs="+", choices=names, default=names, help="data sets (default: all)")
    add("--methods", nargs="+", choices=METHODS, default=list(METHODS), help="default: all")
    add("--seeds", type=int, nargs="+", default=[0], help="train with each seed (default: 0)")
    add("--minutes", type=float, default=10.0, help="CPU minutes per run (default: 10)")
    add("--peers-python", type=Path, help="Python with ultralytics and libreyolo")
    add("--output", type=Path, default=Path("runs/peers"), help="default: runs/peers")
    options = parser.parse_args(arguments)
    if options.minutes <= 0:
        raise InputError(f"--minutes must be positive, got {options.minutes:g}")
    output = options.output.resolve()
    sets = read_sets(SETS, output)
    queue = [
        (name, method, seed)
        for name in options.only
        for method in options.methods
        for seed in options.seeds
        if not read_numbers(
            output / name / method / f"seed-{seed}" / "result.json", options.minutes
        )
    ]
    methods = {method: _with_python(method, options.peers_python) for _, method, _ in queue}
    for index, (name, method, seed) in enumerate(queue):
        left = (len(queue) - index) * options.minutes
        print(f"{name}, {method}, seed {seed}: {left:.0f} minutes of CPU time left", flush=True)
        sets[name].prepare(options.sets.resolve() / name)
        folder = output / name / method / f"seed-{seed}"
        train(methods[method], sets[name], folder, seed, options.minutes)
        tabulate(output, names, options.seeds, options.minutes)
    print(f"{tabulate(output, names, options.seeds, options.minutes)}saved in {output}")


def _with_python(name: str, python: Path | None) -> Method:
    method = METHODS[name]
    if not isinstance(method, PeerMethod):
        return method
    if not python or not python.is_file():
        raise InputError(f"--methods {name} needs --peers-python with its library, got {python}")
    # Not resolved: the Python of an environment is a link.
    return replace(method, python=python.absolute())


if __name__ == "__main__":
    run_and_exit(main)
