"""Average precision of a network with some of its outputs replaced by the ground truth."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Any

import torch
from torch import Tensor
from torch.utils.data import DataLoader
from tqdm import tqdm

from centernet.data.dataset import DetectionDataset, collate
from centernet.errors import InputError
from centernet.evaluation.coco import Evaluation, GroundTruth, evaluate
from centernet.evaluation.ground_truth_maps import drop_zero_scores, replaced, truth
from centernet.evaluation.results import CocoResults, in_image_pixels
from centernet.models.base import DetectionModel


@dataclass(frozen=True)
class Row:
    """One line of the analysis.

    Attributes:
        true: names of the outputs that were the ground truth's.
        evaluation: how good detections then are.
    """

    true: tuple[str, ...]
    evaluation: Evaluation


@torch.inference_mode()
def analyse(
    network: DetectionModel,
    dataset: DetectionDataset,
    *,
    device: str | torch.device = "cpu",
    batch_size: int = 16,
    top_k: int | None = None,
    progress: bool = False,
) -> list[Row]:
    """Evaluate with every choice of outputs replaced, from none to all.

    Args:
        network: trained, with heatmaps.
        dataset: without augmentation.
        device: where the network runs.
        batch_size: images at a time.
        top_k: most detections per image; by default as the network was trained.
        progress: show a bar.

    Raises:
        InputError: the network has no heatmaps.
    """
    if not network.has_heatmaps:
        raise InputError("oracle replaces heatmaps, which the network of these weights lacks")
    network = network.eval().to(device)
    top_k = top_k or network.top_k
    loader = DataLoader(dataset, batch_size, collate_fn=collate)
    collected: dict[tuple[str, ...], CocoResults] = {}
    for images, targets in tqdm(loader, "images", disable=not progress, leave=False):
        outputs = network(images.to(device))
        for true, results in _decoded(network, outputs, targets, top_k).items():
            found = in_image_pixels(results, targets)
            kept = collected.setdefault(true, CocoResults())
            for target, values in zip(targets, found, strict=True):
                kept.add(target["image_id"], values, dataset.category_ids)
    annotations = GroundTruth(dataset.annotations)
    return [
        Row(true, evaluate(annotations, kept.results, kept.image_ids, top_k=top_k))
        for true, kept in collected.items()
    ]


def _decoded(
    network: DetectionModel, outputs: dict[str, Tensor], targets: Sequence[dict], top_k: int
) -> dict[tuple[str, ...], list[dict[str, Tensor]]]:
    """The detections of a batch by what was replaced."""
    encoded = network.encode(targets, outputs)
    # A further head that has no ground truth plays no part in the boxes.
    names = [name for name in outputs if name == "heatmap" or truth(name, encoded) is not None]
    true_outputs = replaced(outputs, encoded, names)
    found = {}
    for count in range(len(names) + 1):
        for true in combinations(names, count):
            mixed = outputs | {name: true_outputs[name] for name in true}
            results = network.decode(mixed, top_k=top_k)
            found[true] = drop_zero_scores(results) if "heatmap" in true else results
    return found


def numbers(rows: Sequence[Row]) -> list[dict[str, Any]]:
    """The rows as plain values, for JSON; NaN is None."""

    def plain(value: Any) -> Any:
        return None if value != value else value

    return [
        {
            "replaced": list(row.true),
            "metrics": {k: plain(v) for k, v in row.evaluation.metrics.items()},
            "per_class": [
                {k: plain(v) for k, v in c.items()} for c in row.evaluation.per_class
            ],
        }
        for row in rows
    ]  # fmt: skip
