"""Data sets and methods of peers.py: how each is converted, trained and run."""

import json
import shutil
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from commands import run_logged

from centernet.errors import InputError
from centernet.files import atomic_write
from centernet.sizes import parse_size
from centernet.training.runs import newest_run

ROOT = Path(__file__).parents[1]
SCRIPTS = Path(__file__).parent / "peers"
# Detections with lower scores are not evaluated.
SCORE_THRESHOLD = 0.001
# One thread, no GPU, no internet connection; this checkout, not an installed package.
ENVIRONMENT = {
    "OMP_NUM_THREADS": "1",
    "MKL_NUM_THREADS": "1",
    "CUDA_VISIBLE_DEVICES": "",
    "HF_HUB_OFFLINE": "1",
    "WANDB_MODE": "disabled",
    "PYTHONPATH": str(ROOT),
}


@dataclass(frozen=True)
class DataSet:
    """A data set: its splits for evaluation, the input size, and its folder after conversion."""

    name: str
    folder: Path
    size: str
    evaluate: tuple[str, ...]
    hold_out: float = 0.0
    top_k: int = 100

    @property
    def annotations(self) -> Path:
        """The COCO JSON that all methods are evaluated with."""
        return self.folder / "coco" / "annotations" / "instances_eval.json"

    def count_images(self) -> int:
        """Count the training images."""
        path = self.annotations.with_name("instances_train.json")
        return len(json.loads(path.read_text())["images"])

    @property
    def longer_side(self) -> int:
        """The side of the square input of methods that need a square."""
        return max(parse_size(self.size, name=f"size of {self.name}"))

    def prepare(self, source: Path) -> None:
        """Convert to COCO and YOLO, unless that is done; join the splits for evaluation."""
        if self.annotations.exists():
            return
        if not source.is_dir():
            raise InputError(f"--sets: {source} is not a folder; see {SCRIPTS / 'sets.yaml'}")
        shutil.rmtree(self.folder, ignore_errors=True)
        self.folder.mkdir(parents=True)
        coco = self.folder / "coco"
        convert = [sys.executable, "-m", "centernet", "convert", "--images=link"]
        held_out = [f"--val-fraction={self.hold_out}"] if self.hold_out else []
        commands = {
            "coco.log": [*convert, source, coco, *held_out],
            "yolo.log": [*convert, coco, self.folder / "yolo", "--format=yolo"],
        }
        for log, command in commands.items():
            run_logged(f"conversion of {source}", command, self.folder / log, ENVIRONMENT)
        parts = {
            split: json.loads((self.annotations.parent / f"instances_{split}.json").read_text())
            for split in self.evaluate
        }
        with atomic_write(self.annotations) as unfinished:
            unfinished.write_text(json.dumps(join_splits(parts)))


def join_splits(parts: dict[str, dict[str, Any]]) -> dict[str, Any]:
    """Join COCO annotations by split; ids are new, and file names begin with the split."""
    images, annotations = [], []
    for split, part in parts.items():
        ids = {}
        for image in part["images"]:
            ids[image["id"]] = len(images) + 1
            name = f"{split}/{image['file_name']}"
            images.append(image | {"id": len(images) + 1, "file_name": name})
        for annotation in part["annotations"]:
            new = {"id": len(annotations) + 1, "image_id": ids[annotation["image_id"]]}
            annotations.append(annotation | new)
    categories = next(iter(parts.values()))["categories"]
    return {"images": images, "annotations": annotations, "categories": categories}


