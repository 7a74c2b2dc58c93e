import csv
from types import SimpleNamespace

import pytest
import torch
from lightning.pytorch import LightningModule

from centernet.data.shapes import make_shapes
from centernet.errors import InputError
from centernet.losses import CenterNetLoss, gradient_shares
from centernet.targets import encode_targets
from centernet.training.monitors import CenterAUROC, GradientByDifficulty
from centernet.training.train_cli import main


class Task(LightningModule):
    """A task that remembers what is logged."""

    def __init__(self, class_names=("cat", "dog", "cow")):
        super().__init__()
        self.class_names, self.loss, self.logged = class_names, CenterNetLoss(), {}
        self.model = SimpleNamespace(stride=4, has_heatmaps=True)

    def log_dict(self, numbers, **_):
        self.logged |= {name: float(value) for name, value in numbers.items()}


TRAINER = SimpleNamespace(is_global_zero=True)


def a_target(*labels):
    """Objects in a row: the center of number i is in cell (2 i + 1, 1) of an 8 x 8 map."""
    boxes = [[8.0 * i, 0, 8 * i + 8, 8] for i in range(len(labels))]
    return {
        "boxes": torch.tensor(boxes).reshape(-1, 4),
        "labels": torch.tensor(labels, dtype=torch.long),
    }


@pytest.mark.parametrize("name", ["penalty_reduced_focal", "ghm"])
def test_shares_are_those_of_the_real_gradient(name):
    monitor, task = GradientByDifficulty(easy=0.2, outlier=0.7), Task()
    task.loss = CenterNetLoss({"heatmap": 3.0}, name)
    monitor.on_fit_start(TRAINER, task)
    targets = encode_targets([a_target(0, 1)], (1, 3, 8, 8))
    torch.manual_seed(0)
    maps = {key: torch.randn(1, n, 8, 8) for key, n in [("heatmap", 3), ("size", 2), ("offset", 2)]}
    logits = maps["heatmap"].requires_grad_()
    # Of two stacks the last one is looked at.
    first = maps | {"heatmap": torch.zeros(1, 3, 8, 8, requires_grad=True)}
    task.loss([first, maps], targets)["loss"].backward()
    # A step whose scaled gradient overflows plays no part.
    overflowing = task.loss([first, maps], targets)["loss"] * torch.inf
    torch.autograd.grad(overflowing, logits)
    monitor.on_train_epoch_end(TRAINER, task)
    expected = gradient_shares(logits.grad, logits, targets.heatmap == 1, [0.2, 0.7])
    assert list(task.logged) == ["gradient/easy", "gradient/hard", "gradient/outlier"]
    assert list(task.logged.values()) == pytest.approx(expected.tolist())
    assert sum(task.logged.values()) == pytest.approx(1)
    monitor.on_fit_end(TRAINER, task)
    assert not task.loss._forward_pre_hooks


def test_looking_changes_no_loss_and_no_count():
    plain, watched = (CenterNetLoss(heatmap_loss="ghm") for _ in range(2))
    task = Task()
    task.loss = watched
    GradientByDifficulty().on_fit_start(TRAINER, task)
    targets = encode_targets([a_target(0, 1)], (1, 3, 8, 8))
    maps = {key: torch.ones(1, 3, 8, 8, requires_grad=True) for key in ("heatmap", "size")}
    maps |= {key: torch.ones(1, 2, 8, 8) for key in ("size", "offset")}
    losses = [loss([maps], targets)["loss"] for loss in (plain, watched)]
    losses[1].backward()
    assert losses[0] == losses[1]
    for before, after in zip(plain.buffers(), watched.buffers(), strict=True):
        assert torch.equal(before, after)


@pytest.mark.parametrize("edges", [(0.0, 0.9), (0.5, 0.5), (0.1, 1.0)])
def test_wrong_limits_are_said(edges):
    with pytest.raises(InputError, match=f"got {edges[0]} and {edges[1]}"):
        GradientByDifficulty(*edges)


