"""Train and run a YOLOX of LibreYOLO; ../peers.py starts this script with --peers-python.

Hyperparameters are the defaults of LibreYOLO, apart from what the comparison fixes (the length, the
input size, one thread, float32, no validation) and what depends on the length: the warm-up of 5
epochs takes at most a tenth of a run, and the last 15 epochs, which have neither mosaics nor MixUp,
at most a fifth. As in the configuration of YOLOX-Nano by its authors, there is no MixUp and
mosaics are scaled by 0.5 to 1.5.
"""

from pathlib import Path

import torch
import yaml
from common import main, write_results
from libreyolo import LibreYOLO, LibreYOLOX

IMAGE_SUFFIXES = {".jpg", ".jpeg", ".png"}
NMS_IOU = 0.65  # of the evaluation of YOLOX


def train(options):
    torch.set_num_threads(1)
    options.output.mkdir(parents=True)
    LibreYOLOX(size=options.model, device="cpu").train(
        str(training_part(options.data, options.fraction, options.output)),
        epochs=options.epochs,
        imgsz=options.size,
        seed=options.seed,
        warmup_epochs=min(5, options.epochs // 10),
        no_aug_epochs=min(15, options.epochs // 5),
        mixup_prob=0.0,
        mosaic_scale=(0.5, 1.5),
        project=str(options.output.resolve()),
        name="run",
        exist_ok=True,
        pretrained=False,
        device="cpu",
        workers=0,
        amp=False,
        eval_interval=0,
    )


def training_part(data: Path, fraction: float, folder: Path) -> Path:
    """Write a data.yaml of a fraction of the training images of a YOLO dataset."""
    content = yaml.safe_load(data.read_text())
    images = sorted(
        path
        for path in (data.resolve().parent / content["train"]).rglob("*")
        if path.suffix.lower() in IMAGE_SUFFIXES
    )
    count = max(1, round(fraction * len(images)))
    (folder / "train.txt").write_text("".join(f"{path}\n" for path in images[:count]))
    files = {"path": str(folder.resolve()), "train": "train.txt", "val": "train.txt"}
    (folder / "data.yaml").write_text(yaml.safe_dump({"names": content["names"]} | files))
    return folder / "data.yaml"


def detect(options):
    torch.set_num_threads(1)
    model = LibreYOLO(str(options.weights / "run" / "weights" / "last.pt"), device="cpu")

    def predict(image: Path):
        boxes = model(
            str(image),
            imgsz=options.size,
            conf=options.score_threshold,
            iou=NMS_IOU,
            max_det=options.top_k,
        ).boxes
        return boxes.xyxy, boxes.conf, [model.names[int(label)] for label in boxes.cls]

    write_results(options, predict)


if __name__ == "__main__":
    main(train, detect)
