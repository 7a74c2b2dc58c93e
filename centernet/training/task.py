"""Training and validation of a detector as Lightning sees them."""

import logging
import math
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from time import perf_counter
from typing import Any, Literal

import numpy as np
import torch
from lightning.pytorch import Callback, LightningModule
from timm.optim import create_optimizer_v2
from torch import Tensor

from centernet.data.annotations import truncate_list
from centernet.errors import InputError
from centernet.evaluation.coco import Evaluation, GroundTruth, evaluate
from centernet.evaluation.results import CocoResults, DetectionArrays, in_image_pixels
from centernet.heads import DEFAULT_BOX_HEAD
from centernet.inference.detector import Detector
from centernet.inference.tta import InferenceConfig
from centernet.losses import DEFAULT_BOX_CELLS
from centernet.models.checkpoints import DESCRIPTION, description
from centernet.models.pretrained import load_pretrained, load_weights
from centernet.models.registry import make_loss, make_network
from centernet.training.callbacks import EMA, FrozenBackbone
from centernet.training.checks import require_batch, require_input_size
from centernet.training.schedules import SCHEDULES, rate_factor

log = logging.getLogger(__name__)

# Steps between two looks at whether the loss is still finite; each look waits for the device.
_CHECK_EVERY = 50
# Training stops when a larger part of its images cannot be read.
_MOST_UNREADABLE = 0.05


