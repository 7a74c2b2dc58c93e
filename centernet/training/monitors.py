"""Callbacks that measure training without changing it: gradient by difficulty, AUROC.

``--trainer.callbacks+=GradientByDifficulty`` adds one by its name. The numbers are written to
TensorBoard and ``metrics.csv``.
"""

import logging
import warnings
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, cast

import torch
from lightning.pytorch import Callback, LightningModule, Trainer
from torch import Tensor
from torchmetrics.classification import MulticlassAUROC
from torchmetrics.utilities import dim_zero_cat

from centernet.errors import InputError
from centernet.losses import gradient_shares
from centernet.targets import Targets, encode_targets

if TYPE_CHECKING:
    from centernet.training.task import DetectionTask

log = logging.getLogger(__name__)

_GRADIENT = ("gradient/easy", "gradient/hard", "gradient/outlier")


class _HeatmapMonitor(Callback):
    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Check that the network has heatmaps."""
        network = cast("DetectionTask", pl_module).model
        if not network.has_heatmaps:
            raise InputError(
                f"{type(self).__name__} needs heatmaps, which a {type(network).__name__} does not "
                "have: remove it from trainer.callbacks"
            )


class GradientByDifficulty(_HeatmapMonitor):
    """Fractions of the heatmap gradient that come from easy, hard and outlier cells.

    The difficulty of a cell is |p - target|, the norm of the gradient of cross-entropy, with center
    cells as targets ("Gradient Harmonized Single-stage Detector", Li et al., 2019). The gradient is
    that of the training loss on the logits of the last stack. Logs ``gradient/easy``,
    ``gradient/hard`` and ``gradient/outlier``, means over the steps of an epoch.
    """

    def __init__(self, easy: float = 0.1, outlier: float = 0.9) -> None:
        """Set the limits between the three kinds.

        Args:
            easy: cells with a smaller difficulty are easy.
            outlier: cells with at least this difficulty are outliers; the others are hard.

        Raises:
            InputError: not 0 < easy < outlier < 1.
        """
        if not 0 < easy < outlier < 1:
            raise InputError(
                f"easy and outlier must be 0 < easy < outlier < 1, got {easy} and {outlier}"
            )
        self.edges = (easy, outlier)
        # Sums of the fractions, and number of steps; saved in checkpoints within an epoch.
        self.epoch_sums = torch.zeros(len(_GRADIENT) + 1)

    def on_fit_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Register a hook on the loss."""
        self._handle = pl_module.get_submodule("loss").register_forward_pre_hook(self._watch)

    def on_fit_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Remove the hook."""
        self._handle.remove()

    def _watch(self, loss: Any, inputs: tuple[Sequence[Mapping[str, Tensor]], Targets]) -> None:
        stacks, targets = inputs
        logits = stacks[-1]["heatmap"]

        def keep_shares(gradient: Tensor) -> None:
            positive = targets.heatmap == 1
            shares = gradient_shares(gradient, logits.detach(), positive, self.edges)
            # A scaled gradient may overflow in float16; the optimizer skips that step.
            usable = shares.isfinite().all()
            step = torch.cat([torch.where(usable, shares, 0), usable[None].to(shares.dtype)])
            self.epoch_sums = self.epoch_sums.to(step.device) + step

        if logits.requires_grad:
            logits.register_hook(keep_shares)

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Log the fractions of the epoch."""
        *shares, steps = self.epoch_sums
        means = {name: share / steps for name, share in zip(_GRADIENT, shares, strict=True)}
        pl_module.log_dict(means, sync_dist=True)
        self.epoch_sums = torch.zeros_like(self.epoch_sums)


class CenterAUROC(_HeatmapMonitor):
    """AUROC of the class scores at the ground-truth centers, in validation.

    It measures how well the heatmap separates classes. The scores of all classes are read at the
    center cell of every object. The one-vs-rest AUROC of a class is the probability that its score
    is higher at one of its own centers than at a center of another class: 1 is perfect, 0.5 is
    chance. Logs ``AUROC/CLASS`` for every class with both kinds of centers, and ``AUROC``, their
    mean. Boxes and other cells have no influence. With several processes, the few images that are
    repeated to give each process the same number count twice.
    """

    def __init__(self) -> None:
        """Create the callback; the metric is created at each validation."""
        self._metric: MulticlassAUROC | None = None

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Check that there are at least two classes."""
        super().setup(trainer, pl_module, stage)
        classes = len(cast("DetectionTask", pl_module).class_names)
        if classes < 2:
            raise InputError(f"CenterAUROC compares classes, but the data has {classes}")

    def on_validation_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Create a new metric."""
        classes = len(cast("DetectionTask", pl_module).class_names)
        self._metric = MulticlassAUROC(classes, average=None, sync_on_compute=False)
        self._metric.to(pl_module.device)

    def on_validation_batch_end(
        self,
        trainer: Trainer,
        pl_module: LightningModule,
        outputs: Any,
        batch: tuple[Tensor, list[dict]],
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        """Add the scores at the centers of a batch, unless test-time augmentation is on."""
        if outputs is None or self._metric is None:
            return
        logits = outputs["heatmap"]
        stride = cast("DetectionTask", pl_module).model.stride
        targets = encode_targets(batch[1], logits.shape, stride=stride, device=logits.device)
        at_centers = logits.flatten(2)[targets.batch_index, :, targets.cell_index]
        self._metric.update(at_centers.float().sigmoid(), targets.label)

    def on_validation_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Log the AUROC over the centers of all processes."""
        metric, names = self._metric, cast("DetectionTask", pl_module).class_names
        if metric is None or not metric.update_called:
            return
        with metric.sync_context():
            labels = dim_zero_cat(metric.target)
            centers = torch.bincount(labels, minlength=len(names))
            defined = (centers > 0) & (centers < len(labels))
            if not defined.any():
                return
            # For a class without centers torchmetrics warns and returns 0.
            with warnings.catch_warnings(action="ignore"):
                aurocs = metric.compute()
        numbers = {
            f"AUROC/{name}": value
            for name, value, known in zip(names, aurocs, defined, strict=True)
            if known
        }
        mean = aurocs[defined].mean()
        pl_module.log_dict({"AUROC": mean} | numbers)
        if trainer.is_global_zero:
            log.info("AUROC of the classes at the centers: %.3f", mean)
