from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from lightning.pytorch import LightningModule
from lightning.pytorch.loggers import TensorBoardLogger

from centernet.training.callbacks import EMA, HeatmapPictures
from centernet.training.run_folder import AtomicCheckpointIO, RunFolder


def test_checkpoints_are_replaced_atomically(tmp_path):
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


class Trainer:
    """Knows of each checkpoint in which epoch it was saved."""

    is_global_zero, world_size, should_stop = True, 1, False
    max_epochs, max_steps, num_training_batches = 3, -1, 1

    def __init__(self):
        self.saved, self.global_step = {}, 0
        self.optimizers = [SimpleNamespace(param_groups=[{"lr": 0.1}])]

    def end_epoch(self, folder, epoch, precision):
        self.current_epoch, self.callback_metrics = epoch, {"loss": 1.0}
        task = SimpleNamespace(validated_epoch=-1, evaluation=None)
        if precision is not None:
            self.callback_metrics["AP"], task.validated_epoch = precision, epoch
        folder.on_train_epoch_end(self, task)

    def save_checkpoint(self, path, storage_options=None):
        self.saved[path.name] = self.current_epoch


@pytest.mark.parametrize(
    ("precisions", "best"),
    [
        ([0.3, 0.5, 0.4], 1),
        ([None, 0.3, None], 1),
        ([0.0, 0.0, None], 1),  # nothing to find, or nothing found: the newest
        ([None, None, None], None),
    ],
)
def test_the_best_checkpoint_is_the_best_by_ap(tmp_path, precisions, best):
    trainer, folder = Trainer(), RunFolder(tmp_path, "", new=True)
    for epoch, precision in enumerate(precisions):
        trainer.end_epoch(folder, epoch, precision)
    assert trainer.saved.get("best.ckpt") == best and trainer.saved["last.ckpt"] == 2


def test_a_resumed_run_knows_what_was_best(tmp_path):
    trainer, before, folder = (
        Trainer(), RunFolder(tmp_path, "", new=True), RunFolder(tmp_path, "", new=False),
    )  # fmt: skip
    trainer.end_epoch(before, 0, 0.5)
    folder.load_state_dict(before.state_dict())
    trainer.end_epoch(folder, 1, 0.4)
    assert trainer.saved["best.ckpt"] == 0
    trainer.end_epoch(folder, 2, 0.6)
    assert trainer.saved["best.ckpt"] == 2


class OneWeight(LightningModule):
    def __init__(self):
        super().__init__()
        self.weight = torch.nn.Parameter(torch.zeros(1))
        self.register_buffer("steps", torch.tensor(0))


@pytest.mark.parametrize("steps", [2, 5, 199])
def test_averaging_warms_up(steps):
    # After n steps at most (1 + n) / (10 + n) of the old average is kept. Its effect on the average
    # fades, so it shows in the first steps.
    ema, trainer = EMA(0.9), SimpleNamespace(global_step=0)
    model = OneWeight()
    model.weight.data.fill_(0.0)
    ema.setup(trainer, model, "fit")
    expected = 0.0
    for step in range(1, steps + 1):
        model.weight.data.fill_(float(step))
        model.steps += 1
        trainer.global_step = step
        ema.on_train_batch_end(trainer, model, None, None, step)
        keep = 0.0 if step == 1 else min(0.9, (1 + (step - 1)) / (10 + (step - 1)))
        expected = keep * expected + (1 - keep) * step
    averaged = ema._average_model.module
    assert averaged.weight.item() == pytest.approx(expected, rel=1e-4)
    assert averaged.steps == steps  # counters are copied


class Board(TensorBoardLogger):
    """Remembers the pictures it is given."""

    def __init__(self):
        self.pictures = {}

    @property
    def experiment(self):
        return SimpleNamespace(add_image=lambda name, image, *_, **__: self._add(name, image))

    def _add(self, name, image):
        self.pictures[name] = image


def validate(callback, board, *batches, fn="fit"):
    """Batches of images as (files, predicted logits), each with an object in its middle."""
    trainer = SimpleNamespace(
        is_global_zero=True,
        state=SimpleNamespace(fn=fn),
        loggers=[board],
        global_step=7,
    )
    task = SimpleNamespace(
        model=SimpleNamespace(has_heatmaps=True, stride=4),
        data=SimpleNamespace(val_set=SimpleNamespace(folder=Path("images"))),
    )
    callback.on_validation_epoch_start(trainer, task)
    for number, (files, logits) in enumerate(batches):
        target = {"boxes": torch.tensor([[24.0, 24, 40, 40]]), "labels": torch.tensor([0])}
        targets = [target | {"file": f"images/{name}"} for name in files]
        images = torch.full((len(files), 3, 64, 64), 100, dtype=torch.uint8)
        callback.on_validation_batch_end(
            trainer, task, {"heatmap": logits}, (images, targets), number
        )


def test_the_same_first_images_are_shown_at_every_validation():
    board, callback = Board(), HeatmapPictures(count=3)
    # Two images of one name in different folders are two.
    names = ["a/1.jpg", "b/1.jpg"], ["c/1.jpg", "d/1.jpg"]
    batches = [(files, torch.zeros(2, 2, 16, 16)) for files in names]
    for _ in range(2):
        board.pictures.clear()
        validate(callback, board, *batches)
        shown = [name.partition("/")[2] for name in board.pictures]
        assert shown == ["a/1.jpg", "b/1.jpg", "c/1.jpg"]
    board.pictures.clear()
    validate(callback, board, *batches, fn="validate")
    assert not board.pictures


def test_image_target_prediction_and_difference_stand_side_by_side():
    """The object, in the middle, is not seen; in the upper left corner something is."""
    logits = torch.full((1, 2, 16, 16), -20.0)
    logits[0, 1, :4, :4] = 20
    board = Board()
    validate(HeatmapPictures(), board, (["a"], logits))
    image, target, prediction, difference = np.hsplit(*board.pictures.values(), 4)
    assert (image == 100).all()
    assert target[34, 34].sum() > 350 > prediction[34, 34].sum()
    assert prediction[4, 4].sum() > 350 > target[4, 4].sum()
    missed, false = difference[34, 34].astype(int), difference[4, 4].astype(int)
    assert missed[2] > missed[0] + 50 and false[0] > false[2] + 50  # blue, orange
