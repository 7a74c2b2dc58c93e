"""Compare ways to detect small objects in large images: a table in Markdown.

python benchmarks/tiling.py runs/custom/best.ckpt data/mine --split val --tile 640

Every row detects at the same scale, that of the training, except the last one. One pass computes
the whole image; tiles are those of `--tile`; slices are those of supervision's InferenceSlicer,
which overlap by a fifth and whose boxes are merged by non-maximum suppression. "like one pass" is
the fraction of the detections of one pass, from a score of 0.3 on, that a row has with the same
class and an IoU above 0.9; "more" is the number of detections that one pass does not have.
"""

import argparse
from collections.abc import Callable
from time import perf_counter

import numpy as np
import supervision as sv
from numpy.typing import NDArray

from centernet import Detector
from centernet.cli import run_and_exit
from centernet.data.formats import read_dataset
from centernet.data.images import read_image
from centernet.data.preprocess import make_view
from centernet.evaluation.coco import evaluate
from centernet.evaluation.results import CocoResults
from centernet.geometry import box_iou, invert, transform_boxes
from centernet.inference.thresholds import DEFAULT_SCORE_THRESHOLD

Detect = Callable[[NDArray[np.uint8]], sv.Detections]
_HEADER = ["", "AP", "AP50", "like one pass", "more", "s per image"]
_OVERLAP = 0.2  # of a slice
_SAME_IOU = 0.9


def slicer(weights: str, side: int, top_k: int) -> Detect:
    """Detect in slices of an image that is scaled as in training."""
    trained = Detector.load(weights, top_k=top_k)
    of_slice = Detector.load(weights, resolution="keep", top_k=top_k)
    slices = sv.InferenceSlicer(
        lambda pixels: of_slice(pixels, threshold=0),
        slice_wh=side,
        overlap_wh=round(_OVERLAP * side),
    )

    def detect(image: NDArray[np.uint8]) -> sv.Detections:
        info = trained.engine.info
        fit = trained.config.input_fit(info.image_size)
        view = make_view(image, fit, info.size_multiple)
        found = slices(view.pixels)
        found.xyxy = transform_boxes(found.xyxy, invert(view.matrix))
        best = np.argsort(-found.confidence, kind="stable")[:top_k]
        return found[best]

    return detect


def methods(weights: str, tile: int, top_k: int) -> dict[str, Detect]:
    """The rows of the table."""

    def detector(**options: object) -> Detect:
        loaded = Detector.load(weights, top_k=top_k, **options)
        return lambda image: loaded(image, threshold=0)

    return {
        "one pass": detector(),
        f"tiles of {tile}": detector(tile=tile),
        f"slices of {tile} with NMS": slicer(weights, tile, top_k),
        "one pass, longest side 640": detector(resolution=640),
    }


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("weights", help="a checkpoint")
    parser.add_argument("dataset", help="a dataset in a format that docs/data.md lists")
    parser.add_argument("--split", default="val", help="split to detect in (%(default)s)")
    parser.add_argument("--tile", type=int, default=640, help="side in pixels (%(default)s)")
    parser.add_argument("--images", type=int, default=100, help="maximum number (%(default)s)")
    options = parser.parse_args()
    split = read_dataset(options.dataset)[options.split]
    top_k = Detector.load(options.weights).top_k
    entries = split.coco["images"][: options.images]
    reference: list[sv.Detections] = []
    print("| " + " | ".join(_HEADER) + " |\n|" + "---|" * len(_HEADER))
    for name, detect in methods(options.weights, options.tile, top_k).items():
        collected, found, seconds = CocoResults(), [], 0.0
        detect(read_image(split.images / entries[0]["file_name"]))  # not measured
        for entry in entries:
            image = read_image(split.images / entry["file_name"])
            start = perf_counter()
            found.append(detect(image))
            seconds += perf_counter() - start
            values = {"boxes": found[-1].xyxy, "scores": found[-1].confidence}
            values["labels"] = found[-1].class_id
            collected.add(entry["id"], values, category_ids(split, options.weights))
        reference = reference or found
        metrics = evaluate(split, collected.results, collected.image_ids, top_k=top_k).metrics
        alike, more = compare(reference, found)
        row = [name, f"{metrics['AP']:.3f}", f"{metrics['AP50']:.3f}", f"{alike:.1%}", str(more)]
        print("| " + " | ".join([*row, f"{seconds / len(entries):.2f}"]) + " |", flush=True)


def category_ids(split, weights: str) -> list[int | None]:
    """The category id of each class of the weights."""
    ids = {category["name"]: category["id"] for category in split.coco["categories"]}
    return [ids.get(name) for name in Detector.load(weights).class_names]


def compare(first: list[sv.Detections], second: list[sv.Detections]) -> tuple[float, int]:
    """The fraction of the first detections that the second has, and the number of others."""
    total = same = others = 0
    for ours, theirs in zip(first, second, strict=True):
        ours, theirs = (each[each.confidence >= DEFAULT_SCORE_THRESHOLD] for each in (ours, theirs))
        total += len(ours)
        if len(ours) and len(theirs):
            alike = box_iou(ours.xyxy[:, None], theirs.xyxy) > _SAME_IOU
            alike &= ours.class_id[:, None] == theirs.class_id
            same += int(alike.any(1).sum())
            others += int((~alike.any(0)).sum())
        else:
            others += len(theirs)
    return same / max(1, total), others


if __name__ == "__main__":
    run_and_exit(main)
