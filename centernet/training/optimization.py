"""The optimizer of a training run, its learning rate and its schedule."""

import logging
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from lightning.pytorch import Trainer
from lightning.pytorch.utilities.types import OptimizerLRSchedulerConfig
from timm.optim import create_optimizer_v2
from torch import nn
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LambdaLR

from centernet.errors import InputError
from centernet.training.time_limit import elapsed_fraction

log = logging.getLogger(__name__)

SCHEDULES = ("cosine", "step")


@dataclass(frozen=True)
class Optimization:
    """Optimizer, learning rate and schedule. The fields are options of ``--model``.

    Args:
        optimizer: name of a timm optimizer: adamw, adam, sgd, ...
        learning_rate: for a batch of reference_batch_size images; scaled linearly to the batch size
            of the run.
        reference_batch_size: batch size for which learning_rate is given.
        weight_decay: weight decay; biases and normalization layers have none.
        schedule: learning rate after the warm-up: cosine (decays to 1 %) or step (divided by 10
            after each milestone).
        milestones: epochs after which the step schedule drops; values below 1 are fractions of the
            training run.
        warmup_steps: steps of linear warm-up, at most a tenth of the training run.

    Raises:
        InputError: the schedule is unknown or reference_batch_size is below 1.
    """

    optimizer: str = "adamw"
    learning_rate: float = 1e-3
    reference_batch_size: int = 16
    weight_decay: float = 1e-4
    schedule: str = "cosine"
    milestones: list[float] = field(default_factory=lambda: [90, 120])
    warmup_steps: int = 200

    def __post_init__(self) -> None:
        if self.schedule not in SCHEDULES:
            raise InputError(f"unknown schedule {self.schedule!r}: choose {' or '.join(SCHEDULES)}")
        if self.reference_batch_size < 1:
            raise InputError(
                f"reference_batch_size must be positive, got {self.reference_batch_size}"
            )

    def configure(
        self, network: nn.Module, trainer: Trainer, batch_size: int
    ) -> OptimizerLRSchedulerConfig:
        """Create optimizer and schedule, as ``LightningModule.configure_optimizers`` returns them.

        Args:
            network: the network to train.
            trainer: gives the number of steps and accumulated batches, and the precision.
            batch_size: images per batch, over all processes.

        Raises:
            InputError: timm has no optimizer of that name, or the run would never end.
        """
        accumulated = trainer.accumulate_grad_batches
        # A fused optimizer unscales gradients itself, too late for clipping in mixed precision.
        clips = trainer.gradient_clip_val and "mixed" in str(trainer.precision)
        optimizer = self._optimizer(network, batch_size * accumulated, fused=not clips)
        trainer.fit_loop.setup_data()  # counts the batches
        total_steps = trainer.estimated_stepping_batches
        if elapsed := elapsed_fraction(trainer):
            factor = timed_rate_factor(
                self.schedule,
                elapsed,
                total_steps=total_steps,
                warmup_steps=self.warmup_steps,
                milestones=self._fractions(trainer.max_epochs),
            )
        elif total_steps == math.inf:
            raise InputError(
                "trainer.max_epochs -1 would never end: give a number, trainer.max_steps or "
                "--max-time"
            )
        else:
            factor = rate_factor(
                self.schedule,
                total_steps=int(total_steps),
                steps_per_epoch=math.ceil(trainer.num_training_batches / accumulated),
                warmup_steps=self.warmup_steps,
                milestones=self.milestones,
            )
        schedule = LambdaLR(optimizer, factor)
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}

    def _fractions(self, max_epochs: int | None) -> list[float]:
        """The milestones as fractions of the run, for a time limit."""
        if self.schedule != "step" or all(milestone < 1 for milestone in self.milestones):
            return self.milestones
        if max_epochs is None or max_epochs < 1:
            raise InputError(
                f"model.milestones {self.milestones} are epochs, and --max-time has no number of "
                "epochs: give fractions of the run, as [0.6, 0.9]"
            )
        return [m if m < 1 else m / max_epochs for m in self.milestones]

    def _optimizer(self, network: nn.Module, batch_size: int, *, fused: bool) -> Optimizer:
        """The optimizer for a batch size; Adam and AdamW are fused if that is allowed."""
        rate = self.learning_rate * batch_size / self.reference_batch_size
        log.info(
            "learning rate %.3g (%.3g for a batch of %d, scaled to %d)",
            *(rate, self.learning_rate, self.reference_batch_size, batch_size),
        )
        options: dict[str, Any] = {}
        if fused and self.optimizer in ("adam", "adamw"):
            options["fused"] = True
        try:
            return create_optimizer_v2(
                network, self.optimizer, lr=rate, weight_decay=self.weight_decay, **options
            )
        except ValueError as error:
            raise InputError(f"model.optimizer {self.optimizer!r}: {error}") from None


