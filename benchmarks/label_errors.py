r"""Measure how well ``centernet labels`` finds planted label errors.

python benchmarks/label_errors.py plant data/bccd/annotations/instances_train.json \
    data/bccd/images planted
centernet fit --config configs/custom.yaml --data.root planted --data.train_images images \
    --data.val_images images --data.image_size 256x192 --trainer.max_epochs 10 \
    --data.augment.vertical_flip 0.5 --data.folds 5
python benchmarks/label_errors.py score planted runs/custom
python benchmarks/label_errors.py score planted runs/custom --peers-python ENVIRONMENT/bin/python

The kinds of errors are those of benchmarks/plant_label_errors.py. The table has, for each kind, the
average precision of the ranking, the precision of its first 50 and 100 entries, and how many errors
it contains. For a ranking of one kind, other errors count as false.

With --peers-python, also for ObjectLab of cleanlab, on the same detections of the same models. Its
two thresholds are chosen by the planted errors themselves, in its favor. It is no dependency of
this project (AGPL-3.0): pip install cleanlab in an environment of its own.

``repair`` accepts all suspicions with a score of at least --accept, to train on the result.
"""

import argparse
import json
import subprocess
import tempfile
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from plant_label_errors import KINDS, write

from centernet.analysis.inspector.error_types import box_overlaps
from centernet.analysis.labels.apply import apply_corrections
from centernet.analysis.labels.corrections import corrections_of
from centernet.analysis.labels.find_label_errors import LabelErrors, find_label_errors
from centernet.analysis.labels.listing import ranked
from centernet.analysis.labels.suspicions import LabelError
from centernet.cli import run_and_exit

KIND_OF = {
    "drop": LabelError.MISSING,
    "shift": LabelError.POOR_BOX,
    "relabel": LabelError.WRONG_CLASS,
    "add": LabelError.SPURIOUS,
}
_SAME_BOX = 0.5  # minimum IoU of a found object with the dropped one
_TOLERANCE = 0.6  # pixels between the corners of an annotation and of the planted one
_FIRST = (50, 100)
_BINS = (0.1, 0.2, 0.4, 0.6, 0.8, 0.9, 1.0)
OBJECTLAB = Path(__file__).parent / "peers" / "objectlab.py"


@dataclass(frozen=True)
class Entry:
    """An entry of a ranking. ``boxes`` (m, 4) are xyxy: annotations, or the proposed object."""

    score: float
    kind: str
    image: str
    boxes: NDArray


class Truth:
    """The planted errors by file name and kind; boxes are xyxy."""

    def __init__(self, folder: Path) -> None:
        """Read planted.json of a dataset with errors."""
        coco = json.loads((folder / "annotations" / "instances_train.json").read_text())
        names = {image["id"]: image["file_name"] for image in coco["images"]}
        self._boxes: dict[tuple[str, str], list[NDArray]] = defaultdict(list)
        for error in json.loads((folder / "planted.json").read_text()):
            x, y, w, h = error["true" if error["kind"] == "drop" else "false"][1]
            box = np.array([x, y, x + w, y + h])
            self._boxes[names[error["image_id"]], error["kind"]].append(box)

    def count(self, kind: str) -> int:
        """Number of planted errors of a kind."""
        return sum(len(boxes) for (_, own), boxes in self._boxes.items() if own == kind)

    def hits(self, entries: Sequence[Entry], kinds: Sequence[str] = KINDS) -> list[str]:
        """For each entry, best first, the kind of the error that it finds first, or ''."""
        found: set[tuple[str, str, int]] = set()
        result = []
        for entry in entries:
            keys = ((entry.image, kind, n) for kind in kinds for n in self._matches(entry, kind))
            key = next((key for key in keys if key not in found), None)
            found |= {key} if key else set()
            result.append(key[1] if key else "")
        return result

    def _matches(self, entry: Entry, kind: str) -> list[int]:
        boxes = self._boxes.get((entry.image, kind), [])
        if (kind == "drop") != (entry.kind == LabelError.MISSING) or not len(entry.boxes):
            return []
        if kind == "drop":
            overlaps = box_overlaps(entry.boxes[:1], np.array(boxes).reshape(-1, 4))[0]
            return np.flatnonzero(overlaps >= _SAME_BOX).tolist()
        distances = [np.abs(entry.boxes - box).max(1).min() for box in boxes]
        return np.flatnonzero(np.array(distances) <= _TOLERANCE).tolist()


def average_precision(hits: Sequence[bool], total: int) -> float:
    """The mean over all errors of the precision at the rank of each; 0 for one not found."""
    array = np.asarray(hits, bool)
    precision = np.cumsum(array) / np.arange(1, len(array) + 1)
    return float((precision * array).sum() / total)