class DetectionTask(LightningModule):
    """A CenterNet, or a RetinaNet, with its loss, optimiser, schedule and evaluation.

    Attributes:
        model: the network.
        class_names: by label.
        evaluation: the newest validation's result, on the first process; None before the first.
        collected: its detections.
        validated_epoch: the epoch it was made in.
    """

    def __init__(
        self,
        class_names: Sequence[str],
        detector: str = "centernet",
        backbone: str = "resnet18",
        neck: str = "deconv",
        neck_channels: list[int] = [256, 128, 64],  # noqa: B006 - read only; a list is what YAML has
        deformable: bool = False,
        head_channels: int = 64,
        head_norm: bool = False,
        box_head: str = DEFAULT_BOX_HEAD,
        heads: list[str] | None = None,
        pretrained: bool | Literal["auto"] = False,
        weights: str | None = None,
        freeze_backbone_epochs: int = 0,
        loss_weights: dict[str, float] | None = None,
        heatmap_loss: str | None = None,
        heatmap_loss_options: dict[str, Any] | None = None,
        box_cells: str = DEFAULT_BOX_CELLS,
        optimizer: str = "adamw",
        learning_rate: float = 1e-3,
        reference_batch_size: int = 16,
        weight_decay: float = 1e-4,
        schedule: str = "cosine",
        milestones: list[float] = [90, 120],  # noqa: B006
        warmup_steps: int = 200,
        ema_decay: float = 0.998,
        test: InferenceConfig = InferenceConfig(),  # noqa: B008 - frozen
    ) -> None:
        """Make the network and remember how to train it.

        Args:
            class_names: names by label; comes from the data.
            detector: centernet, or retinanet, the anchor-based one to compare with, which does not
                use the options of necks and heads.
            backbone: any timm model with stride-32 features that takes images of any size:
                resnet18, dla34, convnext_tiny, mobilenetv4_conv_small, ...; or hourglass104, which
                has no use for a neck.
            neck: what brings the features back to stride 4: deconv (the paper's for ResNets), dla
                (the paper's for DLA-34), or fpn, which learns fastest.
            neck_channels: widths of the neck's three steps; the original's plain ResNets have 256,
                256, 256. A pyramid has the last one throughout.
            deformable: deformable convolutions in the neck; slow on a CPU.
            head_channels: hidden width of each head.
            head_norm: batch norm in the heads' hidden layer; the paper has none.
            box_head: size (and the centre's offset, the paper's, learned by L1 at the centre cell)
                or sides (distances to the four sides, learned by generalised IoU).
            heads: names of further heads of centernet.heads.
            pretrained: start the backbone from timm's ImageNet weights, fetched on first use; auto
                goes on without where they cannot be fetched.
            weights: file to start from: a checkpoint of fit, or one of the original release. It
                decides the network; for other classes what tells classes apart is made anew.
            freeze_backbone_epochs: for so many epochs only neck and heads learn.
            loss_weights: of the terms, where they differ from heatmap 1, size 0.1, offset 1, or
                heatmap 1, sides 2; a RetinaNet's are classification 1, boxes 1.
            heatmap_loss: classification loss of the heatmap, or of a RetinaNet's anchors, by
                default the paper's: penalty_reduced_focal (for heatmaps alone), focal (RetinaNet's
                default), focal_star or ghm; see docs/losses.md.
            heatmap_loss_options: of that loss, where they differ from its defaults: alpha, gamma,
                ...; for ghm momentum, schedule, ...
            box_cells: which cells learn an object's sides: gaussian (those around its centre, by
                the Gaussian's value) or center (its centre cell alone).
            optimizer: name of a timm optimiser: adamw, adam, sgd, ...
            learning_rate: for a batch of reference_batch_size; scaled in proportion to the real
                batch.
            reference_batch_size: see learning_rate.
            weight_decay: of weights, not of biases and norms.
            schedule: after the warm-up: cosine (to 1 %) or step (a tenth after each milestone).
            milestones: epochs after which the step schedule drops; below 1, parts of the training.
            warmup_steps: steps of linear warm-up, at most a tenth of the training.
            ema_decay: validate and keep an exponential moving average of the weights with this
                decay, itself warmed up; 0 turns it off.
            test: test-time augmentation of the validate command; of these, fit heeds top_k alone.
        """
        super().__init__()
        if schedule not in SCHEDULES:
            raise InputError(f"unknown schedule {schedule!r}: choose {' or '.join(SCHEDULES)}")
        if not 0 <= ema_decay < 1:
            raise InputError(f"ema_decay must be in [0, 1), got {ema_decay}")
        if reference_batch_size < 1:
            raise InputError(f"reference_batch_size must be positive, got {reference_batch_size}")
        self.class_names = tuple(class_names)
        architecture = {
            "detector": detector,
            "backbone": backbone,
            "neck": neck,
            "neck_channels": neck_channels,
            "deformable": deformable,
            "head_channels": head_channels,
            "head_norm": head_norm,
            "box_head": box_head,
            "heads": heads,
            "pretrained": pretrained,
        }
        trained = load_weights(weights)[0] if weights else None
        if trained:
            architecture = trained.architecture
        self.model = make_network(architecture | {"num_classes": len(self.class_names)})
        self.model.class_names = self.class_names
        if trained:
            self.model.top_k = trained.top_k
        self.start = load_pretrained(self.model, trained) if trained else None
        self.loss = make_loss(
            self.model,
            heatmap_loss,
            weights=loss_weights,
            heatmap_loss_options=heatmap_loss_options,
            box_cells=box_cells,
        )
        self.optimizer, self.weight_decay = optimizer, weight_decay
        self.learning_rate, self.reference_batch_size = learning_rate, reference_batch_size
        self.schedule, self.milestones, self.warmup_steps = schedule, milestones, warmup_steps
        self.ema_decay, self.freeze_backbone_epochs, self.test = (
            ema_decay, freeze_backbone_epochs, test,
        )  # fmt: skip
        self.evaluation: Evaluation | None = None
        self.validated_epoch = -1
        self.collected = CocoResults()
        self._detector: Detector | None = None
        self._ground_truth: GroundTruth | None = None
        self._targets: Any = None
        self._unreadable: set[str] = set()
        self._unchecked: list[tuple[Tensor, list[str]]] = []

    def setup(self, stage: str) -> None:
        """See that the network takes images, and batches, of the data's size."""
        data = self.trainer.datamodule
        require_input_size(self.model, data.input_size)
        if self.test.top_k != "auto":
            self.model.top_k = self.test.top_k
        elif stage == "fit":
            self.model.top_k = data.top_k
        if stage == "fit":
            images = min(max(1, data.batch_size // self.trainer.world_size), len(data.train_set))
            require_batch(self.model, data.input_size, images)

    def training_step(self, batch: tuple[Tensor, list[dict]], batch_idx: int) -> Tensor:
        """The loss of one batch."""
        images, targets = batch
        self._note_unreadable(targets)
        stacks = self.model.forward_stacks(images)
        self._targets = self.model.encode(targets, stacks[-1], out=self._targets)
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
            self.check_finite()
        return terms["loss"]

    def _note_unreadable(self, targets: list[dict]) -> None:
        """Log each image that was replaced, once; raise InputError if there are too many."""
        replaced = [pair for target in targets for pair in target.get("unreadable", ())]
        for file, reason in replaced:
            if file in self._unreadable:
                continue
            self._unreadable.add(file)
            count, images = len(self._unreadable), len(self.trainer.datamodule.train_set)
            if count > _MOST_UNREADABLE * images:
                raise InputError(
                    f"{count} of {images} training images cannot be read, the last: {reason}; at "
                    f"most {_MOST_UNREADABLE:.0%} are replaced by others: mend or remove them"
                )
            log.warning("unreadable image %d, replaced by another: %s", count, reason)

    def check_finite(self) -> None:
        """Raise InputError if a loss since the previous check was not finite."""
        if not self._unchecked:
            return
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
            "%d images with %d boxes for training, %d for validation, %d classes (%s), input %dx%d",
            len(data.train_set),
            data.train_set.num_objects,
            len(data.val_set),
            len(self.class_names),
            truncate_list(self.class_names),
            *data.input_size,
        )
        if not data.val_set.num_objects:
            log.warning(
                "%s holds no box: AP will be 0, and best.ckpt the newest validated network",
                data.val_set.source,
            )
        if self.start:
            log.info("%s", self.start)

    def on_train_epoch_end(self) -> None:
        """Losses that look back at the previous epoch must know when one ends.

        An epoch may also end before its last batch, by ``max_steps`` or ``max_time``.
        """
        self.loss.end_epoch()
        self.check_finite()

    def on_validation_epoch_start(self) -> None:
        """Forget the previous validation."""
        self._validation_start = perf_counter()
        self.collected = CocoResults()
        if self.trainer.is_global_zero and self._ground_truth is None:
            self._ground_truth = GroundTruth(self.trainer.datamodule.val_set.annotations)
        if self.trainer.state.fn == "validate" and not self.test.plain:
            self._detector = Detector.from_network(
                self.model,
                self.class_names,
                device=self.device,
                image_size=self.trainer.datamodule.input_size,
                **asdict(self.test),
            )

    def validation_step(
        self, batch: tuple[Tensor, list[dict]], batch_idx: int
    ) -> dict[str, Tensor] | None:
        """Detect, and keep what was found, its boxes in image pixels, for the epoch's end."""
        images, targets = batch
        outputs = None if self._detector else self.model(images)
        found = self._decode(outputs, targets) if outputs else self._detect(targets)
        category_ids = self.trainer.datamodule.val_set.category_ids
        for target, values in zip(targets, found, strict=True):
            self.collected.add(target["image_id"], values, category_ids)
        return outputs

    def _decode(self, outputs: dict[str, Tensor], targets: list[dict]) -> Iterator[DetectionArrays]:
        return in_image_pixels(self.model.decode(outputs, top_k=self.model.top_k), targets)

    def _detect(self, targets: list[dict]) -> Iterator[DetectionArrays]:
        for target in targets:
            found = self._detector(target["file"], threshold=0)
            yield {"boxes": found.xyxy, "scores": found.confidence, "labels": found.class_id}

    def on_validation_epoch_end(self) -> None:
        """Gather the detections of all processes; the first one evaluates, all log the result."""
        self.collected.gather()
        if not self.trainer.sanity_checking:
            self.validated_epoch = self.current_epoch
        numbers: dict[str, float] = {}
        if self.trainer.is_global_zero:
            self.evaluation = evaluate(
                self._ground_truth,
                self.collected.results,
                self.collected.image_ids,
                top_k=self.model.top_k,
            )
            metrics = self.evaluation.metrics.items()
            numbers = {"AP": 0.0} | {name: value for name, value in metrics if not np.isnan(value)}
        numbers = self.trainer.strategy.broadcast(numbers)
        self.log_dict(numbers)
        if self.trainer.state.fn == "fit" and self.trainer.is_global_zero:
            scores = ", ".join(
                f"{name} {numbers.get(name, 0):.3f}" for name in ("AP", "AP50", "AP75")
            )
            seconds = perf_counter() - self._validation_start
            log.info("epoch %d: %s (%.1f s)", self.current_epoch, scores, seconds)

    def configure_callbacks(self) -> list[Callback]:
        """Averaged weights and the frozen backbone, while fitting."""
        if self.trainer.state.fn != "fit":
            return []
        callbacks: list[Callback] = [EMA(self.ema_decay)] if self.ema_decay else []
        if self.freeze_backbone_epochs:
            callbacks.append(FrozenBackbone(self.freeze_backbone_epochs))
        return callbacks

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
        try:
            optimizer = create_optimizer_v2(
                self.model, self.optimizer, lr=rate, weight_decay=self.weight_decay, **fused
            )
        except ValueError as error:
            raise InputError(f"model.optimizer {self.optimizer!r}: {error}") from None
        self.trainer.fit_loop.setup_data()  # which counts the batches
        total_steps = self.trainer.estimated_stepping_batches
        if total_steps == float("inf"):
            raise InputError(
                "trainer.max_epochs -1 would never end: give a number, or trainer.max_steps"
            )
        factor = rate_factor(
            self.schedule,
            total_steps=total_steps,
            steps_per_epoch=math.ceil(
                self.trainer.num_training_batches / self.trainer.accumulate_grad_batches
            ),
            warmup_steps=self.warmup_steps,
            milestones=self.milestones,
        )
        schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, factor)
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Say in the checkpoint how to build the network and what its classes are called."""
        checkpoint[DESCRIPTION] = description(self.model, self.trainer.datamodule.input_size)

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Refuse a checkpoint of other classes."""
        known = checkpoint[DESCRIPTION]["class_names"]
        if list(self.class_names) != list(known):
            raise InputError(
                f"the checkpoint knows {len(known)} classes ({truncate_list(known)}), the data has "
                f"{len(self.class_names)} ({truncate_list(self.class_names)}): "
                "use weights of these classes, or train anew"
            )
