"""Check and time the code on a GPU: agreement with the CPU, latency, memory, training speed.

python benchmarks/gpu.py --output runs/gpu --minutes 8

Each row is saved when it is measured, in OUTPUT/rows.json and as a table in OUTPUT/rows.md. A
second call measures only what is missing, and none starts a row after --minutes. `--device cpu
--side 128 --images 32` tries the script without a GPU.
"""

import argparse
import json
import os
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from pathlib import Path
from statistics import median
from time import perf_counter
from typing import Any

import numpy as np
import torch
from commands import run_logged
from speed_parts import make_photographs, random_targets
from speed_runs import bare_step, random_batch

from centernet import CenterNet
from centernet.cli import run_and_exit
from centernet.files import atomic_write
from centernet.inference.detector import Detector
from centernet.losses import CenterNetLoss

ROOT = Path(__file__).parents[1]
CLASSES = 80
BATCH = 32
NETWORKS: dict[str, dict[str, Any]] = {
    "resnet18": {"backbone": "resnet18", "neck": "deconv", "neck_channels": (256, 256, 256)},
    "dla34": {"backbone": "dla34", "neck": "dla", "deformable": True, "head_channels": 256},
    "lite0": {"backbone": "tf_efficientnet_lite0", "neck": "fpn", "box_head": "sides"},
}
CONFIGS = {"resnet18": "coco_resnet18", "dla34": "coco_dla34"}
COMPILE_MODES = {"compile": "default", "CUDA graphs": "reduce-overhead"}
EPOCHS = (1, 3)  # of the two runs whose difference is the time of training
Row = Callable[[], dict[str, Any]]


def make_network(name: str) -> CenterNet:
    torch.manual_seed(0)
    network = CenterNet(CLASSES, **NETWORKS[name])
    return network.to(memory_format=torch.channels_last)


def make_detector(name: str, device: str, side: int, **options: Any) -> Detector:
    names = [str(label) for label in range(CLASSES)]
    return Detector.from_network(
        make_network(name), names, device=device, image_size=(side, side), **options
    )


def measure_agreement(name: str, device: str, side: int, precision: str) -> dict[str, float]:
    """Largest difference of the raw outputs from those of the CPU, relative to their largest."""
    image = np.random.default_rng(0).integers(0, 256, (side, side, 3)).astype(np.uint8)
    wanted = make_detector(name, "cpu", side).outputs(image)[2]
    found = make_detector(name, device, side, precision=precision).outputs(image)[2]
    return {
        f"difference of {key}": _difference(found[key].float().cpu(), value)
        for key, value in wanted.items()
    }


def measure_gradients(name: str, device: str, side: int) -> dict[str, float]:
    """Loss, gradients, and the weights after a step of fused AdamW, against the CPU."""
    side = min(side, 256)
    images, targets = random_batch(2, (side, side)), random_targets(2, 7, CLASSES, side)
    results = []
    for where in ("cpu", device):
        network = make_network(name).to(where).train()
        optimizer = torch.optim.AdamW(network.parameters(), lr=1e-3, fused=True)
        stacks = network.forward_stacks(images.to(where))
        loss = CenterNetLoss(box_head=NETWORKS[name].get("box_head", "size"))
        value = loss(stacks, network.encode(targets, stacks[-1]))["loss"]
        value.backward()
        gradients = [p.grad for p in network.parameters() if p.grad is not None]
        norm = torch.stack([gradient.double().norm().cpu() for gradient in gradients])
        optimizer.step()
        results.append((value.detach().cpu(), norm, torch.cat(_flat(network))))
    (loss_a, norm_a, step_a), (loss_b, norm_b, step_b) = results
    return {
        "difference of the loss": _difference(loss_b, loss_a),
        "difference of the gradients' norms": _difference(norm_b, norm_a),
        "difference of the weights after a step": _difference(step_b, step_a),
    }


def measure_latency(
    name: str, device: str, side: int, engine: str, precision: str, batch: int
) -> dict[str, float]:
    """Median milliseconds of the engine with decoding, and the memory of the GPU."""
    detector = make_detector(name, device, side, precision=precision)
    runner: Any = detector.engine.engine
    if engine in COMPILE_MODES:
        runner._compute = torch.compile(runner.network, mode=COMPILE_MODES[engine])
    images = random_batch(batch, (side, side)).permute(0, 2, 3, 1).numpy()
    if device != "cpu":
        torch.cuda.reset_peak_memory_stats()
    for _ in range(5):
        runner.run(images)
    seconds = [_timed(partial(runner.run, images)) for _ in range(30)]
    row = {
        "ms": 1000 * median(seconds),
        "95th percentile": 1000 * float(np.quantile(seconds, 0.95)),
        "images/s": batch / median(seconds),
    }
    if device != "cpu":
        row["GB"] = torch.cuda.max_memory_allocated() / 1e9
    return row


def measure_training(name: str, device: str, side: int, images: int, log: Path) -> dict[str, float]:
    """Images per second of ``fit`` from JPEG files, and of the bare network."""
    with tempfile.TemporaryDirectory() as temporary:
        root = Path(temporary)
        _write_dataset(root, images)
        runs = [_timed(partial(_fit, name, device, side, root, n, log)) for n in EPOCHS]
    rate = images * (EPOCHS[1] - EPOCHS[0]) / (runs[1] - runs[0])
    network, batch = make_network(name).to(device).train(), min(BATCH, images)
    pixels = random_batch(batch, (side, side)).to(device)

    def bare() -> None:
        with torch.autocast(device, torch.bfloat16, enabled=device != "cpu"):
            bare_step(network, pixels)
        _synchronize(device)

    for _ in range(3):
        bare()
    bare_rate = batch / median(_timed(bare) for _ in range(10))
    return {"images/s": rate, "bare network": bare_rate, "share": rate / bare_rate}


