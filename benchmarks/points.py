"""Train on points instead of boxes, and on a mix of both: a table in Markdown.

python benchmarks/points.py data/bccd --image-size 256x192 --epochs 8 --distance 20

Every run has the same images, network, steps and seed; only the annotations of the training and
validation images differ:

- boxes: as they are.
- points: every box is reduced to its center.
- mix: a fifth of the training images has boxes, all others points.
- a fifth: only the images of that fifth, with boxes, for as many steps.

Measured on the test images: F1 of the centers by class, where a detection is correct at a distance
of at most `--distance` pixels, and the mean absolute error of the number of objects per image, both
at the score threshold of each class with the best F1 on the validation images; and COCO's AP.
"""

import argparse
import json
import sys
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from commands import run_logged

from centernet import Detector
from centernet.cli import run_and_exit
from centernet.data.annotations import DatasetSplit, read_coco
from centernet.data.formats import read_dataset
from centernet.data.points import point_entry
from centernet.evaluation.coco import evaluate
from centernet.evaluation.ground_truth import GroundTruth
from centernet.evaluation.points import evaluate_points, match_centers
from centernet.evaluation.results import CocoResults

_FIFTH = 5
_RUNS = ("boxes", "points", "mix", "a fifth")


def write_annotations(splits: dict[str, DatasetSplit], name: str, folder: Path) -> None:
    """Write the training and validation annotations of a run as COCO JSON.

    Args:
        splits: "train" and "val", with boxes.
        name: one of ``_RUNS``.
        folder: the files are ``train.json`` and ``val.json``.
    """
    folder.mkdir(parents=True, exist_ok=True)
    for part in ("train", "val"):
        coco = read_coco(splits[part])
        images = coco["images"]
        boxed = {image["id"] for image in images}
        if name == "points":
            boxed = set()
        elif part == "train" and name != "boxes":
            boxed = {image["id"] for image in images[::_FIFTH]}
        if name == "a fifth" and part == "train":
            images = [image for image in images if image["id"] in boxed]
        known = {image["id"] for image in images}
        annotations = [
            a if a["image_id"] in boxed or a["iscrowd"] else reduced(a)
            for a in ({k: v for k, v in a.items() if k != "region"} for a in coco["annotations"])
            if a["image_id"] in known
        ]
        content = {"images": images, "categories": coco["categories"], "annotations": annotations}
        (folder / f"{part}.json").write_text(json.dumps(content))


def reduced(annotation: dict[str, Any]) -> dict[str, Any]:
    """An annotation with its box reduced to the center."""
    x, y, width, height = annotation["bbox"]
    return annotation | point_entry(x + width / 2, y + height / 2)


def train(
    name: str, splits: dict[str, DatasetSplit], output: Path, options: argparse.Namespace
) -> Path:
    """Train a run, unless its weights exist; return them."""
    run = output / "runs" / name.replace(" ", "-")
    weights = run / "custom" / "best.ckpt"
    if weights.exists():
        return weights
    annotations = (output / name.replace(" ", "-")).resolve()
    write_annotations(splits, name, annotations)
    epochs = options.epochs * (_FIFTH if name == "a fifth" else 1)
    seconds = run_logged(
        name,
        [
            *(sys.executable, "-m", "centernet", "fit", "--config", options.config),
            *("--data.train_images", splits["train"].images.resolve()),
            *("--data.train_annotations", annotations / "train.json"),
            *("--data.val_images", splits["val"].images.resolve()),
            *("--data.val_annotations", annotations / "val.json"),
            *("--data.image_size", options.image_size, "--data.workers", 0, "--report", "false"),
            *("--trainer.max_epochs", epochs, "--trainer.check_val_every_n_epoch", epochs // 2),
            *("--trainer.default_root_dir", run, "--trainer.accelerator", "cpu"),
        ],
        output / f"{name.replace(' ', '-')}.log",
        {"OMP_NUM_THREADS": "1"},
    )
    print(f"{name}: {epochs} epochs in {seconds:.0f} s of CPU time", flush=True)
    return weights


def detections(weights: Path, split: DatasetSplit) -> list[dict[str, Any]]:
    """All detections of a split, in COCO's format."""
    detector = Detector.load(weights, device="cpu")
    category = {str(c["name"]): c["id"] for c in split.coco["categories"]}
    ids = [category.get(name) for name in detector.class_names]
    collected = CocoResults()
    for image in split.coco["images"]:
        found = detector(split.images / image["file_name"], threshold=0)
        values = {"boxes": found.xyxy, "scores": found.confidence, "labels": found.class_id}
        collected.add(image["id"], values, ids)
    return collected.results


def by_image(rows: Sequence[dict[str, Any]], category: int) -> defaultdict[Any, list]:
    """The rows of a category by image id."""
    found = defaultdict(list)
    for row in rows:
        if row["category_id"] == category:
            found[row["image_id"]].append(row)
    return found


def measure(weights: Path, splits: dict[str, DatasetSplit], distance: float) -> list[str]:
    """The cells of a row: F1 by class, counting error by class, AP, AP50."""
    truth = {part: read_coco(splits[part]) for part in ("val", "test")}
    found = {part: detections(weights, splits[part]) for part in ("val", "test")}
    best = evaluate_points(GroundTruth(truth["val"]), found["val"], distance=distance)
    scores, errors = [], []
    for category, row in zip(truth["test"]["categories"], best.per_class, strict=True):
        own = by_image(truth["test"]["annotations"], category["id"])
        chosen = [d for d in found["test"] if d["score"] >= row["threshold"]]
        detected = by_image(chosen, category["id"])
        correct, off = 0, []
        for image in truth["test"]["images"]:
            objects, hits = own[image["id"]], detected[image["id"]]
            correct += int((match_centers(objects, hits, distance) >= 0).sum())
            off.append(abs(len(objects) - len(hits)))
        total = sum(map(len, own.values())) + sum(map(len, detected.values()))
        scores.append(f"{2 * correct / total:.3f}" if total else "-")
        errors.append(f"{np.mean(off):.2f}")
    metrics = evaluate(truth["test"], found["test"], centers=False).metrics
    has_boxes = Detector.load(weights, device="cpu").engine.info.has_box_sizes
    ap = [f"{metrics[name]:.3f}" if has_boxes else "-" for name in ("AP", "AP50")]
    return [*scores, *errors, *ap]


def main() -> None:
    """Train what is missing, and print the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add("dataset", help="a dataset with boxes and the splits train, val and test")
    add("--config", default="configs/custom.yaml", help="configuration (%(default)s)")
    add("--image-size", default="256x192", help="input size (%(default)s)")
    add("--epochs", type=int, default=8, help="epochs of all training images (%(default)s)")
    add("--distance", type=float, default=20.0, help="in image pixels (%(default)s)")
    add("--runs", nargs="+", default=_RUNS, choices=_RUNS, help="runs (all)")
    add("--output", type=Path, default="runs/points", help="folder of the runs (%(default)s)")
    options = parser.parse_args()
    splits = read_dataset(options.dataset)
    names = [category["name"] for category in read_coco(splits["test"])["categories"]]
    weights = {name: train(name, splits, options.output, options) for name in options.runs}
    columns = [*(f"F1 {name}" for name in names), *(f"count error {name}" for name in names)]
    print("| trained on | " + " | ".join([*columns, "AP", "AP50"]) + " |")
    print("|---" * (len(columns) + 3) + "|")
    for name, path in weights.items():
        row = measure(path, splits, options.distance)
        print(f"| {name} | " + " | ".join(row) + " |", flush=True)


if __name__ == "__main__":
    run_and_exit(main)
