"""Training callbacks: averaged weights, pictures of heatmaps."""

import os
from itertools import chain
from typing import TYPE_CHECKING, Any, cast

import cv2
import numpy as np
import torch
from lightning.pytorch import Callback, LightningModule, Trainer
from lightning.pytorch.callbacks import WeightAveraging
from numpy.typing import NDArray
from torch import Tensor, nn

from centernet.inference.heatmaps import blend, blend_difference
from centernet.targets import encode_targets
from centernet.training.stopping import StopSignals
from centernet.training.trackers import log_picture

if TYPE_CHECKING:
    from centernet.training.task import DetectionTask


class StopOnSignal(Callback):
    """Stops the validate command at the end of a batch after a signal.

    Loader workers are forked before the first batch; an exception of a signal handler would be
    dropped there.
    """

    def __init__(self, signals: StopSignals) -> None:
        """Watch ``signals``."""
        self.signals = signals

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Record signals from now on."""
        self.signals.deferred = True

    def on_validation_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, *args: Any, **kwargs: Any
    ) -> None:
        """Raise Stopped if a signal was received."""
        self.signals.check()

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Let signals stop the process at once again."""
        self.signals.deferred = False
        self.on_validation_batch_end(trainer, pl_module)


class EMA(WeightAveraging):
    """Exponential moving average of the weights, which is validated and saved.

    The decay is warmed up: after n steps it is at most (1 + n) / (10 + n), so that a short run
    averages over about its last tenth and not over its random initialization.
    """

    def __init__(self, decay: float) -> None:
        """Average with ``decay`` per step."""
        super().__init__()
        self.decay = decay
        self._pairs: list[tuple[list[Tensor], list[Tensor]]] = []

    def should_update(self, step_idx: int | None = None, epoch_idx: int | None = None) -> bool:
        """Update after every optimizer step."""
        return step_idx is not None

    def on_train_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Collect the tensors again: a parameter or buffer may have been replaced."""
        self._pairs = []

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Update the averages after an optimizer step.

        Lightning's method collects the tensors of all modules at every step, which takes longer
        than averaging them: 3 ms for a ResNet-10-T.
        """
        # Private: attributes of WeightAveraging, which saves and restores them.
        averaged, steps = self._average_model, trainer.global_step
        assert averaged is not None
        if steps <= self._latest_update_step:
            return
        self._latest_update_step = steps
        self._pairs = self._pairs or _by_type(averaged.module, pl_module)
        decay = min(self.decay, steps / (9 + steps)) if averaged.n_averaged else 0.0
        for old, new in self._pairs:
            # torch's own averaging calls these two functions; torch has no public equivalent.
            if decay and old[0].is_floating_point():
                torch._foreach_lerp_(old, new, 1 - decay)
            else:
                torch._foreach_copy_(old, new)
        averaged.n_averaged += 1


def _by_type(averaged: nn.Module, current: nn.Module) -> list[tuple[list[Tensor], list[Tensor]]]:
    """The tensors of two equal modules, those of one type together."""
    groups: dict[torch.dtype, tuple[list[Tensor], list[Tensor]]] = {}
    tensors = (chain(module.parameters(), module.buffers()) for module in (averaged, current))
    for old, new in zip(*tensors, strict=True):
        pair = groups.setdefault(old.dtype, ([], []))
        pair[0].append(old.detach())
        pair[1].append(new.detach())
    return list(groups.values())


class HeatmapPictures(Callback):
    """Logs pictures of the heatmaps of a few validation images, the same at each validation.

    TensorBoard, W&B and MLflow take them.

    Side by side: the image; over it the target heatmap, the predicted one, and their difference,
    orange where the prediction is too high, blue where it is too low.
    """

    def __init__(self, count: int = 4) -> None:
        """Show the first ``count`` validation images."""
        self.count = count
        self._left = count

    def on_validation_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Reset the image counter."""
        task = cast("DetectionTask", pl_module)
        wanted = trainer.is_global_zero and trainer.state.fn == "fit"
        self._left = self.count if wanted and task.model.has_heatmaps else 0

    def on_validation_batch_end(
        self,
        trainer: Trainer,
        pl_module: LightningModule,
        outputs: Any,
        batch: tuple[Tensor, list[dict]],
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        """Draw the images of the batch that are among the first ones."""
        if not self._left or outputs is None:  # None: the input was so large that it ran in tiles
            return
        task = cast("DetectionTask", pl_module)
        images, targets = batch[0][: self._left], batch[1][: self._left]
        self._left -= len(images)
        predicted = outputs["heatmap"][: len(images)].float().sigmoid().cpu()
        wanted = encode_targets(targets, predicted.shape, stride=task.model.stride)
        folder = task.data.val_set.folder
        for image, target, *heat in zip(images, targets, wanted.heatmap, predicted, strict=True):
            strip = _strip(image.permute(1, 2, 0).cpu().numpy(), *heat)
            file = os.path.relpath(target["file"], folder)
            name = f"image, target, prediction, difference/{file}"
            for logger in trainer.loggers:
                log_picture(logger, name, strip, trainer.global_step)


def _strip(image: NDArray[np.uint8], target: Tensor, predicted: Tensor) -> NDArray[np.uint8]:
    """Images side by side; of maps (C, h, w), each cell shows the class with the largest value."""
    difference = predicted - target
    largest = difference.abs().argmax(0, keepdim=True)
    maps = (target.amax(0), predicted.amax(0), difference.gather(0, largest)[0])
    height, width = image.shape[:2]
    large = [cv2.resize(cells.numpy(), (width, height)).astype(np.float32) for cells in maps]
    drawn = (blend(image, large[0]), blend(image, large[1]), blend_difference(image, large[2]))
    return np.hstack([image, *drawn])