def validated(monitor, task, *batches):
    """Run a validation of batches of (heatmap logits, targets); returns what was logged."""
    task.logged = {}
    monitor.on_validation_epoch_start(TRAINER, task)
    for i, (logits, targets) in enumerate(batches):
        monitor.on_validation_batch_end(TRAINER, task, {"heatmap": logits}, (None, targets), i)
    monitor.on_validation_epoch_end(TRAINER, task)
    return task.logged


def logits_at_centers(*rows):
    """Logits (1, C, 8, 8) with these class scores at the centers of :func:`a_target`'s objects."""
    logits = torch.full((1, len(rows[0]), 8, 8), -9.0)
    for i, row in enumerate(rows):
        logits[0, :, 1, 2 * i + 1] = torch.tensor(row)
    return logits


def test_auroc_without_objects_is_not_logged():
    assert validated(CenterAUROC(), Task(), (torch.zeros(1, 3, 8, 8), [a_target()])) == {}


def test_auroc_without_maps_is_not_logged():
    """Validation with flipped or scaled images has no one map to read."""
    monitor, task = CenterAUROC(), Task()
    monitor.on_validation_epoch_start(TRAINER, task)
    monitor.on_validation_batch_end(TRAINER, task, None, (None, [a_target(0, 1)]), 0)
    monitor.on_validation_epoch_end(TRAINER, task)
    assert task.logged == {}


def test_auroc_by_hand():
    # Two cats and two dogs. As a cat, the cats score 3 and 1, the dogs 2 and 0: of the four pairs
    # three are in order. As a dog, the dogs score 2 and 1, above both cats.
    first = logits_at_centers([3.0, 0.0, 5.0], [2.0, 2.0, 4.0])
    second = logits_at_centers([1.0, -1.0, 3.0], [0.0, 1.0, 0.0])
    monitor, task = CenterAUROC(), Task()
    batches = (first, [a_target(0, 1)]), (second, [a_target(0, 1)])
    expected = {"AUROC": 0.875, "AUROC/cat": 0.75, "AUROC/dog": 1.0}
    # No cow, so no AUROC of it. A second validation does not include the first.
    assert validated(monitor, task, *batches) == pytest.approx(expected)
    assert validated(monitor, task, *batches) == pytest.approx(expected)


def test_auroc_needs_two_classes():
    with pytest.raises(InputError, match="has 1"):
        CenterAUROC().setup(TRAINER, Task(("cat",)), "fit")


@pytest.mark.slow
def test_both_write_into_the_metrics_of_a_run(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    make_shapes(tmp_path / "shapes", train=8, val=3, size=64)
    (tmp_path / "tiny.yaml").write_text(
        "data: {root: shapes, train_images: train, val_images: val, image_size: 64, workers: 0,\n"
        "  train_annotations: annotations/instances_train.json,\n"
        "  val_annotations: annotations/instances_val.json, batch_size: 4}\n"
        "model: {backbone: test_resnet, neck: fpn, heatmap_loss: ghm,\n"
        "  heatmap_loss_options: {schedule: epoch}}\n"
        "trainer: {accelerator: cpu, max_epochs: 2, enable_progress_bar: false,\n"
        "  check_val_every_n_epoch: 2}\n"
    )
    callbacks = ["--trainer.callbacks+=GradientByDifficulty", "--trainer.callbacks+=CenterAUROC"]
    main(["fit", "--config=tiny.yaml", *callbacks])
    with (tmp_path / "runs" / "tiny" / "metrics.csv").open() as file:
        first, last = csv.DictReader(file)
    for row in (first, last):
        shares = [float(row[f"gradient/{kind}"]) for kind in ("easy", "hard", "outlier")]
        assert sum(shares) == pytest.approx(1)
    assert not first["AUROC"] and 0 <= float(last["AUROC"]) <= 1
    # A checkpoint of this loss is validated without naming the loss.
    main(
        [
            "validate",
            "--config=tiny.yaml",
            "--model.heatmap_loss=focal",
            "--model.heatmap_loss_options=null",
            "--ckpt_path=runs/tiny/best.ckpt",
        ]
    )
