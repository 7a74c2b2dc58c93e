"""Agreement between the processes of a training run."""

import torch
from lightning.pytorch import Trainer


def agree(trainer: Trainer, *values: float) -> list[float]:
    """The maximum of each value over all processes, so that all processes act alike."""
    if trainer.world_size == 1:
        return list(values)
    tensor = torch.tensor(values, dtype=torch.float32, device=trainer.strategy.root_device)
    agreed = trainer.strategy.reduce(tensor, reduce_op="max")
    return [float(value) for value in agreed]
