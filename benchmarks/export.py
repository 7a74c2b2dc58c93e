"""Export networks to ONNX, and compare detections and latency with PyTorch: a table in Markdown.

python benchmarks/export.py
python benchmarks/export.py runs/custom/best.ckpt ctdet_coco_dla_2x.pth --images photos

Without weights, one untrained network of each kind is exported. Every network runs on the images,
scaled to three sizes, one and four at a time. Latency is the median of single images of 320x256,
the runtimes in turns, so that other load on the machine affects all.
"""

import argparse
from collections.abc import Iterator
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from time import perf_counter

import numpy as np
import torch

from centernet.cli import run_and_exit
from centernet.data.images import load_image
from centernet.data.preprocess import make_view
from centernet.export.onnx_model import write_onnx
from centernet.export.verify import compare_engines
from centernet.inference.config import InferenceConfig
from centernet.inference.engines import load_engine
from centernet.inference.engines.torch_engine import TorchEngine
from centernet.models.base import DetectionModel
from centernet.models.layers import DeformConv
from centernet.models.registry import make_network

_SIDES = {"neck": "fpn", "box_head": "sides", "head_norm": True}
_DEFORMABLE = {"deformable": True}
ARCHITECTURES = {
    "ResNet-10-T, pyramid, sides (`custom.yaml`)": {"backbone": "resnet10t", **_SIDES},
    "ResNet-18, deconvolution": {"backbone": "resnet18"},
    "ResNet-18, deformable": {"backbone": "resnet18", **_DEFORMABLE},
    "DLA-34": {"backbone": "dla34", "neck": "dla"},
    "DLA-34, deformable": {"backbone": "dla34", "neck": "dla", **_DEFORMABLE},
    "Hourglass-104": {"backbone": "hourglass104"},
    "EfficientNet-Lite0, pyramid, sides": {"backbone": "tf_efficientnet_lite0", **_SIDES},
    "MobileNetV3, pyramid, sides": {"backbone": "mobilenetv3_large_100", **_SIDES},
    "ConvNeXt-Atto, pyramid, sides": {"backbone": "convnext_atto", **_SIDES},
    "RetinaNet, ResNet-18": {"detector": "retinanet", "backbone": "resnet18"},
}
_BATCHES = (1, 4)
_HEADER = ["network", "deform", "detections", "boxes px", "scores", "file MB", "torch ms"]
_HEADER += ["ONNX Runtime ms", "OpenVINO ms"]


def untrained(architecture: dict) -> DetectionModel:
    """A network with random weights and statistics, so that its scores differ between cells."""
    torch.manual_seed(0)
    network = make_network({"num_classes": 3} | architecture).eval()
    with torch.no_grad():
        for layer in network.modules():
            if isinstance(layer, torch.nn.BatchNorm2d):
                layer.running_mean.normal_(0, 0.1)
                layer.running_var.uniform_(0.8, 1.2)
            elif isinstance(layer, DeformConv):
                layer.offset_mask.weight.normal_(0, 0.02)
    return network


def networks(weights: list[str], size: tuple[int, int]) -> Iterator[tuple[str, TorchEngine]]:
    for path in weights:
        engine = TorchEngine.load(path, device="cpu", config=InferenceConfig())
        yield Path(path).name, engine
    for name, architecture in {} if weights else ARCHITECTURES.items():
        network = untrained(architecture)
        yield name, TorchEngine(network, network.class_names, image_size=size, device="cpu")


def batches(images: list[np.ndarray], multiple: int) -> list[np.ndarray]:
    """Network inputs: batches of each number at each size."""
    inputs = []
    for height, width in ((128, 128), (256, 384), (384, 256)):
        for count in _BATCHES:
            views = [make_view(image, (height, width), multiple) for image in images[:count]]
            inputs.append(np.stack([view.pixels for view in views]))
    return inputs


def latencies(engines: list, images: np.ndarray, repeats: int) -> list[float]:
    """The median time of each engine in milliseconds."""
    times: list[list[float]] = [[] for _ in engines]
    for turn in range(repeats + 1):
        for engine, own in zip(engines, times, strict=True):
            start = perf_counter()
            engine.run(images)
            if turn:
                own.append(perf_counter() - start)
    return [1000 * median(own) for own in times]


def rows(options: argparse.Namespace) -> Iterator[list[str]]:
    paths = sorted(path for path in options.images.iterdir() if path.is_file())
    images = [load_image(path) for path in paths[: max(_BATCHES)]]
    for name, reference in networks(options.weights, (256, 320)):
        is_deformable = any(isinstance(layer, DeformConv) for layer in reference.network.modules())
        single = make_view(images[0], (256, 320), reference.info.size_multiple).pixels[None]
        for deform in ("native", "sampled") if is_deformable else ("",):
            with TemporaryDirectory() as folder:
                path = Path(folder, "model.onnx")
                write_onnx(reference.network, reference.info, path, sampled=deform == "sampled")
                exported = [load_engine(path, engine="onnxruntime", device="cpu")]
                difference = compare_engines(
                    reference, exported[0], batches(images, reference.info.size_multiple)
                )
                if deform != "native":
                    exported.append(load_engine(path, engine="openvino", device="cpu"))
                times = latencies([reference, *exported], single, options.repeats)
                found = f"{difference.compared}"
                if difference.missing:
                    found += f", {difference.missing} moved"
                yield [
                    *(name, deform, found, f"{difference.boxes:.0e}", f"{difference.scores:.0e}"),
                    f"{path.stat().st_size / 1e6:.1f}",
                    *[f"{time:.0f}" for time in times],
                    *[""] * (2 - len(exported)),
                ]


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("weights", nargs="*", help="checkpoints")
    images = Path("tests/golden/bccd/images")
    parser.add_argument("--images", type=Path, default=images, help="a folder (%(default)s)")
    parser.add_argument("--repeats", type=int, default=20, help="of each latency (%(default)s)")
    options = parser.parse_args()
    for row in (_HEADER, ["---"] * len(_HEADER)):
        print(f"| {' | '.join(row)} |")
    for row in rows(options):
        print(f"| {' | '.join(row)} |", flush=True)


if __name__ == "__main__":
    run_and_exit(main)
