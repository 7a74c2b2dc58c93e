"""Kill training at random times and compare the resumed runs with an unbroken one.

    python scripts/kill_test.py --kills 30 --seed 0

For 0, 1 and 2 loader workers, an unbroken fit is made on generated shapes, and one that is killed
(SIGKILL) again and again and resumed with ``--ckpt_path last``, or started anew when nothing was
saved. Then the last checkpoints (weights, their average, optimizer, schedule, progress) and
metrics.csv are compared, bit for bit. Prints a table; the exit status is 1 on any difference.
"""

import argparse
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

import torch

from centernet.data.shapes import make_shapes
from centernet.models.checkpoints import read_file

# All kills; those after which nothing was saved, and those resumed from within an epoch.
STAGES = ("kills", "before checkpoint", "within an epoch")
TRAIN = Path(__file__).parents[1] / "train.py"
CONFIG = """\
report: false
checkpoint_minutes: 0.002
data:
  root: shapes
  train_images: train
  train_annotations: annotations/instances_train.json
  val_images: val
  val_annotations: annotations/instances_val.json
  image_size: 64
  batch_size: 4
model:
  backbone: test_resnet
  heatmap_loss: ghm
  heatmap_loss_options: {schedule: epoch, momentum: 0.5}
trainer:
  accelerator: cpu
  enable_progress_bar: false
  check_val_every_n_epoch: 2
  callbacks: [GradientByDifficulty]
"""


def fit(folder: Path, name: str, workers: int, epochs: int, *options: str) -> subprocess.Popen:
    """Start training in a process group of its own."""
    command = [
        sys.executable, TRAIN, "fit", f"--config={name}.yaml", f"--data.workers={workers}",
        f"--trainer.max_epochs={epochs}", *options,
    ]  # fmt: skip
    with (folder / f"{name}.log").open("a") as log:
        return subprocess.Popen(
            command, cwd=folder, stdout=log, stderr=log, start_new_session=True,
            env=os.environ | {"OMP_NUM_THREADS": "1"},
        )  # fmt: skip


def killed_run(
    folder: Path, name: str, workers: int, epochs: int, kills: int, rng: random.Random
) -> Counter:
    """Train with at most so many kills; returns how many there were, by ``STAGES``."""
    counts = Counter()
    last = folder / "runs" / name / "last.ckpt"
    while True:
        resume = ["--ckpt_path=last"] if last.exists() else []
        process = fit(folder, name, workers, epochs, *resume)
        if counts["kills"] < kills and kill(process, last, rng):
            counts["kills"] += 1
            # What the next start finds.
            if not last.exists():
                counts["before checkpoint"] += 1
            elif "unfinished_epoch" in read_file(last):
                counts["within an epoch"] += 1
        elif process.wait() == 0:
            return counts
        else:
            sys.exit(f"training failed, see {folder / name}.log")


def kill(process: subprocess.Popen, last: Path, rng: random.Random) -> bool:
    """Kill a process at a random moment; False if it ended before."""
    # Mostly after it wrote a checkpoint: else most would die in their imports.
    before = written(last)
    if rng.random() < 0.75:
        while written(last) == before and process.poll() is None:
            time.sleep(0.01)
        delay = rng.uniform(0, 0.6)
    else:
        delay = rng.uniform(0, 12)
    try:
        process.wait(timeout=delay)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        return True
    return False


def written(path: Path) -> int:
    """When a file was written; 0 if it is not there."""
    try:
        return path.stat().st_mtime_ns
    except FileNotFoundError:
        return 0


def same(first: object, second: object) -> bool:
    """Whether two contents of checkpoints are the same to the last bit."""
    if isinstance(first, torch.Tensor):
        return torch.equal(first, second)
    if isinstance(first, dict):
        return first.keys() == second.keys() and all(same(first[k], second[k]) for k in first)
    if isinstance(first, list | tuple):
        return len(first) == len(second) and all(map(same, first, second))
    return first == second


def differences(unbroken: Path, killed: Path) -> set[str]:
    """What differs between two runs."""
    first, second = (read_file(run / "last.ckpt") for run in (unbroken, killed))
    names = first.keys() | second.keys()
    found = {name for name in names if not same(first.get(name), second.get(name))}
    tables = [(run / "metrics.csv").read_bytes() for run in (unbroken, killed)]
    return found | ({"metrics.csv"} if tables[0] != tables[1] else set())


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--kills", type=int, default=30, help="over all numbers of workers")
    parser.add_argument("--seed", type=int, default=0, help="of the times")
    parser.add_argument("--epochs", type=int, default=6)
    parser.add_argument("--images", type=int, default=96, help="for training")
    options = parser.parse_args()
    rng, failed = random.Random(options.seed), False
    row = "{:7}  {:4}  {:5}  {:17}  {:15}  {}"
    print(row.format("workers", "runs", *STAGES, "identical"), flush=True)
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        make_shapes(folder / "shapes", train=options.images, val=8, size=64)
        for workers in (0, 1, 2):
            left = options.kills // 3 + (workers < options.kills % 3)
            unbroken = f"unbroken{workers}"
            (folder / f"{unbroken}.yaml").write_text(CONFIG)
            if fit(folder, unbroken, workers, options.epochs).wait():
                sys.exit((folder / f"{unbroken}.log").read_text())
            totals, found, runs = Counter(), set(), 0
            while totals["kills"] < left:
                runs += 1
                name = f"killed{workers}_{runs}"
                (folder / f"{name}.yaml").write_text(CONFIG)
                more = left - totals["kills"]
                totals += killed_run(folder, name, workers, options.epochs, more, rng)
                found |= differences(*(folder / "runs" / run for run in (unbroken, name)))
            failed |= bool(found)
            print(row.format(workers, runs, *(totals[stage] for stage in STAGES), found or "yes"))
            sys.stdout.flush()
    sys.exit(failed)


if __name__ == "__main__":
    main()