def require_same_optimizer(checkpoint: Mapping[str, Any], network: nn.Module, name: str) -> None:
    """Raise InputError if the optimizer in a checkpoint has other options than the named one.

    Args:
        checkpoint: content of a checkpoint with the training state.
        network: a network of the run.
        name: the option ``model.optimizer``.
    """
    saved = checkpoint["optimizer_states"][0]["param_groups"][0].keys()
    try:
        now = create_optimizer_v2(network, name).param_groups[0].keys()
    except ValueError:  # no such optimizer: reported when the run creates it
        return
    if not saved >= now:
        raise InputError(
            f"the run was trained with another optimizer than {name}: resume without "
            "--model.optimizer, or start a new run"
        )


def rate_factor(
    schedule: str,
    *,
    total_steps: int,
    steps_per_epoch: int,
    warmup_steps: int = 0,
    milestones: Sequence[float] = (),
) -> Callable[[int], float]:
    """The learning rate as a fraction of its maximum, as a function of the step.

    Args:
        schedule: after the warm-up, ``cosine`` decays to 1 %, ``step`` divides by 10 after each
            milestone.
        total_steps: optimizer steps of the training run.
        steps_per_epoch: optimizer steps of one epoch.
        warmup_steps: steps of linear warm-up, at most a tenth of ``total_steps``.
        milestones: epochs after which the step schedule drops; values below 1 are fractions of
            ``total_steps``.
    """
    warmup = min(warmup_steps, total_steps // 10)

    def factor(step: int) -> float:
        if step < warmup:
            return (step + 1) / (warmup + 1)
        if schedule == "cosine":
            progress = min(1.0, (step - warmup) / max(1, total_steps - warmup))
            return 0.01 + 0.99 * (1 + math.cos(math.pi * progress)) / 2
        passed = (step >= m * (steps_per_epoch if m >= 1 else total_steps) for m in milestones)
        return 0.1 ** sum(passed)

    return factor


def timed_rate_factor(
    schedule: str,
    elapsed: Callable[[], float],
    *,
    total_steps: float,
    warmup_steps: int = 0,
    milestones: Sequence[float] = (),
) -> Callable[[int], float]:
    """The learning rate as a fraction of its maximum, for a run with a time limit.

    The progress of the run is the larger fraction of its time and of its steps, because the run
    ends with the first of both limits. It warms up for ``warmup_steps`` or a tenth of the run,
    whichever ends first.

    Args:
        schedule: ``cosine`` decays to 1 %, ``step`` divides by 10 after each milestone.
        elapsed: the fraction of the time that is used, 0 to 1.
        total_steps: optimizer steps of the training run; infinite without a limit.
        warmup_steps: steps of linear warm-up.
        milestones: fractions of the run after which the step schedule drops.
    """

    def factor(step: int) -> float:
        progress = min(1.0, max(step / total_steps, elapsed()))
        warm = min(1.0, max((step + 1) / (warmup_steps + 1), 10 * progress))
        if schedule == "cosine":
            return min(warm, 0.01 + 0.99 * (1 + math.cos(math.pi * progress)) / 2)
        return warm * 0.1 ** sum(progress >= milestone for milestone in milestones)

    return factor