def row(name: str, hits: Sequence[bool], total: int) -> str:
    """A row of the table."""
    first = [f"{np.mean(hits[:n]) if len(hits) else 0:.2f}" for n in _FIRST]
    values = [f"{average_precision(hits, total):.3f}", *first, f"{sum(hits)}/{total}"]
    return f"| {name} | " + " | ".join(values) + " |"


def entries_of(errors: LabelErrors) -> list[Entry]:
    """The ranking of ``centernet labels``."""
    return [
        Entry(
            suspicion.score,
            suspicion.kind,
            image.image.file_name,
            suspicion.boxes
            if suspicion.kind == LabelError.MISSING
            else image.image.boxes[list(suspicion.objects)],
        )
        for image, suspicion in ranked(errors)
    ]


def score(folder: Path, weights: Path, peers_python: str | None) -> None:
    """Print the tables."""
    truth = Truth(folder)
    entries = entries_of(find_label_errors(folder, weights, progress=True))
    hits = truth.hits(entries)
    print("| ranking | AP | " + " | ".join(f"first {n}" for n in _FIRST) + " | found |")
    print("|---|---|---|---|---|")
    total = sum(map(truth.count, KINDS))
    print(row("all kinds", [bool(hit) for hit in hits], total))
    for kind in KINDS:
        own = [h == kind for e, h in zip(entries, hits, strict=True) if e.kind == KIND_OF[kind]]
        print(row(f"{kind} ({KIND_OF[kind]})", own, truth.count(kind)))
    if peers_python:
        for kind, (name, found) in object_lab(folder, weights, peers_python, truth).items():
            print(row(f"{kind}, ObjectLab ({name})", found, truth.count(kind)))
    print("\n| score | suspicions | planted errors |\n|---|---|---|")
    for low, high in pairwise(_BINS):
        inside = [bool(hit) for e, hit in zip(entries, hits, strict=True) if low <= e.score < high]
        print(f"| {low:g} to {high:g} | {len(inside)} | {np.mean(inside or [0]):.2f} |")


def object_lab(
    folder: Path, weights: Path, python: str, truth: Truth
) -> dict[str, tuple[str, list[bool]]]:
    """The best ranking of ObjectLab over its thresholds, and its name, for each kind it has."""
    with tempfile.TemporaryDirectory() as scratch:
        output = Path(scratch, "rankings.json")
        subprocess.run([python, OBJECTLAB, weights, output], check=True)
        rankings: list[dict[str, Any]] = json.loads(output.read_text())
    best: dict[str, tuple[str, list[bool]]] = {}
    for ranking in rankings:
        kind = ranking["kind"]
        entries = [
            Entry(-value, KIND_OF[kind], image, np.array([box]))
            for value, image, box in ranking["entries"]
        ]
        found = [hit == kind for hit in truth.hits(entries, [kind])]
        known = best.get(kind, ("", []))[1]
        total = truth.count(kind)
        if kind not in best or average_precision(found, total) > average_precision(known, total):
            best[kind] = (ranking["name"], found)
    return best


def repair(folder: Path, weights: Path, output: Path, least: float) -> None:
    """Accept the suspicions with at least this score."""
    errors = find_label_errors(folder, weights, progress=True)
    accepted = corrections_of(
        errors.images, errors.class_names, min_score=least, dataset=folder.name
    )
    print(apply_corrections(accepted, folder, output, images="link", follow_links=True))


def main() -> None:
    """Plant errors, score a ranking, or repair a dataset."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    commands = parser.add_subparsers(dest="command", required=True)
    plant = commands.add_parser("plant", help="write a copy of a dataset with errors")
    plant.add_argument("source", type=Path, help="COCO annotation file")
    plant.add_argument("images", type=Path, help="folder of its images")
    plant.add_argument("output", type=Path)
    plant.add_argument("--share", type=float, default=0.1, help="errors per object (%(default)s)")
    plant.add_argument("--seed", type=int, default=0)
    for name in ("score", "repair"):
        command = commands.add_parser(name)
        command.add_argument("dataset", type=Path, help="the output of plant")
        command.add_argument("weights", type=Path, help="folder of the cross-validation")
        if name == "score":
            command.add_argument("--peers-python", help="Python that has cleanlab")
        else:
            command.add_argument("output", type=Path)
            command.add_argument("--accept", type=float, default=0.5, help="(%(default)s)")
    options = parser.parse_args()
    if options.command == "plant":
        errors = write(options.source, options.images, options.output, options.share, options.seed)
        print(f"{options.output}: {len(errors)} errors")
    elif options.command == "score":
        score(options.dataset, options.weights, options.peers_python)
    else:
        repair(options.dataset, options.weights, options.output, options.accept)


if __name__ == "__main__":
    run_and_exit(main)
