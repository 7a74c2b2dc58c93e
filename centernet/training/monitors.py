"""Callbacks that look into the training and change nothing: where the gradient comes from, AUROC.

Each is switched on by its name, ``--trainer.callbacks+=GradientByDifficulty``, and writes its
numbers to TensorBoard and ``metrics.csv``.
"""

import logging
import warnings
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from lightning.pytorch import Callback, LightningModule, Trainer
from torch import Tensor
from torchmetrics.classification import MulticlassAUROC
from torchmetrics.utilities import dim_zero_cat

from centernet.errors import InputError
from centernet.losses import gradient_shares
from centernet.targets import Targets, encode_targets

log = logging.getLogger(__name__)

_GRADIENT = ("gradient/easy", "gradient/hard", "gradient/outlier")


class _HeatmapMonitor(Callback):
    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """See that there are heatmaps to look at."""
        if not pl_module.model.has_heatmaps:
            raise InputError(
                f"{type(self).__name__} looks at heatmaps, which a "
                f"{type(pl_module.model).__name__} does not have: leave it out of trainer.callbacks"
            )


class GradientByDifficulty(_HeatmapMonitor):
    """Share of the heatmap's gradient that comes from easy, hard and outlier cells.

    A cell's difficulty is |p - target|, the norm of the gradient that plain cross-entropy would
    have there, with the centre cells as targets. The gradient is the real one, that of the loss
    being trained, on the last stack's logits. Logs ``gradient/easy``, ``gradient/hard`` and
    ``gradient/outlier``, means over the steps of an epoch.
    """

    def __init__(self, easy: float = 0.1, outlier: float = 0.9) -> None:
        """Say what is easy.

        Args:
            easy: cells below this are easy.
            outlier: cells from this on are outliers; those in between are hard.

        Raises:
            InputError: not 0 < easy < outlier < 1.
        """
        if not 0 < easy < outlier < 1:
            raise InputError(
                f"easy and outlier must be 0 < easy < outlier < 1, got {easy} and {outlier}"
            )
        self.edges = (easy, outlier)
        # Of the shares, and of the steps; checkpoints within an epoch keep it.
        self.epoch_sums = torch.zeros(len(_GRADIENT) + 1)

    def on_fit_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Look over the loss's shoulder."""
        self._handle = pl_module.loss.register_forward_pre_hook(self._watch)

    def on_fit_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Leave the loss as it was."""
        self._handle.remove()

    def _watch(self, loss: Any, inputs: tuple[Sequence[Mapping[str, Tensor]], Targets]) -> None:
        stacks, targets = inputs
        logits = stacks[-1]["heatmap"]

        def keep_shares(gradient: Tensor) -> None:
            positive = targets.heatmap == 1
            shares = gradient_shares(gradient, logits.detach(), positive, self.edges)
            # A scaled gradient may overflow in float16; that step is not taken.
            usable = shares.isfinite().all()
            step = torch.cat([torch.where(usable, shares, 0), usable[None].to(shares.dtype)])
            self.epoch_sums = self.epoch_sums.to(step.device) + step

        if logits.requires_grad:
            logits.register_hook(keep_shares)

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Log what the epoch's gradients were made of."""
        *shares, steps = self.epoch_sums
        means = {name: share / steps for name, share in zip(_GRADIENT, shares, strict=True)}
        pl_module.log_dict(means, sync_dist=True)
        self.epoch_sums = torch.zeros_like(self.epoch_sums)


class CenterAUROC(_HeatmapMonitor):
    """How well the class scores at the true centres tell the classes apart, in validation.

    At the centre cell of every object all classes' scores are read. One class against the rest, its
    AUROC is the chance that it scores higher at a centre of its own than at one of another class:
    1 is perfect, 0.5 a guess. Logs ``AUROC/CLASS`` for every class that has both kinds of centres,
    and ``AUROC``, their mean. Boxes, and what is found elsewhere, play no part in it. Under several
    processes, the few images that are repeated so that each has as many count twice.
    """

    def __init__(self) -> None:
        """Wait for the first validation."""
        self._metric: MulticlassAUROC | None = None

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """See that there is something to tell apart, before anything is trained."""
        super().setup(trainer, pl_module, stage)
        classes = len(pl_module.class_names)
        if classes < 2:
            raise InputError(f"CenterAUROC compares classes, but the data has {classes}")

    def on_validation_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Forget the previous validation."""
        classes = len(pl_module.class_names)
        self._metric = MulticlassAUROC(classes, average=None, sync_on_compute=False)
        self._metric.to(pl_module.device)

    def on_validation_batch_end(
        self,
        trainer: Trainer,
        pl_module: LightningModule,
        outputs: dict[str, Tensor] | None,
        batch: tuple[Tensor, list[dict]],
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        """Read the scores at the batch's centres, where images are seen once and as they are."""
        if outputs is None:
            return
        logits = outputs["heatmap"]
        targets = encode_targets(
            batch[1], tuple(logits.shape), stride=pl_module.model.stride, device=logits.device
        )
        at_centers = logits.flatten(2)[targets.batch_index, :, targets.cell_index]
        self._metric.update(at_centers.float().sigmoid(), targets.label)

    def on_validation_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Log the AUROC of all processes' centres."""
        if not self._metric.update_called:
            return
        with self._metric.sync_context():
            labels = dim_zero_cat(self._metric.target)
            centers = torch.bincount(labels, minlength=len(pl_module.class_names))
            defined = (centers > 0) & (centers < len(labels))
            if not defined.any():
                return
            # Of a class without centres torchmetrics warns and says 0.
            with warnings.catch_warnings(action="ignore"):
                aurocs = self._metric.compute()
        numbers = {
            f"AUROC/{name}": value
            for name, value, known in zip(pl_module.class_names, aurocs, defined, strict=True)
            if known
        }
        mean = aurocs[defined].mean()
        pl_module.log_dict({"AUROC": mean} | numbers)
        if trainer.is_global_zero:
            log.info("AUROC of the classes at the centres: %.3f", mean)
