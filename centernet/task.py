"""Training and validation of a CenterNet as Lightning sees them."""

import logging
import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
import torch.distributed
from lightning.pytorch import Callback, LightningModule
from timm.optim import create_optimizer_v2
from torch import Tensor

from centernet import geometry
from centernet.annotations import shortened
from centernet.callbacks import EMA
from centernet.checkpoints import DESCRIPTION, network_state, read_checkpoint
from centernet.decode import decode
from centernet.errors import InputError
from centernet.evaluate import Evaluation, coco_results, evaluate
from centernet.losses import CenterNetLoss
from centernet.model import CenterNet
from centernet.targets import Targets, encode_targets

log = logging.getLogger(__name__)

# Steps between two looks at whether the loss is still finite; each look waits for the device.
_CHECK_EVERY = 50


class CenterNetTask(LightningModule):
    """A CenterNet with its loss, optimiser, schedule and evaluation.

    Attributes:
        model: the network.
        class_names: by label.
        evaluation: the newest validation's result; None before the first.
        results: its detections in COCO's result format.
        validated_epoch: the epoch it was made in.
    """

    def __init__(
        self,
        class_names: Sequence[str],
        backbone: str = "resnet18",
        neck: str = "deconv",
        neck_channels: list[int] = [256, 128, 64],  # noqa: B006 - read only; a list is what YAML has
        head_channels: int = 64,
        pretrained: bool = False,
        weights: str | None = None,
        loss_weights: dict[str, float] | None = None,
        optimizer: str = "adamw",
        learning_rate: float = 1e-3,
        reference_batch_size: int = 16,
        weight_decay: float = 1e-4,
        schedule: str = "cosine",
        milestones: list[int] = [90, 120],  # noqa: B006
        warmup_steps: int = 200,
        ema_decay: float = 0.998,
        top_k: int = 100,
    ) -> None:
        """Make the network and remember how to train it.

        Args:
            class_names: names by label; comes from the data.
            backbone: any timm model with stride-32 features: resnet18, resnet50,
                mobilenetv4_conv_small, ...
            neck: what brings the features back to stride 4: deconv (the paper's) or fpn, which
                learns faster.
            neck_channels: widths of the neck's three steps; the original has 256, 256, 256. A
                pyramid has the last one throughout.
            head_channels: hidden width of each head.
            pretrained: start the backbone from timm's ImageNet weights, fetched on first use.
            weights: checkpoint to start from, of the same classes.
            loss_weights: of the terms, where they differ from heatmap 1, size 0.1, offset 1.
            optimizer: name of a timm optimiser: adamw, adam, sgd, ...
            learning_rate: for a batch of reference_batch_size; scaled in proportion to the real
                batch.
            reference_batch_size: see learning_rate.
            weight_decay: of weights, not of biases and norms.
            schedule: after the warm-up: cosine (to 1 %) or step (a tenth after each milestone).
            milestones: epochs after which the step schedule drops.
            warmup_steps: steps of linear warm-up, at most a tenth of the training.
            ema_decay: validate and keep an exponential moving average of the weights with this
                decay, itself warmed up; 0 turns it off.
            top_k: detections per image in validation.
        """
        super().__init__()
        if schedule not in ("cosine", "step"):
            raise InputError(f"unknown schedule {schedule!r}: choose cosine or step")
        if not 0 <= ema_decay < 1:
            raise InputError(f"ema_decay must be in [0, 1), got {ema_decay}")
        self.class_names = tuple(class_names)
        self.architecture = {
            "num_classes": len(self.class_names),
            "backbone": backbone,
            "neck": neck,
            "neck_channels": list(neck_channels),
            "head_channels": head_channels,
        }
        self.model = CenterNet(**self.architecture, pretrained=pretrained and not weights)
        self.loss = CenterNetLoss(loss_weights)
        self.optimizer, self.weight_decay = optimizer, weight_decay
        self.learning_rate, self.reference_batch_size = learning_rate, reference_batch_size
        self.schedule, self.milestones, self.warmup_steps = schedule, milestones, warmup_steps
        self.ema_decay, self.top_k = ema_decay, top_k
        self.evaluation: Evaluation | None = None
        self.validated_epoch = -1
        self.results: list[dict[str, Any]] = []
        self._seen_images: list[Any] = []
        self._targets: Targets | None = None
        self._unchecked: list[tuple[Tensor, list[str]]] = []
        if weights:
            self._start_from(weights)

    def _start_from(self, weights: str) -> None:
        checkpoint = read_checkpoint(weights)
        _check_classes(weights, checkpoint, self.class_names)
        try:
            self.model.load_state_dict(network_state(checkpoint))
        except RuntimeError:
            raise InputError(
                f"{weights} holds the network {checkpoint[DESCRIPTION]['model']}, "
                f"not the one asked for, {self.architecture}: give the same --model options"
            ) from None

    def training_step(self, batch: tuple[Tensor, list[dict]], batch_idx: int) -> Tensor:
        """The loss of one batch."""
        images, targets = batch
        stacks = self.model.forward_stacks(images)
        shape = tuple(stacks[-1]["heatmap"].shape)
        fits = self._targets is not None and self._targets.heatmap.shape == shape
        self._targets = encode_targets(
            targets,
            shape,
            stride=self.model.stride,
            out=self._targets if fits else None,
            device=images.device,
        )
        terms = self.loss(stacks, self._targets)
        self.log_dict(
            {
                f"loss/{name}" if name != "loss" else name: term.detach()
                for name, term in terms.items()
            },
            on_step=False,
            on_epoch=True,
            sync_dist=True,
            batch_size=len(images),
        )
        self.log("loss_step", terms["loss"].detach(), prog_bar=True, logger=False)
        self._unchecked.append((terms["loss"].detach(), [t["file"] for t in targets]))
        if len(self._unchecked) >= _CHECK_EVERY or self.trainer.is_last_batch:
            self._check_finite()
        return terms["loss"]

    def _check_finite(self) -> None:
        finite = torch.stack([loss for loss, _ in self._unchecked]).isfinite().tolist()
        for good, (_, files) in zip(finite, self._unchecked, strict=True):
            if not good:
                raise InputError(
                    f"the loss is not finite in epoch {self.current_epoch}, first for the batch of "
                    f"{', '.join(files)}: look at these images and their boxes, lower "
                    "--model.learning_rate, or set --trainer.gradient_clip_val"
                )
        self._unchecked.clear()

    def on_fit_start(self) -> None:
        """Say what is trained on what."""
        data = self.trainer.datamodule
        log.info(
            "%d images with %d boxes for training, %d for validation, "
            "%d classes (%s), canvas %dx%d",
            len(data.train_set),
            data.train_set.num_objects,
            len(data.val_set),
            len(self.class_names),
            shortened(self.class_names),
            *data.canvas_size,
        )

    def on_validation_epoch_start(self) -> None:
        """Forget the previous validation."""
        self.results, self._seen_images = [], []

    def validation_step(
        self, batch: tuple[Tensor, list[dict]], batch_idx: int
    ) -> dict[str, Tensor]:
        """Detect, bring the boxes back to the images, and keep them for the epoch's end."""
        images, targets = batch
        outputs = self.model(images)
        dataset = self.trainer.datamodule.val_set
        for target, found in zip(
            targets, decode(outputs, stride=self.model.stride, top_k=self.top_k), strict=True
        ):
            boxes, scores, labels = (
                found[name].cpu().numpy() for name in ("boxes", "scores", "labels")
            )
            boxes = geometry.transform_boxes(boxes, geometry.invert(target["matrix"]))
            self._seen_images.append(target["image_id"])
            self.results += coco_results(
                target["image_id"], boxes, scores, labels, dataset.category_ids
            )
        return outputs

    def on_validation_epoch_end(self) -> None:
        """Gather the detections of all processes and compare them with the annotations."""
        if torch.distributed.is_available() and torch.distributed.is_initialized():
            gathered: list[Any] = [None] * self.trainer.world_size
            torch.distributed.all_gather_object(gathered, (self.results, self._seen_images))
            self.results, self._seen_images = _without_repeats(gathered)
        self.validated_epoch = self.current_epoch
        dataset = self.trainer.datamodule.val_set
        self.evaluation = evaluate(dataset.annotations, self.results, self._seen_images)
        numbers = {
            name: value for name, value in self.evaluation.metrics.items() if not np.isnan(value)
        }
        self.log_dict({"AP": 0.0} | numbers)
        if self.trainer.state.fn == "fit" and self.trainer.is_global_zero:
            scores = ", ".join(
                f"{name} {numbers.get(name, 0):.3f}" for name in ("AP", "AP50", "AP75")
            )
            log.info("epoch %d: %s", self.current_epoch, scores)

    def configure_callbacks(self) -> list[Callback]:
        """Average the weights while fitting."""
        fitting = self.trainer.state.fn == "fit"
        return [EMA(self.ema_decay)] if self.ema_decay and fitting else []

    def configure_optimizers(self) -> dict[str, Any]:
        """The optimiser, its learning rate scaled with the batch, and the schedule by step."""
        data = self.trainer.datamodule
        batch_size = data.batch_size * self.trainer.accumulate_grad_batches
        rate = self.learning_rate * batch_size / self.reference_batch_size
        log.info(
            "learning rate %.3g (%.3g for a batch of %d, scaled to %d)",
            rate, self.learning_rate, self.reference_batch_size, batch_size,
        )  # fmt: skip
        # A fused optimiser unscales gradients itself, too late for clipping under mixed precision.
        clips = self.trainer.gradient_clip_val and "mixed" in self.trainer.precision
        fused = {"fused": True} if self.optimizer in ("adam", "adamw") and not clips else {}
        optimizer = create_optimizer_v2(
            self.model, self.optimizer, lr=rate, weight_decay=self.weight_decay, **fused
        )
        total = int(self.trainer.estimated_stepping_batches)
        schedule = torch.optim.lr_scheduler.LambdaLR(
            optimizer, lambda step: self._rate_factor(step, total)
        )
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}

    def _rate_factor(self, step: int, total: int) -> float:
        warmup = min(self.warmup_steps, total // 10)
        if step < warmup:
            return (step + 1) / (warmup + 1)
        if self.schedule == "cosine":
            progress = min(1.0, (step - warmup) / max(1, total - warmup))
            return 0.01 + 0.99 * (1 + math.cos(math.pi * progress)) / 2
        epoch = step * self.trainer.max_epochs // max(1, total)
        return 0.1 ** sum(epoch >= milestone for milestone in self.milestones)

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Say in the checkpoint how to build the network and what its classes are called."""
        checkpoint[DESCRIPTION] = {
            "model": self.architecture,
            "class_names": list(self.class_names),
            "image_size": list(self.trainer.datamodule.canvas_size),
        }

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Refuse a checkpoint of other classes."""
        _check_classes("the checkpoint", checkpoint, self.class_names)


def _without_repeats(gathered: list[tuple[list[dict], list]]) -> tuple[list[dict], list]:
    """Detections and images of all processes; images that filled up a process are left out."""
    results: list[dict] = []
    images: dict[Any, None] = {}
    for found, seen in gathered:
        results += [result for result in found if result["image_id"] not in images]
        images |= dict.fromkeys(seen)
    return results, list(images)


def _check_classes(source: str, checkpoint: dict[str, Any], class_names: Sequence[str]) -> None:
    known = checkpoint[DESCRIPTION]["class_names"]
    if list(class_names) != list(known):
        raise InputError(
            f"{source} knows {len(known)} classes ({shortened(known)}), the data has "
            f"{len(class_names)} ({shortened(class_names)}): use weights of these classes, "
            "or train anew"
        )