@dataclass(frozen=True)
class OwnMethod:
    """A configuration of this project, trained with ``centernet fit``."""

    config: str
    options: tuple[str, ...] = ()

    def train(
        self, data: DataSet, folder: Path, epochs: int, fraction: float, seed: int
    ) -> list[Any]:
        """The command that trains on a fraction of the images and writes into ``folder``."""
        return [
            *self._command("fit", data),
            "--data.workers=0",
            f"--seed_everything={seed}",
            f"--trainer.max_epochs={epochs}",
            f"--trainer.limit_train_batches={fraction}",
            "--trainer.limit_val_batches=0",
            f"--trainer.default_root_dir={folder}",
            "--trainer.enable_progress_bar=false",
            "--report=false",
        ]

    def detect(self, data: DataSet, folder: Path, results: Path) -> list[Any]:
        """The command that detects in the images of the evaluation."""
        return [*self._command("validate", data), f"--ckpt_path={self._run(folder)}/last.ckpt"]

    def collect(self, data: DataSet, folder: Path, results: Path) -> None:
        """Move the detections of :meth:`detect` to ``results``."""
        written = self._run(folder) / f"validate-{data.annotations.stem}" / "detections.json"
        shutil.move(written, results)

    def _run(self, folder: Path) -> Path:
        return newest_run(folder, Path(self.config).stem)

    def _command(self, name: str, data: DataSet) -> list[str]:
        return [
            *(sys.executable, "-m", "centernet", name),
            f"--config={ROOT / self.config}",
            *self.options,
            f"--data.root={data.folder / 'coco'}",
            "--data.train_images=train",
            "--data.train_annotations=annotations/instances_train.json",
            "--data.val_images=.",
            f"--data.val_annotations=annotations/{data.annotations.name}",
            f"--data.image_size={data.size}",
            "--data.tile=null",
            "--trainer.accelerator=cpu",
        ]


@dataclass(frozen=True)
class PeerMethod:
    """A detector of another library: a script in peers/ and the name of its model."""

    script: str
    model: str
    options: tuple[str, ...] = ()
    python: Path = Path(sys.executable)

    def train(
        self, data: DataSet, folder: Path, epochs: int, fraction: float, seed: int
    ) -> list[Any]:
        """The command that trains on a fraction of the images and writes into ``folder``."""
        return [
            *(self.python, SCRIPTS / self.script, "train", f"--model={self.model}"),
            f"--data={data.folder / 'yolo' / 'data.yaml'}",
            f"--epochs={epochs}",
            f"--fraction={fraction}",
            f"--seed={seed}",
            f"--size={data.longer_side}",
            f"--output={folder}",
            *self.options,
        ]

    def detect(self, data: DataSet, folder: Path, results: Path) -> list[Any]:
        """The command that detects in the images of the evaluation."""
        return [
            *(self.python, SCRIPTS / self.script, "detect", f"--weights={folder}"),
            f"--annotations={data.annotations}",
            f"--images={data.folder / 'coco'}",
            f"--size={data.longer_side}",
            f"--top-k={data.top_k}",
            f"--score-threshold={SCORE_THRESHOLD}",
            f"--output={results}",
        ]

    def collect(self, data: DataSet, folder: Path, results: Path) -> None:
        """Nothing to do: the script writes ``results``."""


Method = OwnMethod | PeerMethod

# There is no row of a YOLO or an RF-DETR with pretrained weights: their libraries download them,
# and runs have no internet connection.
METHODS: dict[str, Method] = {
    "centernet": OwnMethod(
        "configs/custom.yaml", ("--model.backbone=resnet10t", "--model.pretrained=false")
    ),
    "centernet-pretrained": OwnMethod("configs/custom.yaml", ("--model.pretrained=true",)),
    "yolo11n": PeerMethod("yolo.py", "yolo11n.yaml"),
    "yolo26n": PeerMethod("yolo.py", "yolo26n.yaml"),
    # The defaults suit long runs; with these settings the weights change 16 times as often.
    "yolo11n-short-run": PeerMethod("yolo.py", "yolo11n.yaml", ("--short-run",)),
    "yolo26n-short-run": PeerMethod("yolo.py", "yolo26n.yaml", ("--short-run",)),
    "yolox-nano": PeerMethod("libre.py", "n"),
    # torchvision's modules on a ResNet-18 with FPN, with the data pipeline of this project.
    "retinanet-r18": OwnMethod("configs/bccd_retinanet.yaml", ("--data.augment.vertical_flip=0",)),
}
