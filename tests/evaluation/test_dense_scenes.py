"""Images of 1,000 to 1,500 objects: perfect outputs reach AP 1, and no step becomes slow."""

from collections.abc import Callable
from time import process_time

import numpy as np
import pytest
import torch

from centernet.decode import decode
from centernet.evaluation.coco import coco_results, evaluate
from centernet.evaluation.ground_truth_maps import center_outputs, drop_zero_scores
from centernet.heads import select_heads
from centernet.losses import CenterNetLoss
from centernet.targets import encode_targets
from centernet.training.auto_config import top_k_for

SIDE, STRIDE = 640, 4


def marks(count: int, seed: int = 0) -> dict[str, torch.Tensor]:
    """Boxes of 6 to 11 pixels, each with its own cell, and their classes."""
    rng = np.random.default_rng(seed)
    columns = int(np.ceil(np.sqrt(count)))
    place = rng.permutation(columns**2)[:count]
    step = SIDE / columns
    centers = (np.column_stack([place % columns, place // columns]) + 0.5) * step
    half = rng.uniform(3, 5.5, (count, 2))
    boxes = np.hstack([centers - half, centers + half]).clip(0, SIDE)
    return {
        "boxes": torch.tensor(boxes, dtype=torch.float32),
        "labels": torch.from_numpy(rng.integers(0, 2, count)),
    }


def annotations(targets: list[dict]) -> dict:
    boxes = [
        (i, box, label)
        for i, target in enumerate(targets)
        for box, label in zip(target["boxes"].tolist(), target["labels"].tolist(), strict=True)
    ]
    return {
        "images": [{"id": i, "file_name": f"{i}.png"} for i in range(len(targets))],
        "categories": [{"id": 0, "name": "dark"}, {"id": 1, "name": "bright"}],
        "annotations": [
            {"image_id": i, "category_id": label, "bbox": [x, y, right - x, bottom - y],
             "area": (right - x) * (bottom - y), "iscrowd": 0}
            for i, (x, y, right, bottom), label in boxes
        ],
    }  # fmt: skip


@pytest.mark.parametrize(("top_k", "highest"), [("auto", 1.0), (1000, 0.8)])
def test_perfect_maps_of_1500_objects_reach_ap_1_unless_top_k_is_smaller(top_k, highest):
    targets = [marks(1000), marks(1500)]
    limit = top_k_for(1500) if top_k == "auto" else top_k
    assert top_k != "auto" or limit == 2300
    cells = SIDE // STRIDE
    encoded = encode_targets(targets, (2, 2, cells, cells))
    outputs = center_outputs(select_heads().values(), encoded)
    results = []
    for i, found in enumerate(drop_zero_scores(decode(outputs, top_k=limit))):
        values = (found[name].numpy() for name in ("boxes", "scores", "labels"))
        results += coco_results(i, *values, [0, 1])
    evaluation = evaluate(annotations(targets), results, top_k=limit)
    assert evaluation.metrics["AP"] == pytest.approx(highest, abs=0.01)
    assert bool(evaluation.limit_note) == (top_k != "auto")


def seconds(step: Callable[[], object]) -> float:
    """Processor time of the fastest of a few runs."""
    times = []
    for _ in range(4):
        start = process_time()
        step()
        times.append(process_time() - start)
    return min(times)


def test_a_step_with_1500_objects_takes_little_more_time_than_with_10():
    """Targets, loss and decoding; the network's time does not depend on the objects."""
    cells = SIDE // STRIDE
    generator = torch.Generator().manual_seed(0)
    outputs = {
        "heatmap": torch.randn(2, 2, cells, cells, generator=generator) - 4,
        "size": torch.rand(2, 2, cells, cells, generator=generator) + 2,
        "offset": torch.rand(2, 2, cells, cells, generator=generator),
    }
    loss = CenterNetLoss()

    def step(count: int) -> None:
        targets = encode_targets([marks(count, i) for i in range(2)], (2, 2, cells, cells))
        loss([outputs], targets)
        decode(outputs, top_k=top_k_for(count))

    few, many = seconds(lambda: step(10)), seconds(lambda: step(1500))
    assert many < few + 0.1
