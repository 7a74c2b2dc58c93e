"""Time of complete workloads: training steps and runs, detection in files and videos, start-up.

The baseline is the bare network: the same network and batch size on tensors in memory, in a plain
loop. No workload can be faster.
"""

import os
import subprocess
import sys
import tempfile
from contextlib import redirect_stdout
from functools import partial
from pathlib import Path

import cv2
import numpy as np
import torch
from speed_parts import make_photographs
from timing import compare, cost, median_costs

from centernet import CenterNet
from centernet.data.augment import Augment
from centernet.data.dataset import DetectionDataset, collate
from centernet.data.shapes import make_shapes
from centernet.inference.detect import detect
from centernet.losses import CenterNetLoss
from centernet.models.checkpoints import DESCRIPTION, description, save_file

ROOT = Path(__file__).parents[1]
SIZE = (192, 256)
BATCH, DETECTED_BATCH = 4, 8
BACKBONES = ("resnet10t", "tf_efficientnet_lite0")
COMMANDS = "fit validate detect inspect report check oracle convert export benchmark import-weights"


def make_network(backbone: str = BACKBONES[0]) -> CenterNet:
    """The network of configs/bccd_resnet10t.yaml, or with another backbone."""
    torch.manual_seed(0)
    options = {"neck": "fpn", "head_norm": True, "box_head": "sides"}
    network = CenterNet(3, backbone, **options)
    network.class_names = ("a", "b", "c")
    return network


def random_batch(size: int, sides: tuple[int, int] = SIZE) -> torch.Tensor:
    """Images (size, 3, H, W), channels last as those of a data loader."""
    pixels = torch.randint(0, 256, (size, *sides, 3), dtype=torch.uint8)
    return pixels.permute(0, 3, 1, 2)


def bare_step(network: CenterNet, images: torch.Tensor) -> None:
    """Forward and backward pass with a loss that costs nothing."""
    network.zero_grad()
    sum(values.mean() for values in network(images).values()).backward()


@torch.inference_mode()
def bare_forward(network: CenterNet, images: torch.Tensor, batches: int = 1) -> None:
    for _ in range(batches):
        network(images)


def measure_step(repeats: int) -> None:
    """Samples, targets, loss and optimizer beside the network."""
    for backbone in BACKBONES:
        network, other = make_network(backbone).train(), make_network(backbone).train()
        averaged = [p.detach().clone() for p in network.parameters()]
        loss = CenterNetLoss(box_head="sides")
        optimizer = torch.optim.AdamW(network.parameters(), lr=1e-5, fused=True)
        with tempfile.TemporaryDirectory() as folder:
            split = make_photographs(Path(folder), BATCH)
            data = DetectionDataset(folder, split, input_size=SIZE, augment=Augment())
            data.keep_images(2**28, shared=False)

            def step(data=data, network=network, loss=loss, optimizer=optimizer, old=averaged):
                images, targets = collate([data[1, i] for i in range(BATCH)])
                stacks = network.forward_stacks(images)
                loss(stacks, network.encode(targets, stacks[-1]))["loss"].backward()
                torch.nn.utils.clip_grad_norm_(network.parameters(), 10.0)
                optimizer.step()
                optimizer.zero_grad()
                with torch.no_grad():
                    torch._foreach_lerp_(old, list(network.parameters()), 0.002)

            bare = partial(bare_step, other, random_batch(BATCH))
            compare(f"training step, {backbone}", step, bare, repeats, count=BATCH, unit="image")


