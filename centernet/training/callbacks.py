"""Training callbacks: averaged weights, a frozen backbone, heatmap pictures."""

import logging
import os
from typing import Any

import cv2
import numpy as np
import torch
from lightning.pytorch import Callback, LightningModule, Trainer
from lightning.pytorch.callbacks import WeightAveraging
from lightning.pytorch.loggers import TensorBoardLogger
from lightning.pytorch.strategies import DDPStrategy
from numpy.typing import NDArray
from torch import Tensor

from centernet.errors import InputError
from centernet.inference.heatmaps import blend, blend_difference
from centernet.targets import encode_targets

log = logging.getLogger(__name__)


class EMA(WeightAveraging):
    """Exponential moving average of the weights; what validation sees and checkpoints keep.

    The decay is warmed up: after n steps it is at most (1 + n) / (10 + n), so short trainings are
    averaged over their last tenth and not over their random beginning.
    """

    def __init__(self, decay: float) -> None:
        """Average with ``decay`` per step."""
        super().__init__(multi_avg_fn=self._average)
        self.decay = decay
        self._steps = 0

    def should_update(self, step_idx: int | None = None, epoch_idx: int | None = None) -> bool:
        """After every optimiser step."""
        if step_idx is not None:
            self._steps = step_idx
        return step_idx is not None

    def _average(self, averaged: list[Tensor], current: list[Tensor], _: Any) -> None:
        decay = min(self.decay, (1 + self._steps) / (10 + self._steps))
        if averaged[0].is_floating_point():
            torch._foreach_lerp_(averaged, current, 1 - decay)
        else:
            torch._foreach_copy_(averaged, current)


class FrozenBackbone(Callback):
    """Lets only neck and heads learn at first; the backbone's batch norms stand still too."""

    def __init__(self, epochs: int) -> None:
        """Freeze for ``epochs`` epochs."""
        self.epochs = epochs

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """See that several processes can wait for parameters that get no gradient."""
        if isinstance(trainer.strategy, DDPStrategy) and not trainer.strategy._ddp_kwargs.get(
            "find_unused_parameters"
        ):
            raise InputError(
                "model.freeze_backbone_epochs with several processes needs "
                "--trainer.strategy ddp_find_unused_parameters_true"
            )

    def on_train_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Freeze at first, thaw when the time has come."""
        frozen = trainer.current_epoch < self.epochs
        pl_module.model.backbone.requires_grad_(not frozen).train(not frozen)
        if trainer.current_epoch == self.epochs:
            log.info("epoch %d: the backbone learns from now on", self.epochs)


class HeatmapPictures(Callback):
    """Of the same few images at each validation, side by side in TensorBoard.

    The image; over it the target heatmap, the predicted one, and their difference: orange where
    there is too much heat, blue where there is too little.
    """

    def __init__(self, count: int = 4) -> None:
        """Show the first ``count`` validation images."""
        self.count = count
        self._left = count

    def on_validation_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Begin with the first image again."""
        wanted = trainer.is_global_zero and trainer.state.fn == "fit"
        self._left = self.count if wanted and pl_module.model.has_heatmaps else 0

    def on_validation_batch_end(
        self,
        trainer: Trainer,
        pl_module: LightningModule,
        outputs: dict[str, Tensor],
        batch: tuple[Tensor, list[dict]],
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        """Draw the batch's images that are among the first few."""
        if not self._left:
            return
        images, targets = (part[: self._left] for part in batch)
        self._left -= len(images)
        predicted = outputs["heatmap"][: len(images)].float().sigmoid().cpu()
        wanted = encode_targets(targets, tuple(predicted.shape), stride=pl_module.model.stride)
        for image, target, *heat in zip(images, targets, wanted.heatmap, predicted, strict=True):
            strip = _strip(image.permute(1, 2, 0).cpu().numpy(), *heat)
            file = os.path.relpath(target["file"], trainer.datamodule.val_set.folder)
            name = f"image, target, prediction, difference/{file}"
            for logger in trainer.loggers:
                if isinstance(logger, TensorBoardLogger):
                    logger.experiment.add_image(name, strip, trainer.global_step, dataformats="HWC")


def _strip(image: NDArray[np.uint8], target: Tensor, predicted: Tensor) -> NDArray[np.uint8]:
    """Of maps (C, h, w), all classes together: at every cell the value farthest from zero."""
    difference = predicted - target
    farthest = difference.abs().argmax(0, keepdim=True)
    maps = (target.amax(0), predicted.amax(0), difference.gather(0, farthest)[0])
    large = [cv2.resize(cells.numpy(), image.shape[1::-1]) for cells in maps]
    drawn = (blend(image, large[0]), blend(image, large[1]), blend_difference(image, large[2]))
    return np.hstack([image, *drawn])
