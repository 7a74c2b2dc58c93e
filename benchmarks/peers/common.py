"""The command line that the scripts of all peers share, and detections in COCO's result format."""

import argparse
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any


def main(train: Callable, detect: Callable) -> None:
    """Run ``train`` or ``detect`` with the options of the command line."""
    parser = argparse.ArgumentParser()
    commands = parser.add_subparsers(required=True)
    training = commands.add_parser("train")
    training.add_argument("--model", required=True)
    training.add_argument("--data", type=Path, required=True, help="data.yaml of a YOLO dataset")
    training.add_argument("--epochs", type=int, required=True)
    training.add_argument("--fraction", type=float, default=1.0, help="of the training images")
    training.add_argument("--short-run", action="store_true", help="settings for short runs")
    training.add_argument("--seed", type=int, default=0)
    training.set_defaults(run=train)
    detection = commands.add_parser("detect")
    detection.add_argument("--weights", type=Path, required=True, help="output folder of train")
    detection.add_argument("--annotations", type=Path, required=True, help="COCO JSON")
    detection.add_argument("--images", type=Path, required=True, help="folder of its images")
    detection.add_argument("--top-k", type=int, required=True, help="detections per image")
    detection.add_argument("--score-threshold", type=float, required=True)
    detection.set_defaults(run=detect)
    for command in (training, detection):
        command.add_argument("--size", type=int, required=True, help="longer side of the input")
        command.add_argument("--output", type=Path, required=True)
    options = parser.parse_args()
    options.run(options)


def write_results(options: argparse.Namespace, predict: Callable[[Path], Any]) -> None:
    """Detect in all images of an annotation file; write COCO's result format to ``output``.

    ``predict`` returns xyxy boxes (K, 4), scores (K,) and class names of an image file.
    """
    content = json.loads(options.annotations.read_text())
    category_ids = {category["name"]: category["id"] for category in content["categories"]}
    results = []
    for image in content["images"]:
        boxes, scores, names = predict(options.images / image["file_name"])
        for (x1, y1, x2, y2), score, name in zip(
            boxes.tolist(), scores.tolist(), names, strict=True
        ):
            results.append(
                {
                    "image_id": image["id"],
                    "category_id": category_ids[name],
                    "bbox": [x1, y1, x2 - x1, y2 - y1],
                    "score": score,
                }
            )
    options.output.write_text(json.dumps(results))