def measure_fit(repeats: int) -> None:
    """Time of ``fit`` per step and for everything else, from two runs that differ by 24 steps."""
    first, second, images = 1, 4, 32
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder, "shapes")
        make_shapes(root, train=images, val=8, size=256)
        fit = partial(_fit, root, Path(folder, "runs"))
        bare = partial(bare_step, make_network().train(), random_batch(BATCH, (256, 256)))
        (bare_cost,) = median_costs([bare], 10)
        runs = median_costs([partial(fit, first), partial(fit, second)], repeats, warm_up=False)
    steps = (second - first) * images // BATCH
    step = (runs[1].cpu - runs[0].cpu) / steps
    once = runs[0].cpu - step * first * images // BATCH
    ratio = step / bare_cost.cpu
    print(f"| training run, per step | {ratio:.3g} | {1000 * step:.0f} ms of CPU time |")
    print(f"| training run, once: start, validation, report | | {once:.1f} s of CPU time |")


def _fit(root: Path, runs: Path, epochs: int) -> None:
    options = {
        "config": ROOT / "configs" / "custom.yaml",
        "data.root": root,
        "data.image_size": 256,
        "data.workers": 0,
        "model.pretrained": "false",
        "trainer.max_epochs": epochs,
        "trainer.check_val_every_n_epoch": epochs,
        "trainer.default_root_dir": runs,
    }
    words = [word for name, value in options.items() for word in (f"--{name}", str(value))]
    _run([str(ROOT / "train.py"), "fit", *words])


def _run(arguments: list[str]) -> None:
    """Run Python with as many threads as this process, and hide its output."""
    environment = os.environ | {"OMP_NUM_THREADS": str(torch.get_num_threads())}
    subprocess.run([sys.executable, *arguments], check=True, capture_output=True, env=environment)


def save_weights(folder: Path) -> Path:
    """A checkpoint of an untrained network."""
    network, path = make_network(), folder / "best.ckpt"
    state = {f"model.{name}": value for name, value in network.state_dict().items()}
    save_file({"state_dict": state, DESCRIPTION: description(network, SIZE)}, path)
    return path


def measure_detect(repeats: int, count: int = 32) -> None:
    """A folder of images, and a video, from files to files; loading the weights included."""
    network, images = make_network().eval(), random_batch(DETECTED_BATCH)
    bare = partial(bare_forward, network, images, count // DETECTED_BATCH)
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        weights, source, video = save_weights(folder), folder / "images", folder / "video.avi"
        source.mkdir()
        make_photographs(source, count)
        writer = cv2.VideoWriter(str(video), cv2.VideoWriter.fourcc(*"MJPG"), 10.0, (640, 480))
        for path in sorted(source.iterdir()):
            writer.write(np.asarray(cv2.imread(str(path))))
        writer.release()
        for what in (source, video):
            compare(
                f"detect, {count} {'frames of a video' if what == video else 'images of a folder'}",
                partial(_detect, what, weights, folder / "out"),
                bare,
                repeats,
                count=count,
                unit="image",
            )


def _detect(source: Path, weights: Path, output: Path) -> None:
    with open(os.devnull, "w") as nothing, redirect_stdout(nothing):
        detect(str(source), weights, output=output, device="cpu", threshold=0.9)


def measure_startup(repeats: int) -> None:
    """``--help`` of each command, and one image, against importing PyTorch."""
    torch_import = cost(lambda: _run(["-c", "import torch"])).cpu
    calls = {f"centernet {name} --help": [name, "--help"] for name in COMMANDS.split()}
    with tempfile.TemporaryDirectory() as folder:
        make_photographs(Path(folder), 1)
        image, weights = str(Path(folder, "0.jpg")), str(save_weights(Path(folder)))
        output = str(Path(folder, "out"))
        detect_one = ["detect", image, "--weights", weights, "--output", output]
        calls["centernet detect, one image"] = detect_one
        for name, words in calls.items():
            (seconds,) = median_costs(
                [partial(_run, ["-m", "centernet", *words])], repeats, warm_up=False
            )
            ratio = seconds.cpu / torch_import
            print(
                f"| {name} | {ratio:.3g} | {seconds.cpu:.2f} and {torch_import:.2f}, "
                f"{seconds.wall:.2f} s |",
                flush=True,
            )
