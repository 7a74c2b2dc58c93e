from types import SimpleNamespace

import pytest
import torch

from centernet.training.epoch_sums import LossMeans, collect_sums, restore_sums


class Strategy:
    """Two processes with equal sums."""

    root_device = torch.device("cpu")

    def all_gather(self, value):
        return torch.stack([value, value])

    def reduce(self, value, reduce_op):
        return 2 * value


def log_epoch(means: LossMeans) -> dict[str, float]:
    logged = {}
    trainer, task = SimpleNamespace(strategy=Strategy()), SimpleNamespace(log_dict=logged.update)
    means.on_train_epoch_end(trainer, task)
    return {name: value.item() for name, value in logged.items()}


def add(means: LossMeans, heatmap: float, images: int) -> None:
    term = torch.tensor(heatmap, requires_grad=True)
    means.add({"heatmap": term, "loss": 2 * term}, images)


def test_means_are_over_images_and_start_again_in_each_epoch():
    means = LossMeans()
    add(means, 1.0, 4)
    add(means, 4.0, 2)
    assert log_epoch(means) == {"loss/heatmap": 2.0, "loss": 4.0}
    add(means, 3.0, 4)
    assert log_epoch(means) == {"loss/heatmap": 3.0, "loss": 6.0}


@pytest.mark.parametrize("processes", [2, 1])
def test_sums_are_restored(processes):
    means, resumed = LossMeans(), LossMeans()
    add(means, 1.0, 4)

    def trainer(callback, size):
        return SimpleNamespace(
            callbacks=[callback, object()],
            strategy=Strategy(),
            world_size=size,
            global_rank=size - 1,
            is_global_zero=size == 1,
        )

    saved = collect_sums(trainer(means, 2))
    restore_sums(trainer(resumed, processes), saved)
    add(resumed, 4.0, 2)
    # One process gets the sums of both.
    images = 4 * (2 // processes)
    assert resumed.epoch_sums.tolist() == [images + 8, 2 * images + 16, images + 2]
