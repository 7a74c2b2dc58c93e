"""Report memory, open files and threads during many detections; they should stay constant.

python scripts/soak.py
python scripts/soak.py --detections 100000 --every 10000
"""

import argparse
import os
import tempfile
import threading
from pathlib import Path

import cv2
import numpy as np
import torch

from centernet.inference.detector import Detector
from centernet.models.centernet import CenterNet
from centernet.models.checkpoints import checkpoint_of, save_file

_FILES = 20


def main() -> None:
    """Detect in small image files and print the figures at intervals."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "--detections", type=int, default=10_000, help="total number (default: %(default)s)"
    )
    parser.add_argument(
        "--every", type=int, default=1000, help="detections per line (default: %(default)s)"
    )
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        detector, files = _detector(Path(folder)), _images(Path(folder))
        print(f"{'detections':>10} {'RSS MB':>8} {'files':>6} {'threads':>8} {'Python':>7}")
        for number in range(1, options.detections + 1):
            detector(files[number % len(files)], threshold=0.1)
            if number % options.every == 0:
                print(f"{number:>10,} {_figures()}", flush=True)


def _detector(folder: Path) -> Detector:
    torch.manual_seed(0)
    network = CenterNet(2, "test_resnet", neck_channels=(8, 8, 8), head_channels=4)
    save_file(checkpoint_of(network, (64, 64)), folder / "w.ckpt")
    return Detector.load(folder / "w.ckpt", device="cpu")


def _images(folder: Path) -> list[Path]:
    """Images of different sizes."""
    rng, files = np.random.default_rng(0), []
    for number in range(_FILES):
        files.append(folder / f"{number}.jpg")
        size = (*rng.integers(40, 120, 2), 3)
        cv2.imwrite(str(files[-1]), rng.integers(0, 256, size, np.uint8))
    return files


def _figures() -> str:
    """Resident memory, open files, threads of the process and threads of Python."""
    status = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines())
    resident = int(status["VmRSS"].split()[0]) / 1000
    files = len(os.listdir("/proc/self/fd"))
    threads, of_python = int(status["Threads"]), threading.active_count()
    return f"{resident:>8.1f} {files:>6} {threads:>8} {of_python:>7}"


if __name__ == "__main__":
    main()
