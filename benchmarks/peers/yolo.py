"""Train and run a detector of ultralytics; ../peers.py starts this script with --peers-python.

ultralytics has the AGPL-3.0 license and is no dependency of this project: this script is the only
file that imports it, and runs in an environment of its own.

Hyperparameters are the defaults of ultralytics, apart from what the comparison fixes: the length,
the input size, one thread, float32, no validation between the epochs, and mosaics turned off for
the last fifth of short runs (the default is the last ten epochs). Images are cached in memory, so
that large photographs are decoded once.

The option --short-run replaces three defaults that leave few updates of the weights in a short run:
batches of 4 images instead of 16, an update after each instead of one per 64 images, and a tenth of
the run as warm-up instead of three epochs.
"""

import os
from pathlib import Path

os.environ["YOLO_OFFLINE"] = "true"  # read on import: nothing is downloaded

import torch
from common import main, write_results
from ultralytics import YOLO
from ultralytics.models.yolo.detect import DetectionPredictor, DetectionTrainer
from ultralytics.utils import nms

MOSAIC_FREE_EPOCHS = 10  # default of ultralytics
NMS_IOU = 0.7  # default of ultralytics
# By default a step has 16 images, and the optimizer changes the weights after every 4 steps.
SHORT_RUN = {"batch": 4, "nbs": 4}


class Trainer(DetectionTrainer):
    """Writes the last weights, and validates neither in training nor at the end."""

    def validate(self):
        return {}, 0.0

    def final_eval(self):
        pass


class Predictor(DetectionPredictor):
    """Keeps several classes per box, as the validation of ultralytics does; predict keeps one."""

    def postprocess(self, preds, img, orig_imgs, **kwargs):
        kept = nms.non_max_suppression(
            preds,
            self.args.conf,
            self.args.iou,
            multi_label=True,
            max_det=self.args.max_det,
            end2end=getattr(self.model, "end2end", False),
        )
        return self.construct_results(kept, img, orig_imgs)


def train(options):
    torch.set_num_threads(1)
    epochs = options.epochs
    short = SHORT_RUN | {"warmup_epochs": epochs / 10} if options.short_run else {}
    YOLO(options.model).train(
        trainer=Trainer,
        data=str(options.data),
        epochs=epochs,
        fraction=[options.fraction, 2],  # of the validation images, which are not used, two
        **short,
        imgsz=options.size,
        seed=options.seed,
        close_mosaic=MOSAIC_FREE_EPOCHS if epochs >= 2 * MOSAIC_FREE_EPOCHS else epochs // 5,
        project=str(options.output.resolve().parent),
        name=options.output.name,
        exist_ok=True,
        device="cpu",
        workers=0,
        cache=True,
        amp=False,
        val=False,
        plots=False,
    )


def detect(options):
    torch.set_num_threads(1)
    model = YOLO(options.weights / "weights" / "last.pt")

    def predict(image: Path):
        (result,) = model.predict(
            image,
            predictor=None if model.predictor else Predictor,
            imgsz=options.size,
            conf=options.score_threshold,
            iou=NMS_IOU,
            max_det=options.top_k,
            device="cpu",
            verbose=False,
        )
        boxes = result.boxes
        return boxes.xyxy, boxes.conf, [result.names[int(label)] for label in boxes.cls]

    write_results(options, predict)


if __name__ == "__main__":
    main(train, detect)
