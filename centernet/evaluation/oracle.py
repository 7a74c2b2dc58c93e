"""Oracle analysis: average precision with some outputs replaced by the ground truth.

The error analysis of "Objects as Points" (Zhou et al., 2019), section 5.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Any

import torch
from torch import Tensor
from torch.utils.data import DataLoader
from tqdm import tqdm

from centernet.data.dataset import DetectionDataset, collate
from centernet.errors import InputError
from centernet.evaluation.coco import Evaluation
from centernet.evaluation.ground_truth import GroundTruth
from centernet.evaluation.ground_truth_maps import drop_zero_scores, ground_truth_outputs
from centernet.evaluation.results import CocoResults, in_image_pixels
from centernet.heads import HEADS
from centernet.models.base import DetectionModel


@dataclass(frozen=True)
class Row:
    """One row of the analysis.

    Attributes:
        replaced: names of the outputs that were replaced.
        evaluation: metrics of the resulting detections.
    """

    replaced: tuple[str, ...]
    evaluation: Evaluation


@torch.inference_mode()
def analyze(
    network: DetectionModel,
    dataset: DetectionDataset,
    *,
    device: str | torch.device = "cpu",
    batch_size: int = 16,
    top_k: int | None = None,
    progress: bool = False,
) -> list[Row]:
    """Evaluate a network with every combination of outputs replaced, from none to all.

    Args:
        network: a trained network with heatmaps.
        dataset: images with annotations, not augmented.
        device: device of the network.
        batch_size: images per batch.
        top_k: detections per image; by default as many as in training.
        progress: show a progress bar.

    Raises:
        InputError: the network has no heatmaps, or the dataset no annotations.
    """
    if not network.has_heatmaps:
        raise InputError("oracle replaces heatmaps, but the network of these weights has none")
    if dataset.annotations is None:
        raise InputError("oracle needs a dataset with annotations")
    network = network.eval().to(device)
    top_k = top_k or network.top_k
    loader = DataLoader(dataset, batch_size, collate_fn=collate)
    collected: dict[tuple[str, ...], CocoResults] = {}
    for images, targets in tqdm(loader, "images", disable=not progress, leave=False):
        outputs = network(images.to(device))
        for replaced, results in _decode_all(network, outputs, targets, top_k).items():
            kept = collected.setdefault(replaced, CocoResults())
            detections = in_image_pixels(results, targets, network.point_sizes)
            for target, found in zip(targets, detections, strict=True):
                kept.add(target["image_id"], found, dataset.category_ids)
    annotations = GroundTruth(dataset.annotations)
    return [
        Row(
            replaced,
            kept.evaluate(annotations, top_k=top_k, has_box_sizes=network.has_box_sizes),
        )
        for replaced, kept in collected.items()
    ]


def _decode_all(
    network: DetectionModel,
    outputs: dict[str, Tensor],
    targets: Sequence[Mapping[str, Any]],
    top_k: int,
) -> dict[tuple[str, ...], list[dict[str, Tensor]]]:
    """The detections of a batch for every combination of replaced outputs."""
    truth = ground_truth_outputs(outputs, network.encode(targets, outputs))
    detections = {}
    for count in range(len(truth) + 1):
        for replaced in combinations(truth, count):
            mixed = outputs | {name: truth[name] for name in replaced}
            results = network.decode(mixed, top_k=top_k)
            # With a ground truth heatmap, a score of 0 is a cell without an object.
            is_exact = any(HEADS[name].is_dense for name in replaced)
            detections[replaced] = drop_zero_scores(results) if is_exact else results
    return detections


def numbers(rows: Sequence[Row]) -> list[dict[str, Any]]:
    """The rows as plain values for JSON, with None for NaN."""

    def plain(value: Any) -> Any:
        """Replace NaN by None, because JSON has no NaN."""
        return None if value != value else value

    return [
        {
            "replaced": list(row.replaced),
            "metrics": {k: plain(v) for k, v in row.evaluation.metrics.items()},
            "per_class": [
                {k: plain(v) for k, v in c.items()} for c in row.evaluation.per_class
            ],
        }
        for row in rows
    ]  # fmt: skip
