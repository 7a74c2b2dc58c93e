from types import SimpleNamespace

import pytest
import torch

from centernet.training.rng import restore_rng_state


@pytest.fixture(autouse=True)
def same_state_afterwards():
    with torch.random.fork_rng(devices=[]):
        yield


@pytest.mark.parametrize("rank", [0, 1])
def test_every_process_gets_its_own_state(rank):
    states, drawn = [], []
    for seed in (1, 2):
        torch.manual_seed(seed)
        states.append(torch.get_rng_state())
        drawn.append(torch.rand(3))
    strategy = SimpleNamespace(root_device=torch.device("cpu"))
    trainer = SimpleNamespace(world_size=2, global_rank=rank, strategy=strategy)
    restore_rng_state(trainer, torch.stack(states))
    assert torch.equal(torch.rand(3), drawn[rank])


def test_another_number_of_processes_restores_nothing():
    trainer = SimpleNamespace(world_size=1, global_rank=0)
    before = torch.get_rng_state()
    restore_rng_state(trainer, torch.stack([before, before]))
    assert torch.equal(torch.get_rng_state(), before)