def _write_dataset(root: Path, images: int) -> None:
    """A COCO dataset of JPEG files; all but some are links to others."""
    (root / "train").mkdir()
    (root / "annotations").mkdir()
    drawn = make_photographs(root / "train", min(images, 256)).coco
    drawn["images"], boxes = [], drawn["annotations"][:3]
    drawn["annotations"] = []
    for number in range(images):
        name = f"{number}.jpg"
        if number >= 256:
            os.link(root / "train" / f"{number % 256}.jpg", root / "train" / name)
        size = {"width": 640, "height": 480}
        drawn["images"].append({"id": number, "file_name": name, **size})
        for box in boxes:
            identity = len(drawn["annotations"])
            drawn["annotations"].append(box | {"id": identity, "image_id": number})
    drawn["categories"] = [{"id": i, "name": f"class {i}"} for i in range(1, CLASSES + 1)]
    few = drawn | {"images": drawn["images"][:8], "annotations": drawn["annotations"][:24]}
    for split, content in (("train", drawn), ("val", few)):
        (root / "annotations" / f"{split}.json").write_text(json.dumps(content))


def _fit(name: str, device: str, side: int, root: Path, epochs: int, log: Path) -> None:
    cpu = device == "cpu"
    options = {
        "config": ROOT / "configs" / f"{CONFIGS[name]}.yaml",
        "data.root": root,
        "data.train_images": "train",
        "data.val_images": "train",
        "data.train_annotations": "annotations/train.json",
        "data.val_annotations": "annotations/val.json",
        "data.image_size": side,
        "data.batch_size": BATCH,
        "data.workers": 0 if cpu else max(1, (os.cpu_count() or 2) - 1),
        "model.pretrained": "false",
        "report": "false",
        "trainer.accelerator": "cpu" if cpu else "gpu",
        "trainer.precision": "32-true" if cpu else "bf16-mixed",
        "trainer.max_epochs": epochs,
        "trainer.check_val_every_n_epoch": epochs,
        "trainer.default_root_dir": root / f"runs-{epochs}",
    }
    words = [word for key, value in options.items() for word in (f"--{key}", str(value))]
    run_logged("fit", [sys.executable, str(ROOT / "train.py"), "fit", *words], log)


def rows_to_measure(options: argparse.Namespace) -> Iterator[tuple[str, Row]]:
    device, side = options.device, options.side
    halves = [] if device == "cpu" else ["bfloat16", "float16"]
    for name in NETWORKS:
        for precision in ("float32", *halves):
            title = f"agreement with the CPU, {name}, {precision}"
            yield title, partial(measure_agreement, name, device, side, precision)
        yield f"gradients, {name}", partial(measure_gradients, name, device, side)
    for name in CONFIGS:
        arguments = name, device, side, options.images, options.output / f"fit-{name}.log"
        yield f"training from JPEG, {name}", partial(measure_training, *arguments)
    for name in NETWORKS:
        for precision in ("float32", *halves[1:]):
            for engine in ("torch", *list(COMPILE_MODES)[: 2 if halves else 1]):
                for batch in (1, 16):
                    title = f"latency, {name}, {engine}, {precision}, batch {batch}"
                    arguments = name, device, side, engine, precision, batch
                    yield title, partial(measure_latency, *arguments)


def save(rows: Mapping[str, Mapping[str, Any]], output: Path) -> None:
    lines = ["| row | results |", "| --- | --- |"]
    for title, row in rows.items():
        cells = (f"{k} {v:.4g}" if isinstance(v, float) else f"{k} {v}" for k, v in row.items())
        lines.append(f"| {title} | {', '.join(cells)} |")
    for name, text in (("rows.json", json.dumps(rows, indent=1)), ("rows.md", "\n".join(lines))):
        with atomic_write(output / name) as unfinished:
            unfinished.write_text(text + "\n")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    add = parser.add_argument
    add("--output", type=Path, default=Path("runs/gpu"), help="folder of the results (%(default)s)")
    add("--minutes", type=float, default=8, help="start no row after this time (%(default)s)")
    add("--device", default="cuda", choices=["cuda", "cpu"])
    add("--side", type=int, default=512, help="side of the network input (%(default)s)")
    add("--images", type=int, default=2048, help="images of an epoch (%(default)s)")
    options = parser.parse_args()
    torch.backends.cudnn.allow_tf32 = torch.backends.cuda.matmul.allow_tf32 = False
    options.output.mkdir(parents=True, exist_ok=True)
    path, end = options.output / "rows.json", perf_counter() + 60 * options.minutes
    rows = json.loads(path.read_text()) if path.exists() else {}
    if options.device != "cpu":
        rows["device"] = {"name": torch.cuda.get_device_name(), "torch": torch.__version__}
    for title, measure in rows_to_measure(options):
        if title in rows or perf_counter() > end:
            continue
        try:
            rows[title] = measure()
        except Exception as error:  # the other rows are worth having
            rows[title] = {"failed": f"{type(error).__name__}: {str(error).splitlines()[0]}"}
        save(rows, options.output)
        print(title, rows[title], flush=True)


def _difference(found: torch.Tensor, wanted: torch.Tensor) -> float:
    return float((found - wanted).abs().max() / wanted.abs().max().clamp(min=1e-9))


def _flat(network: CenterNet) -> list[torch.Tensor]:
    return [parameter.detach().cpu().flatten() for parameter in network.parameters()]


def _timed(function: Callable[[], object]) -> float:
    start = perf_counter()
    function()
    return perf_counter() - start


def _synchronize(device: str) -> None:
    if device != "cpu":
        torch.cuda.synchronize()


if __name__ == "__main__":
    run_and_exit(main)
