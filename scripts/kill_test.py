"""Kill training at random times and compare the resumed runs with an uninterrupted one.

    python scripts/kill_test.py --kills 30 --seed 0

For 0, 1 and 2 loader workers, the script trains twice on generated shapes: one run is
uninterrupted, the other is repeatedly killed (SIGKILL) and resumed with ``--ckpt_path last``, or
restarted if it left no checkpoint. The last checkpoints (weights, their average, optimizer,
schedule, progress) and metrics.csv must be equal bit for bit. Prints a table; the exit status is 1
on any difference.
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

# Kills in total, kills before the first checkpoint, and kills with a checkpoint within an epoch.
STAGES = ("kills", "before checkpoint", "within an epoch")
ROOT = Path(__file__).parents[1]
CONFIG = (ROOT / "configs" / "shapes_resnet10t.yaml").read_text()
OPTIONS = (
    "--data.root=shapes", "--data.batch_size=4", "--model.backbone=test_resnet",
    "--model.heatmap_loss=ghm", "--model.heatmap_loss_options={schedule: epoch, momentum: 0.5}",
    "--trainer.accelerator=cpu", "--trainer.enable_progress_bar=false",
    "--trainer.check_val_every_n_epoch=2", "--trainer.callbacks+=GradientByDifficulty",
    "--checkpoint_minutes=0.002", "--report=false",
)  # fmt: skip


def fit(folder: Path, name: str, workers: int, epochs: int, *options: str) -> subprocess.Popen:
    """Start training in its own process group."""
    command = [
        sys.executable, ROOT / "train.py", "fit", f"--config={name}.yaml", *OPTIONS,
        f"--data.workers={workers}", f"--trainer.max_epochs={epochs}", *options,
    ]  # fmt: skip
    with (folder / f"{name}.log").open("a") as log:
        return subprocess.Popen(
            command, cwd=folder, stdout=log, stderr=log, start_new_session=True,
            env=os.environ | {"OMP_NUM_THREADS": "1"},
        )  # fmt: skip


def killed_run(
    folder: Path, name: str, workers: int, epochs: int, kills: int, rng: random.Random
) -> Counter:
    """Train with at most ``kills`` kills; return their numbers by ``STAGES``."""
    counts = Counter()
    last = folder / "runs" / name / "last.ckpt"
    while True:
        resume = ["--ckpt_path=last"] if last.exists() else []
        process = fit(folder, name, workers, epochs, *resume)
        if counts["kills"] < kills and kill(process, last, rng):
            counts["kills"] += 1
            # The state that the next start resumes from.
            if not last.exists():
                counts["before checkpoint"] += 1
            elif "unfinished_epoch" in read_file(last):
                counts["within an epoch"] += 1
        elif process.wait() == 0:
            return counts
        else:
            sys.exit(f"training failed, see {folder / name}.log")


def kill(process: subprocess.Popen, last: Path, rng: random.Random) -> bool:
    """Kill a process at a random moment; return False if it ended earlier."""
    # Mostly after it wrote a checkpoint; otherwise most kills would hit the imports.
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
    """Modification time of a file in ns; 0 if it does not exist."""
    try:
        return path.stat().st_mtime_ns
    except FileNotFoundError:
        return 0


def same(first: object, second: object) -> bool:
    """Whether two parts of checkpoints are equal bit for bit."""
    if isinstance(first, torch.Tensor):
        return torch.equal(first, second)
    if isinstance(first, dict):
        return first.keys() == second.keys() and all(same(first[k], second[k]) for k in first)
    if isinstance(first, list | tuple):
        return len(first) == len(second) and all(map(same, first, second))
    return first == second


def differences(uninterrupted: Path, killed: Path) -> set[str]:
    """Names of the checkpoint entries and files that differ between two runs."""
    first, second = (read_file(run / "last.ckpt") for run in (uninterrupted, killed))
    names = first.keys() | second.keys()
    found = {name for name in names if not same(first.get(name), second.get(name))}
    tables = [(run / "metrics.csv").read_bytes() for run in (uninterrupted, killed)]
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
            uninterrupted = f"uninterrupted{workers}"
            (folder / f"{uninterrupted}.yaml").write_text(CONFIG)
            if fit(folder, uninterrupted, workers, options.epochs).wait():
                sys.exit((folder / f"{uninterrupted}.log").read_text())
            totals, found, runs = Counter(), set(), 0
            while totals["kills"] < left:
                runs += 1
                name = f"killed{workers}_{runs}"
                (folder / f"{name}.yaml").write_text(CONFIG)
                more = left - totals["kills"]
                totals += killed_run(folder, name, workers, options.epochs, more, rng)
                found |= differences(*(folder / "runs" / run for run in (uninterrupted, name)))
            failed |= bool(found)
            print(row.format(workers, runs, *(totals[stage] for stage in STAGES), found or "yes"))
            sys.stdout.flush()
    sys.exit(failed)


if __name__ == "__main__":
    main()
