"""Time parts of the package against plain implementations, as ratios (below 1: faster).

python benchmarks/speed.py
python benchmarks/speed.py deformable --repeats 3

The plain implementations: the focal loss term by term on clamped probabilities, one NumPy loop over
the objects of each image, a max-pool and a top-k over the full map, torchvision's operator for
deformable convolution. Both sides alternate, so that other load on the machine affects both.
"""

import argparse
from collections.abc import Callable
from statistics import median
from time import perf_counter
from unittest.mock import patch

import numpy as np
import torch
import torch.nn.functional as F
from torchvision.ops import deform_conv2d

from centernet import CenterNet
from centernet.cli import run_and_exit
from centernet.decode import decode
from centernet.errors import require_at_least
from centernet.losses import CenterNetLoss, penalty_reduced_focal_loss
from centernet.models import layers
from centernet.targets import encode_targets, gaussian_radius


def plain_loss(logits: torch.Tensor, heatmap: torch.Tensor) -> torch.Tensor:
    p = logits.sigmoid().clamp(1e-4, 1 - 1e-4)
    positive, negative = heatmap.eq(1).float(), heatmap.lt(1).float()
    positives = torch.log(p) * torch.pow(1 - p, 2) * positive
    negatives = torch.log(1 - p) * torch.pow(p, 2) * torch.pow(1 - heatmap, 4) * negative
    return -(positives.sum() + negatives.sum()) / positive.sum().clamp(min=1)


def plain_targets(boxes: np.ndarray, labels: np.ndarray, shape: tuple[int, int, int]) -> np.ndarray:
    heatmap = np.zeros(shape, np.float32)
    for (x1, y1, x2, y2), label in zip(boxes / 4, labels, strict=True):
        radius = max(0, int(gaussian_radius(np.ceil(y2 - y1), np.ceil(x2 - x1))))
        x, y, sigma = int((x1 + x2) / 2), int((y1 + y2) / 2), (2 * radius + 1) / 6
        rows, columns = np.ogrid[-radius : radius + 1, -radius : radius + 1]
        window = np.exp(-(columns**2 + rows**2) / (2 * sigma**2))
        top, left = min(y, radius), min(x, radius)
        bottom, right = min(shape[1] - y, radius + 1), min(shape[2] - x, radius + 1)
        part = heatmap[label, y - top : y + bottom, x - left : x + right]
        inside = window[radius - top : radius + bottom, radius - left : radius + right]
        np.maximum(part, inside, out=part)
    return heatmap


def plain_decode(heatmap: torch.Tensor, count: int) -> tuple[torch.Tensor, torch.Tensor]:
    scores = heatmap.sigmoid()
    scores = scores * (F.max_pool2d(scores, 3, stride=1, padding=1) == scores)
    best, cells = scores.flatten(2).topk(count)
    scores, order = best.flatten(1).topk(count)
    return scores, cells.flatten(1).gather(1, order)


def ratio(ours: Callable[[], object], plain: Callable[[], object], repeats: int) -> str:
    seconds: dict[Callable, list[float]] = {ours: [], plain: []}
    for run in range(repeats + 1):
        for function in (ours, plain):
            start = perf_counter()
            function()
            if run:  # the first run is a warm-up
                seconds[function].append(perf_counter() - start)
    fast, slow = median(seconds[ours]), median(seconds[plain])
    return f"{fast / slow:6.3f}   ({1000 * fast:.2f} ms against {1000 * slow:.2f} ms)"


def random_targets(batch: int, objects: int, classes: int, side: int) -> list[dict]:
    generator = torch.Generator().manual_seed(0)
    targets = []
    for _ in range(batch):
        corner = torch.rand(objects, 2, generator=generator) * 0.7 * side
        extent = (0.03 + 0.25 * torch.rand(objects, 2, generator=generator)) * side
        labels = torch.randint(classes, (objects,), generator=generator)
        targets.append({"boxes": torch.cat([corner, corner + extent], 1), "labels": labels})
    return targets


