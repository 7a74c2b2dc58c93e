"""Analyze one image: heatmaps, all peaks with their boxes, and the errors."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from centernet import geometry
from centernet.analysis.inspector.error_types import (
    ErrorType,
    Match,
    Objects,
    Peaks,
    Regions,
    classify_errors,
)
from centernet.analysis.inspector.overlaps import overlaps_with_points
from centernet.data.dataset import DetectionDataset
from centernet.data.points import keep_points
from centernet.data.preprocess import InputView
from centernet.decode import collapse_points, read_heads
from centernet.heads import Cells
from centernet.inference.detector import Detector
from centernet.inference.engines.torch_engine import as_arrays
from centernet.inference.heatmaps import peak_cells
from centernet.inference.tta import clip_to_image, to_image
from centernet.models.base import DetectionModel
from centernet.targets import encode_targets, target_radius

# Local maxima with a lower score are not peaks.
MIN_SCORE = 0.05
# Peaks per image, times top_k. More than top_k, so that the page shows what the limit cuts off.
_PEAKS_PER_TOP_K = 2


@dataclass(frozen=True)
class Example:
    """An image with its annotations, if there are any. Boxes are xyxy in image pixels.

    Attributes:
        path: image file.
        name: shown in the page.
        boxes: (n, 4); None for an image without annotations.
        labels: (n,); None for an image without annotations.
        regions: label (None for all classes) and annotation of each ignore region.
        image_id: id in the annotation file.
        points: (n,) bool, the objects without a size, whose boxes are squares of typical size; None
            if all have boxes.
    """

    path: Path
    name: str
    boxes: NDArray | None = None
    labels: NDArray | None = None
    regions: Sequence[tuple[int | None, Mapping[str, Any]]] = ()
    image_id: Any = None
    points: NDArray[np.bool_] | None = None


@dataclass(frozen=True)
class GroundTruthMatches:
    """The ground truth of an image, and how it matches the peaks.

    Attributes:
        objects: those that are visible in the network input.
        regions: ignore regions.
        of_objects: a match for each object.
        of_peaks: a match for each peak.
    """

    objects: Objects
    regions: Regions
    of_objects: Sequence[Match]
    of_peaks: Sequence[Match]


@dataclass(frozen=True)
class ImageAnalysis:
    """Detections and ground truth of one image, and the errors.

    Attributes:
        example: the image.
        size: (height, width) of the image in pixels.
        peaks: all peaks, best first.
        detections: ``boxes`` (K, 4), ``scores``, ``labels``, as the detector returns them.
        truth: ground truth and matches; None for an image without annotations.
    """

    example: Example
    size: tuple[int, int]
    peaks: Peaks
    detections: Mapping[str, NDArray]
    truth: GroundTruthMatches | None = None

    def error_score(self, thresholds: NDArray) -> float:
        """Sort key for the errors of the image: their number, then their size.

        ``errorScore`` in ``matches.js`` computes the same in the browser.

        Args:
            thresholds: (C,) score threshold by label.
        """
        if self.truth is None:
            return 0.0
        scores, total = self.peaks.scores, 0.0
        objects, matches = self.truth.objects, self.truth.of_objects
        for match, label in zip(matches, objects.labels, strict=True):
            score = 0.0 if match.index is None else scores[match.index]
            total += bool(match.error_at(thresholds[label], scores)) + 1e-3 * (1 - score)
        for k, _ in self.false_positives(thresholds):
            total += 1 + 1e-3 * scores[k]
        return float(total)

    def missed_objects(self, thresholds: NDArray) -> Iterator[tuple[int, ErrorType]]:
        """Index and error type of each object that is missed at the thresholds (C,)."""
        if self.truth is None:
            return
        labels = self.truth.objects.labels
        for i, match in enumerate(self.truth.of_objects):
            error = match.error_at(thresholds[labels[i]], self.peaks.scores)
            if error:
                yield i, error

    def false_positives(self, thresholds: NDArray) -> Iterator[tuple[int, ErrorType]]:
        """Index and error type of each peak that is a false positive at the thresholds (C,)."""
        if self.truth is None:
            return
        for k, match in enumerate(self.truth.of_peaks):
            is_detected = self.peaks.scores[k] >= thresholds[self.peaks.labels[k]]
            if match.error and match.error != ErrorType.IGNORED and is_detected:
                yield k, match.error


@dataclass(frozen=True)
class ImageMaps:
    """The pixels and heatmaps of one image.

    Attributes:
        pixels: (H, W, 3) uint8 RGB.
        heat: (C, h, w) predicted probabilities; None for a network without heatmaps.
        target: (C, h, w) target heatmaps; None for an image without annotations.
        matrix: (2, 3) from cells to image pixels.
    """

    pixels: NDArray[np.uint8]
    heat: NDArray[np.float32] | None
    target: NDArray[np.float32] | None
    matrix: geometry.Matrix


def dataset_examples(dataset: DetectionDataset) -> Iterator[Example]:
    """The images of a dataset with their annotations."""
    for index, (path, image_id) in enumerate(zip(dataset.paths, dataset.image_ids, strict=True)):
        found = dataset.annotation(index)
        values = found.boxes, found.labels, found.regions
        yield Example(path, path.name, *values, image_id, found.points)


def analyze_image(
    detector: Detector, example: Example, *, iou: float = 0.5
) -> tuple[ImageAnalysis, ImageMaps]:
    """Run the detector on one image, and classify its errors.

    Args:
        detector: a detector with one scale.
        example: the image, with or without annotations.
        iou: minimum IoU of a correct detection.

    Raises:
        InputError: the image cannot be read.
    """
    pixels, view, outputs = detector.outputs(example.path)
    size = (pixels.shape[0], pixels.shape[1])
    network, top_k = detector.network, int(detector.top_k)
    stride = network.stride
    decoded = as_arrays(network.decode(outputs, top_k=top_k)[0])
    detections = clip_to_image(to_image(decoded, view.matrix, network.point_sizes), size)
    heat = None
    if network.has_heatmaps:
        logits = outputs["heatmap"][0].float().cpu()
        heat = logits.sigmoid().numpy()
        found = _peaks(network, outputs, logits.numpy(), _PEAKS_PER_TOP_K * top_k)
        kept = clip_to_image(to_image(found, view.matrix, network.point_sizes), size)
        peaks = Peaks(kept["boxes"], kept["labels"], kept["cells"], kept["scores"])
    else:
        peaks = _as_peaks(detections, view.matrix, stride)
    truth, target = None, None
    if example.boxes is not None and example.labels is not None:
        shape = (len(detector.class_names), *_cells(view, stride))
        objects, points, target = _objects(example, view, shape, stride)
        regions = _regions(example)
        overlap = overlaps_with_points(
            peaks.boxes, peaks.labels, objects.boxes, points, network.point_sizes
        )
        matches = classify_errors(objects, peaks, regions, heat, iou=iou, overlap=overlap)
        truth = GroundTruthMatches(objects, regions, *matches)
    to_pixels = geometry.invert(view.matrix) * np.array([stride, stride, 1])
    analysis = ImageAnalysis(example, size, peaks, detections, truth)
    return analysis, ImageMaps(pixels, heat, target, to_pixels)


def _cells(view: InputView, stride: int) -> tuple[int, int]:
    height, width = view.pixels.shape[:2]
    return height // stride, width // stride


def _peaks(
    network: DetectionModel, outputs: Mapping[str, Tensor], logits: NDArray, max_peaks: int
) -> dict[str, NDArray]:
    """The peaks in the form of detections, boxes in input pixels, with ``cells`` (x, y)."""
    label, row, column, scores = (values[:max_peaks] for values in peak_cells(logits, MIN_SCORE))
    columns = logits.shape[2]
    cell = torch.from_numpy(row * columns + column)[None].to(outputs["heatmap"].device)
    cells = Cells(cell, columns, network.stride)
    fields = read_heads(outputs, cells) | {"cells": cells.corner}
    fields["labels"] = torch.from_numpy(label)[None].to(cell.device)
    fields = collapse_points(fields, outputs, network.point_sizes, stride=network.stride)
    return {
        "boxes": as_arrays(fields)["boxes"][0],
        "labels": label,
        "scores": scores,
        "cells": np.column_stack([column, row]),
    }


def _as_peaks(detections: Mapping[str, NDArray], matrix: geometry.Matrix, stride: int) -> Peaks:
    """Detections of a network without heatmaps as peaks, in the cells of the box centers."""
    kept = detections["scores"] >= MIN_SCORE
    boxes, labels, scores = (detections[name][kept] for name in ("boxes", "labels", "scores"))
    in_input = geometry.transform_boxes(boxes, matrix)
    cells = np.floor((in_input[:, :2] + in_input[:, 2:]) / (2 * stride)).astype(np.int64)
    return Peaks(boxes, labels, cells, scores)


def _objects(
    example: Example, view: InputView, shape: tuple[int, int, int], stride: int
) -> tuple[Objects, NDArray, NDArray]:
    """The objects in the network input, which of them are points, and target heatmaps (C, h, w)."""
    boxes, labels, points = example.boxes, example.labels, example.points
    assert boxes is not None and labels is not None
    points = np.zeros(len(boxes), bool) if points is None else points
    size = (view.pixels.shape[0], view.pixels.shape[1])
    unclipped = geometry.transform_boxes(boxes, view.matrix)
    in_input, visible = geometry.clip_boxes(unclipped, size)
    keep_points(unclipped, in_input, visible, points, size)
    labels = labels[visible]
    targets = encode_targets(
        [{"boxes": torch.from_numpy(in_input[visible]), "labels": torch.from_numpy(labels)}],
        (1, *shape),
        stride=stride,
    )
    cell, radius = targets.cell_index.numpy(), target_radius(targets.size).numpy()
    cells = np.column_stack([cell % shape[2], cell // shape[2]])
    objects = Objects(boxes[visible], labels, cells, radius)
    return objects, points[visible], targets.heatmap[0].numpy()


def _regions(example: Example) -> Regions:
    """Ignore regions by their boxes, as in COCO's evaluation of boxes."""
    boxes = np.array([region["bbox"] for _, region in example.regions], np.float32).reshape(-1, 4)
    boxes = geometry.xywh_to_xyxy(boxes)
    labels = [-1 if label is None else label for label, _ in example.regions]
    return Regions(boxes, np.array(labels, np.int64))
