"""Save and restore torch's random number generators, so that a resumed run is reproducible.

Some backbones draw random numbers in training, for dropout or stochastic depth (drop path).
"""

import torch
from lightning.pytorch import Trainer
from torch import Tensor

from centernet.training.epoch_sums import gather


def collect_rng_states(trainer: Trainer) -> Tensor:
    """The states of all processes, uint8 (processes, n). All processes must call this."""
    states = [torch.get_rng_state()]
    device = trainer.strategy.root_device
    if device.type == "cuda":
        states.append(torch.cuda.get_rng_state(device))
    return gather(trainer, torch.cat(states))


def restore_rng_state(trainer: Trainer, states: Tensor) -> None:
    """Restore the state of this process, if the run has as many processes as before."""
    if len(states) != trainer.world_size:
        return
    size = len(torch.get_rng_state())
    cpu, cuda = states[trainer.global_rank].split([size, states.shape[1] - size])
    # Copies, because set_rng_state reads wrong memory from a tensor with a storage offset.
    torch.set_rng_state(cpu.clone())
    device = trainer.strategy.root_device
    if device.type == "cuda" and len(cuda):
        torch.cuda.set_rng_state(cuda.clone(), device)
