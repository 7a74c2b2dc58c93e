"""Videos for benchmarks/tracking.py: detections and truth of each frame."""

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import cv2
import numpy as np
import supervision as sv
from numpy.typing import NDArray
from tracking_scenes import CLASSES, FPS, HEIGHT, WIDTH, Scene

from centernet import Detector
from centernet.geometry import box_iou
from centernet.inference.video.score_scale import lowest_thresholds

# Other seeds than those of the training images, and than those that chose the options.
_SEEDS, _FRAMES = range(10, 15), 200
_TRAINING = {"train": range(1000, 1300), "val": range(2000, 2040)}  # seeds


@dataclass(frozen=True)
class Clip:
    """A video as detections and truth, each a list by frame.

    Attributes:
        name: name of the video.
        found: detections that reach the lowest thresholds.
        truth: true boxes with ``tracker_id`` and ``class_id``.
        thresholds: (C,) the score threshold of each class.
        fps: frames per second.
    """

    name: str
    found: list[sv.Detections]
    truth: list[sv.Detections]
    thresholds: NDArray[np.float64]
    fps: float

    def every(self, step: int) -> "Clip":
        """One of ``step`` frames."""
        return replace(self, found=self.found[::step], truth=self.truth[::step])


def shape_clips(detector: Detector) -> list[Clip]:
    """Detect in the drawn videos."""
    thresholds, clips = detector.thresholds("best"), []
    for seed in _SEEDS:
        found, truth = [], []
        for frame in Scene(seed).frames(_FRAMES):
            found.append(detector(frame.image, threshold=lowest_thresholds(thresholds)))
            truth.append(sv.Detections(frame.boxes, class_id=frame.labels, tracker_id=frame.ids))
        clips.append(Clip(f"shapes-{seed}", found, truth, thresholds, FPS))
    return clips


def mot_clips(folders: Sequence[Path]) -> list[Clip]:
    """Read sequences of the MOT Challenge: one class, frames and pixels from 1."""
    tables = {}
    for folder in folders:
        rows = [np.loadtxt(folder / f"{part}/{part}.txt", delimiter=",") for part in ("gt", "det")]
        tables[folder.name] = rows[0][rows[0][:, 6] > 0], rows[1]
    clips = []
    for name, (truth, found) in tables.items():
        others = [table for other, table in tables.items() if other != name]
        threshold = np.array([best_threshold(others)])
        frames = range(1, int(truth[:, 0].max()) + 1)
        lowest = lowest_thresholds(threshold)[0]
        found = found[found[:, 6] >= lowest]
        clips.append(
            Clip(
                name,
                [_detections(found[found[:, 0] == frame]) for frame in frames],
                [_detections(truth[truth[:, 0] == frame]) for frame in frames],
                threshold,
                FPS,
            )
        )
    return clips


def best_threshold(tables: Sequence[tuple[NDArray, NDArray]]) -> float:
    """The score with the best F1 at an IoU of 0.5, over (truth, detections) of sequences."""
    scores, matched, total = [], [], 0
    for truth, found in tables:
        total += len(truth)
        for frame in np.unique(found[:, 0]):
            boxes, best_first = truth[truth[:, 0] == frame], found[found[:, 0] == frame]
            best_first = best_first[np.argsort(-best_first[:, 6])]
            iou = box_iou(_xyxy(best_first)[:, None], _xyxy(boxes)[None])
            for row, score in zip(iou, best_first[:, 6], strict=True):
                hit = bool(len(row)) and row.max() >= 0.5
                if hit:
                    iou[:, row.argmax()] = 0
                scores.append(score)
                matched.append(hit)
    order = np.argsort(scores)[::-1]
    hits = np.cumsum(np.array(matched)[order])
    f1 = 2 * hits / (np.arange(1, len(order) + 1) + total)
    return float(np.array(scores)[order][f1.argmax()])


def _xyxy(rows: NDArray) -> NDArray:
    return np.hstack([rows[:, 2:4] - 1, rows[:, 2:4] - 1 + rows[:, 4:6]])


def _detections(rows: NDArray) -> sv.Detections:
    """Rows of a gt.txt or det.txt, the best first."""
    rows = rows[np.argsort(-rows[:, 6], kind="stable")]
    return sv.Detections(
        _xyxy(rows),
        confidence=rows[:, 6],
        class_id=np.zeros(len(rows), int),
        tracker_id=rows[:, 1].astype(int),
        data={"class_name": np.full(len(rows), "object")},
    )


def write_shapes(root: Path) -> None:
    """Write images of scenes as a COCO dataset."""
    for split, seeds in _TRAINING.items():
        (root / split).mkdir(parents=True, exist_ok=True)
        (root / "annotations").mkdir(exist_ok=True)
        images, annotations = [], []
        for seed in seeds:
            frame = next(Scene(seed, 6 + seed % 9).frames(1))
            cv2.imwrite(str(root / split / f"{seed}.png"), frame.image[..., ::-1])
            images.append(
                {"id": seed, "file_name": f"{seed}.png", "width": WIDTH, "height": HEIGHT}
            )
            for (x, y, right, bottom), label in zip(frame.boxes, frame.labels, strict=True):
                box = {"bbox": [x, y, right - x, bottom - y], "area": (right - x) * (bottom - y)}
                ids = {"id": len(annotations) + 1, "image_id": seed, "category_id": int(label) + 1}
                annotations.append(ids | box | {"iscrowd": 0})
        categories = [{"id": number, "name": name} for number, name in enumerate(CLASSES, 1)]
        content = {"images": images, "annotations": annotations, "categories": categories}
        (root / "annotations" / f"instances_{split}.json").write_text(json.dumps(content))