def measure_loss(repeats: int) -> None:
    for batch, classes in ((8, 80), (16, 3)):
        shape = (batch, classes, 128, 128)
        targets = encode_targets(random_targets(batch, 7, classes, 512), shape)
        logits = (torch.randn(shape) - 2).requires_grad_()
        print(
            f"loss, forward and backward, {shape}:",
            ratio(
                lambda x=logits, t=targets: penalty_reduced_focal_loss(x, t.heatmap).backward(),
                lambda x=logits, t=targets: plain_loss(x, t.heatmap).backward(),
                repeats,
            ),
        )


def measure_targets(repeats: int) -> None:
    shape = (16, 80, 128, 128)
    for objects in (7, 20, 100):
        targets = random_targets(16, objects, 80, 512)
        out = encode_targets(targets, shape)
        arrays = [(t["boxes"].numpy(), t["labels"].numpy()) for t in targets]
        print(
            f"targets, 16 images, {objects} objects:",
            ratio(
                lambda t=targets, o=out: encode_targets(t, shape, out=o),
                lambda a=arrays: [plain_targets(*pair, shape[1:]) for pair in a],
                repeats,
            ),
        )


def measure_decode(repeats: int) -> None:
    for batch in (1, 16):
        outputs = {"heatmap": torch.randn(batch, 80, 128, 128) - 4}
        outputs |= {name: torch.rand(batch, 2, 128, 128) for name in ("size", "offset")}
        print(
            f"decode, top 100, batch {batch}:",
            ratio(
                lambda o=outputs: decode(o),
                lambda o=outputs: plain_decode(o["heatmap"], 100),
                repeats,
            ),
        )


def measure_deformable(repeats: int) -> None:
    """Complete networks, with the sampling formulation and with torchvision's operator."""
    for name, side, options in (
        ("resdcn_18", 256, {}),
        ("dla_34", 128, {"backbone": "dla34", "neck": "dla", "head_channels": 256}),
    ):
        network = CenterNet(80, deformable=True, **options)
        images = torch.rand(4, 3, side, side)
        targets = encode_targets(random_targets(4, 7, 80, side), (4, 80, side // 4, side // 4))
        loss = CenterNetLoss()

        def step(network=network, images=images, targets=targets, loss=loss) -> None:
            loss(network.forward_stacks(images), targets)["loss"].backward()

        @torch.inference_mode()
        def look(network=network, images=images) -> None:
            network(images)

        for what, run in (("training step", step), ("forward", look)):
            print(f"{name} {what}, 4x3x{side}x{side}:", ratio(run, by_torchvision(run), repeats))


def by_torchvision(run: Callable[[], None]) -> Callable[[], None]:
    def operator(x, offset, mask, weight, bias):
        return deform_conv2d(x, offset, weight, bias, padding=1, mask=mask)

    def patched() -> None:
        with patch.object(layers, "_deform_by_sampling", operator):
            run()

    return patched


MEASURES = {
    "loss": measure_loss,
    "targets": measure_targets,
    "decode": measure_decode,
    "deformable": measure_deformable,
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "parts", nargs="*", metavar="PART", help=f"any of {', '.join(MEASURES)} (default: all)"
    )
    parser.add_argument(
        "--repeats", type=int, default=10, help="runs of each side (default: %(default)s)"
    )
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    options = parser.parse_args()
    require_at_least(1, repeats=options.repeats, threads=options.threads)
    torch.set_num_threads(options.threads)
    unknown = set(options.parts) - MEASURES.keys()
    if unknown:
        parser.error(f"unknown part {', '.join(unknown)}: choose from {', '.join(MEASURES)}")
    for part in options.parts or MEASURES:
        MEASURES[part](options.repeats)


if __name__ == "__main__":
    run_and_exit(main)
