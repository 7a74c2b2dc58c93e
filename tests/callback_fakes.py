"""Callbacks that tests give to the training command."""

import os
import signal

from lightning.pytorch import Callback
from torch import nn


class FixedBatchNorm(Callback):
    """Training whose batch norms use and keep the statistics they have."""

    def on_train_batch_start(self, trainer, pl_module, *_) -> None:
        for module in pl_module.modules():
            if isinstance(module, nn.BatchNorm2d):
                module.eval()


class RandomFeatures(Callback):
    """Drops features of the backbone at random, as backbones with dropout or drop path do."""

    def on_fit_start(self, trainer, pl_module) -> None:
        def drop(module, _, features):
            return [nn.functional.dropout(x, 0.2, module.training) for x in features]

        pl_module.model.backbone.register_forward_hook(drop)


class StopAfterStep(Callback):
    """Sends SIGTERM to the first process as that step ends."""

    def __init__(self, step: int) -> None:
        self.step = step

    def on_train_batch_end(self, trainer, *_) -> None:
        if trainer.global_step == self.step and trainer.is_global_zero:
            os.kill(os.getpid(), signal.SIGTERM)


class StopInValidation(Callback):
    """Sends SIGTERM in the first batch of a validation."""

    def on_validation_batch_start(self, *_) -> None:
        os.kill(os.getpid(), signal.SIGTERM)
