"""What happens beside the training steps: averaged weights, checkpoints, metrics, pictures."""

import csv
import logging
import os
import shutil
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from lightning.fabric.plugins.io import TorchCheckpointIO
from lightning.pytorch import Callback, LightningModule, Trainer
from lightning.pytorch.callbacks import Checkpoint, WeightAveraging
from lightning.pytorch.loggers import TensorBoardLogger
from lightning.pytorch.strategies import DDPStrategy
from numpy.typing import NDArray
from torch import Tensor

from centernet.checkpoints import save_file
from centernet.errors import InputError
from centernet.files import whole
from centernet.heatmaps import blend, blend_difference
from centernet.targets import encode_targets

log = logging.getLogger(__name__)

# What a checkpoint holds only to go on training: four times the size of the network.
_TRAINING_STATE = (
    "optimizer_states",
    "lr_schedulers",
    "loops",
    "current_model_state",
    "averaging_state",
)


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


class AtomicCheckpointIO(TorchCheckpointIO):
    """Writes a checkpoint beside its place and moves it there: whole or not at all."""

    def save_checkpoint(
        self, checkpoint: dict[str, Any], path: str | Path, storage_options: Any = None
    ) -> None:
        """Save ``checkpoint`` at ``path``; the keys in ``storage_options`` are left out."""
        left_out = storage_options or ()
        save_file({k: v for k, v in checkpoint.items() if k not in left_out}, path)


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


class RunFolder(Checkpoint):
    """Keeps a run's folder: its configuration, metrics, last checkpoint, and best one by AP.

    A new run that fails before its first checkpoint takes its folder with it.
    """

    def __init__(self, folder: Path, config: str, *, new: bool) -> None:
        """Keep ``folder``, which exists, empty if ``new``; ``config`` is the YAML to repeat it."""
        self.folder, self.config, self.new, self.best = folder, config, new, -1.0

    def state_dict(self) -> dict[str, Any]:
        """The best AP so far."""
        return {"best": self.best}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Restore the best AP so far."""
        self.best = state_dict["best"]

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """See that resuming begins with the next epoch, with ``max_steps`` too."""
        # Else the trainer ends the last epoch once more, without a step or with a few that are not
        # its own, and counts it twice.
        trainer.fit_loop._iteration_based_training = lambda: False

    def on_fit_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Write the configuration of a new run."""
        if self.new and trainer.is_global_zero:
            with whole(self.folder / "config.yaml") as unfinished:
                unfinished.write_text(self.config)

    def on_train_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """See that the last of ``max_epochs`` is validated, whatever the interval."""
        if trainer.current_epoch + 1 == trainer.max_epochs:
            trainer.check_val_every_n_epoch = 1

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Write metrics, then checkpoints: resuming from anywhere in between repeats the epoch."""
        metrics = {name: float(value) for name, value in trainer.callback_metrics.items()}
        validated = pl_module.validated_epoch == trainer.current_epoch
        if trainer.is_global_zero:
            earlier = [row for row in self._rows() if int(row["epoch"]) < trainer.current_epoch]
            self._write([*earlier, _row(trainer, metrics, validated)])
        # Of equal ones the last: without an object to find, all are 0.
        if validated and metrics["AP"] >= self.best:
            self.best = metrics["AP"]
            trainer.save_checkpoint(self.folder / "best.ckpt", storage_options=_TRAINING_STATE)
        trainer.save_checkpoint(self.folder / "last.ckpt")

    def on_exception(
        self, trainer: Trainer, pl_module: LightningModule, exception: BaseException
    ) -> None:
        """Leave nothing half-written behind, and say what a person who stopped can do."""
        if not trainer.is_global_zero:
            return
        if self.new and not (self.folder / "last.ckpt").exists():
            shutil.rmtree(self.folder)
            said = "nothing was kept, for no epoch was finished"
        else:
            said = f"{self.folder} holds all up to the last epoch, --ckpt_path last goes on"
        if isinstance(exception, KeyboardInterrupt):
            log.info("stopped: %s", said)

    def _rows(self) -> list[dict[str, Any]]:
        path = self.folder / "metrics.csv"
        if not path.exists():
            return []
        with path.open(newline="") as file:
            return list(csv.DictReader(file))

    def _write(self, rows: list[dict[str, Any]]) -> None:
        columns = list(dict.fromkeys(name for row in rows for name in row))
        place = whole(self.folder / "metrics.csv")
        with place as unfinished, unfinished.open("w", newline="") as file:
            writer = csv.DictWriter(file, columns)
            writer.writeheader()
            writer.writerows(rows)


def _row(trainer: Trainer, metrics: dict[str, float], validated: bool) -> dict[str, Any]:
    trained = {n: value for n, value in metrics.items() if n.split("/")[0] in ("loss", "gradient")}
    scores = {n: value for n, value in metrics.items() if n[:2] in ("AP", "AR", "AU")}
    rate = trainer.optimizers[0].param_groups[0]["lr"]
    row = {"epoch": trainer.current_epoch, "step": trainer.global_step, "learning_rate": rate}
    return row | trained | (scores if validated else {})


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
