"""Single operations against plain implementations: loss, targets, decoding, samples, layers.

The plain implementations: the focal loss term by term on clamped probabilities, one NumPy loop over
the objects of each image, a max-pool and a top-k over the full map, the transforms of torchvision,
torchvision's operator for deformable convolution.
"""

import tempfile
from collections.abc import Callable
from pathlib import Path
from unittest.mock import patch

import cv2
import numpy as np
import torch
import torch.nn.functional as F
from timing import compare
from torchvision import io, tv_tensors
from torchvision.ops import deform_conv2d
from torchvision.transforms import v2

from centernet import CenterNet
from centernet.data.annotations import DatasetSplit
from centernet.data.augment import Augment
from centernet.data.dataset import DetectionDataset
from centernet.decode import decode
from centernet.losses import CenterNetLoss, penalty_reduced, penalty_reduced_focal_loss
from centernet.models import layers
from centernet.targets import encode_targets, gaussian_radius

SHAPES = ((8, 80), (16, 3))  # images and classes of the loss, at 128 x 128 cells


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
    for batch, classes in SHAPES:
        shape = (batch, classes, 128, 128)
        heatmap = encode_targets(random_targets(batch, 7, classes, 512), shape).heatmap
        logits = (torch.randn(shape) - 2).requires_grad_()
        with torch.no_grad(), patch.object(penalty_reduced, "FUSED_ABOVE", 2**62):
            readable = penalty_reduced_focal_loss(logits, heatmap).item()
        error = abs(penalty_reduced_focal_loss(logits, heatmap).item() / readable - 1)
        if error > 1e-6:
            raise SystemExit(f"the loss differs from its readable form by {error:.1e}")
        compare(
            f"loss and gradient, {batch}x{classes}x128x128",
            lambda x=logits, y=heatmap: penalty_reduced_focal_loss(x, y).backward(),
            lambda x=logits, y=heatmap: plain_loss(x, y).backward(),
            repeats,
        )


def measure_targets(repeats: int) -> None:
    shape = (16, 80, 128, 128)
    for objects in (7, 20, 100):
        targets = random_targets(16, objects, 80, 512)
        out = encode_targets(targets, shape)
        arrays = [(t["boxes"].numpy(), t["labels"].numpy()) for t in targets]
        compare(
            f"targets of 16 images with {objects} objects each",
            lambda t=targets, o=out: encode_targets(t, shape, out=o),
            lambda a=arrays: [plain_targets(*pair, shape[1:]) for pair in a],
            repeats,
        )


def measure_decode(repeats: int) -> None:
    for batch in (1, 16):
        outputs = {"heatmap": torch.randn(batch, 80, 128, 128) - 4}
        outputs |= {name: torch.rand(batch, 2, 128, 128) for name in ("size", "offset")}
        compare(
            f"decode, top 100, batch {batch}",
            lambda o=outputs: decode(o),
            lambda o=outputs: plain_decode(o["heatmap"], 100),
            repeats,
        )


def make_photographs(folder: Path, count: int) -> DatasetSplit:
    """JPEG files of 640x480 with the entropy of photographs (some 90 KB), three boxes in each."""
    rng = np.random.default_rng(0)
    images, boxes = [], []
    for number in range(count):
        coarse = rng.integers(0, 256, (60, 80, 3)).astype(np.uint8)
        pixels = cv2.resize(coarse, (640, 480), interpolation=cv2.INTER_CUBIC).astype(np.int16)
        noisy = (pixels + rng.normal(0, 6, pixels.shape)).clip(0, 255).astype(np.uint8)
        cv2.imwrite(str(folder / f"{number}.jpg"), noisy)
        images.append({"id": number, "file_name": f"{number}.jpg", "width": 640, "height": 480})
        boxes += [
            {"image_id": number, "category_id": 1, "bbox": [60 * i, 50 * i, 200, 150]}
            for i in range(1, 4)
        ]
    for number, box in enumerate(boxes):
        box |= {"id": number, "area": 30_000, "iscrowd": 0}
    content = {
        "images": images,
        "annotations": boxes,
        "categories": [{"id": 1, "name": "thing"}],
    }
    return DatasetSplit("photographs", folder, content, folder)


def measure_input(repeats: int) -> None:
    """Augmented samples of 512x512, also with the decoded images in memory."""
    with tempfile.TemporaryDirectory() as folder:
        count = 16
        split = make_photographs(Path(folder), count)
        files = [str(Path(folder) / f"{i}.jpg") for i in range(count)]
        contents = [np.fromfile(file, np.uint8) for file in files]
        boxes = tv_tensors.BoundingBoxes(
            torch.rand(3, 4) * 200, format="XYWH", canvas_size=(480, 640)
        )
        chain = v2.Compose(
            [
                v2.RandomResizedCrop(512, scale=(0.36, 1.0), antialias=True),
                v2.RandomHorizontalFlip(),
                v2.ColorJitter(0.4, 0.4, 0.4),
                v2.ClampBoundingBoxes(),
            ]
        )
        once, kept = (
            DetectionDataset(folder, split, input_size=(512, 512), augment=Augment())
            for _ in range(2)
        )
        kept.keep_images(2**30, shared=False)
        plain = {
            "torchvision's transforms": lambda: [
                chain(tv_tensors.Image(io.decode_image(file)), boxes) for file in files
            ],
            "decoding alone": lambda: [cv2.imdecode(c, cv2.IMREAD_COLOR_RGB) for c in contents],
        }
        for name, other in plain.items():
            for what, data in (("first epoch", once), ("later epochs", kept)):
                compare(
                    f"samples, {what}, against {name}",
                    lambda d=data: [d[1, i] for i in range(count)],
                    other,
                    repeats,
                    count=count,
                    unit="image",
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
        def forward(network=network, images=images) -> None:
            network(images)

        for what, run in (("training step", step), ("forward", forward)):
            compare(f"{name} {what}, 4x3x{side}x{side}", run, by_torchvision(run), repeats)


def by_torchvision(run: Callable[[], None]) -> Callable[[], None]:
    def operator(x, offset, mask, weight, bias):
        return deform_conv2d(x, offset, weight, bias, padding=1, mask=mask)

    def patched() -> None:
        with patch.object(layers, "_deform_by_sampling", operator):
            run()

    return patched
