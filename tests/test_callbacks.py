from types import SimpleNamespace

import pytest
import torch
from lightning.pytorch import LightningModule

from centernet.callbacks import EMA, AtomicCheckpointIO


def test_a_checkpoint_is_replaced_whole_or_not_at_all(tmp_path):
    path = tmp_path / "last.ckpt"
    io = AtomicCheckpointIO()
    io.save_checkpoint({"epoch": 1}, path)
    with pytest.raises(Exception, match="pickle"):
        io.save_checkpoint({"epoch": 2, "unsavable": lambda: 0}, path)
    assert torch.load(path) == {"epoch": 1}


def test_what_is_left_out_is_left_out(tmp_path):
    path = tmp_path / "best.ckpt"
    AtomicCheckpointIO().save_checkpoint({"state_dict": {}, "loops": 1}, path, ("loops",))
    assert torch.load(path) == {"state_dict": {}}
    assert [p.name for p in tmp_path.iterdir()] == ["best.ckpt"]


class OneWeight(LightningModule):
    def __init__(self):
        super().__init__()
        self.weight = torch.nn.Parameter(torch.zeros(1))
        self.register_buffer("steps", torch.tensor(0))


def test_averaging_warms_up():
    # After n steps at most (1 + n) / (10 + n) of the old average is kept.
    ema, trainer = EMA(0.9), SimpleNamespace(global_step=0)
    model = OneWeight()
    model.weight.data.fill_(0.0)
    ema.setup(trainer, model, "fit")
    expected = 0.0
    for step in range(1, 200):
        model.weight.data.fill_(float(step))
        model.steps += 1
        trainer.global_step = step
        ema.on_train_batch_end(trainer, model, None, None, step)
        keep = 0.0 if step == 1 else min(0.9, (1 + (step - 1)) / (10 + (step - 1)))
        expected = keep * expected + (1 - keep) * step
    averaged = ema._average_model.module
    assert averaged.weight.item() == pytest.approx(expected, rel=1e-4)
    assert averaged.steps == 199  # counters are copied
