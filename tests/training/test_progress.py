import logging
from types import SimpleNamespace

import pytest
import torch

from centernet.training import progress
from centernet.training.progress import ProgressLines


def trainer(**more):
    options = {"current_epoch": 1, "max_epochs": 4, "max_steps": -1, "global_step": 12}
    options |= {"num_training_batches": 10, "accumulate_grad_batches": 1, "is_global_zero": True}
    return SimpleNamespace(**options | more)


@pytest.fixture
def lines(monkeypatch, caplog):
    """Runs steps of a number of seconds, with losses 1, 2, ...; returns the logged lines."""

    def run(steps, seconds, **options):
        now = [0.0]
        monkeypatch.setattr(progress, "monotonic", lambda: now[0])
        callback = ProgressLines()
        callback.on_train_start(trainer(), None)
        with caplog.at_level(logging.INFO):
            for step in range(steps):
                now[0] += seconds
                loss = {"loss": torch.tensor(1.0 + step)}
                callback.on_train_batch_end(trainer(**options), None, loss, None, step)
        return [record.message for record in caplog.records]

    return run


def test_a_line_tells_epoch_mean_loss_and_time_left(lines):
    # Three steps of 4 s are the first ones to take 10 s; 2 * 10 + 7 steps are left.
    # The first one is not timed.
    (line,) = lines(4, 4.0)
    assert line.startswith("epoch 1, step 3 of 10: loss 2.000, 40.0 s per epoch")
    assert "0:01:48 left" in line


@pytest.mark.parametrize(
    ("options", "left"),
    [
        ({"max_steps": 14}, "0:00:20 left"),
        ({"max_epochs": -1, "max_steps": 14, "accumulate_grad_batches": 2}, "0:00:40 left"),
        ({"max_epochs": -1}, "per epoch"),
    ],
)
def test_the_nearer_limit_counts(lines, options, left):
    assert lines(2, 10.0, **options)[0].endswith(left)


def test_lines_become_rarer(lines):
    assert 30 <= len(lines(3600, 1.0)) <= 60


def test_only_the_first_process_logs(lines):
    assert lines(5, 10.0, is_global_zero=False) == []
