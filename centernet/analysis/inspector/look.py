"""One image as the detector sees it: heatmaps, every peak with its box, and what is there."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from centernet import geometry
from centernet.analysis.inspector.reasons import Objects, Peaks, Reason, Regions, Verdict, explain
from centernet.data.dataset import DetectionDataset
from centernet.data.preprocess import InputView
from centernet.decode import read_heads
from centernet.heads import Cells
from centernet.inference.detector import Detector
from centernet.inference.heatmaps import peak_cells
from centernet.inference.tta import clip_to_image, to_image
from centernet.models.base import DetectionModel
from centernet.targets import encode_targets, target_radius

# Fainter local maxima are no peaks, and of more than so many times top_k the faintest are left out.
FLOOR, MOST_PEAKS = 0.05, 2


@dataclass(frozen=True)
class Example:
    """An image and, where it is annotated, what is in it. Boxes are xyxy in image pixels.

    Attributes:
        path: of the image.
        name: as it is shown.
        boxes: (n, 4); None for an image that nobody annotated.
        labels: (n,).
        regions: label (None for all classes) and annotation of each ignore region.
        image_id: of the annotation file.
    """

    path: Path
    name: str
    boxes: NDArray | None = None
    labels: NDArray | None = None
    regions: Sequence[tuple[int | None, Mapping[str, Any]]] = ()
    image_id: Any = None


@dataclass(frozen=True)
class Findings:
    """What is there, what was found, and what to say about both.

    Attributes:
        example: the image.
        size: (height, width) of the image in pixels.
        peaks: all of them, best first.
        detections: ``boxes`` (K, 4), ``scores``, ``labels``: as many as the detector would give.
        objects: None for an image that nobody annotated; so are the next three.
        regions: ignore regions.
        missed: a verdict per object.
        false: a verdict per peak.
    """

    example: Example
    size: tuple[int, int]
    peaks: Peaks
    detections: Mapping[str, NDArray]
    objects: Objects | None = None
    regions: Regions | None = None
    missed: Sequence[Verdict] = ()
    false: Sequence[Verdict] = ()

    def badness(self, thresholds: NDArray) -> float:
        """How badly the image went: objects missed and boxes false, then by how far.

        The page's own ``badness`` (``verdicts.js``) says the same when its thresholds change.

        Args:
            thresholds: by label.
        """
        if self.objects is None:
            return 0.0
        scores, wrong = self.peaks.scores, 0.0
        for verdict, label in zip(self.missed, self.objects.labels, strict=True):
            score = 0.0 if verdict.match is None else scores[verdict.match]
            wrong += bool(verdict.at(thresholds[label], scores)) + 1e-3 * (1 - score)
        for verdict, score, label in zip(self.false, scores, self.peaks.labels, strict=True):
            false = verdict.reason not in (None, Reason.IGNORED)
            if false and score >= thresholds[label]:
                wrong += 1 + 1e-3 * score
        return float(wrong)


@dataclass(frozen=True)
class Maps:
    """What there is to look at.

    Attributes:
        pixels: (H, W, 3) uint8 RGB.
        heat: (C, h, w) predicted probabilities; None for a network without heatmaps.
        target: (C, h, w) what they should be; None for an image that nobody annotated.
        matrix: (2, 3) from cells to image pixels.
    """

    pixels: NDArray[np.uint8]
    heat: NDArray[np.float32] | None
    target: NDArray[np.float32] | None
    matrix: geometry.Matrix


def examples(dataset: DetectionDataset) -> Iterator[Example]:
    """The images of a dataset with their annotations."""
    for index, path in enumerate(dataset.paths):
        yield Example(path, path.name, *dataset.annotation(index), dataset.image_ids[index])


def look(detector: Detector, example: Example, *, iou: float = 0.5) -> tuple[Findings, Maps]:
    """Look at one image.

    Args:
        detector: with one scale.
        example: the image, with annotations or without.
        iou: overlap from which a box counts as right.

    Raises:
        InputError: the image cannot be read.
    """
    pixels, view, outputs = detector.outputs(example.path)
    network, back = detector.network, geometry.invert(view.matrix)
    found = to_image(network.decode(outputs, top_k=detector.top_k)[0], view.matrix)
    detections = clip_to_image(found, pixels.shape[:2])
    heat, stride = None, network.stride
    if network.has_heatmaps:
        logits = outputs["heatmap"][0].float().cpu()
        heat = logits.sigmoid().numpy()
        found = _peaks(network, outputs, logits.numpy(), MOST_PEAKS * detector.top_k)
        found = clip_to_image(to_image(found, view.matrix), pixels.shape[:2])
        peaks = Peaks(found["boxes"], found["labels"], found["cells"], found["scores"])
    else:
        peaks = _as_peaks(detections, view.matrix, stride)
    shape = (len(detector.class_names), *(side // stride for side in view.pixels.shape[:2]))
    findings = Findings(example, pixels.shape[:2], peaks, detections)
    target = None
    if example.boxes is not None:
        objects, target = _objects(example, view, shape, stride)
        regions = _regions(example)
        missed, false = explain(objects, peaks, regions, heat, iou=iou)
        findings = Findings(
            example, pixels.shape[:2], peaks, detections, objects, regions, missed, false
        )
    return findings, Maps(pixels, heat, target, back * np.array([stride, stride, 1]))


def _peaks(
    network: DetectionModel, outputs: Mapping[str, Tensor], logits: NDArray, most: int
) -> dict[str, Tensor]:
    """The peaks like decoded detections, boxes in input pixels, with their ``cells`` (x, y)."""
    label, row, column, scores = (values[:most] for values in peak_cells(logits, FLOOR))
    columns = logits.shape[2]
    cell = torch.from_numpy(row * columns + column)[None].to(outputs["heatmap"].device)
    return {
        "boxes": read_heads(outputs, Cells(cell, columns, network.stride))["boxes"][0],
        "labels": torch.from_numpy(label),
        "scores": torch.from_numpy(scores),
        "cells": torch.from_numpy(np.column_stack([column, row])),
    }


def _as_peaks(found: Mapping[str, NDArray], matrix: geometry.Matrix, stride: int) -> Peaks:
    """Detections of a network without heatmaps, as if their centres were peaks."""
    seen = found["scores"] >= FLOOR
    boxes, labels, scores = (found[name][seen] for name in ("boxes", "labels", "scores"))
    on_input = geometry.transform_boxes(boxes, matrix)
    cells = np.floor((on_input[:, :2] + on_input[:, 2:]) / (2 * stride)).astype(np.int64)
    return Peaks(boxes, labels, cells, scores)


def _objects(
    example: Example, view: InputView, shape: tuple[int, int, int], stride: int
) -> tuple[Objects, NDArray]:
    """The objects on the canvas, and the heatmap that a perfect network would give."""
    boxes = geometry.transform_boxes(example.boxes, view.matrix)
    boxes, seen = geometry.clip_boxes(boxes, view.pixels.shape[:2])
    labels = example.labels[seen]
    targets = encode_targets(
        [{"boxes": torch.from_numpy(boxes[seen]), "labels": torch.from_numpy(labels)}],
        (1, *shape),
        stride=stride,
    )
    cell, radius = targets.cell_index.numpy(), target_radius(targets.size).numpy()
    cells = np.column_stack([cell % shape[2], cell // shape[2]])
    return Objects(example.boxes[seen], labels, cells, radius), targets.heatmap[0].numpy()


def _regions(example: Example) -> Regions:
    """By their boxes, as COCO's evaluation of boxes takes them."""
    boxes = np.array([region["bbox"] for _, region in example.regions], np.float32).reshape(-1, 4)
    boxes = geometry.xywh_to_xyxy(boxes)
    labels = [-1 if label is None else label for label, _ in example.regions]
    return Regions(boxes, np.array(labels, np.int64))
