"""The losses that can be chosen for the heatmap, within the whole loss."""

import numpy as np
import pytest
import torch

from centernet.errors import InputError
from centernet.losses import HEATMAP_LOSSES, CenterNetLoss
from centernet.losses.heatmap import from_binary_loss
from centernet.models.retinanet.loss import RetinaNetLoss
from centernet.targets import encode_targets


def a_batch(seed=0):
    """Two objects and a crowd on one image: outputs of a network, targets."""
    crowd = torch.zeros(8, 8, dtype=torch.bool)
    crowd[4:, 4:] = True
    target = {
        "boxes": torch.tensor([[0.0, 0.0, 16.0, 16.0], [16.0, 0.0, 28.0, 20.0]]),
        "labels": torch.tensor([0, 1]),
        "ignore": [(None, crowd)],
    }
    generator = torch.Generator().manual_seed(seed)
    maps = {
        name: torch.randn(1, 2, 8, 8, generator=generator) for name in ("heatmap", "size", "offset")
    }
    return maps, encode_targets([target], (1, 2, 8, 8))


def heatmap_loss_by_the_formula(name, x, targets):
    """In float64, cell by cell."""
    cells = [
        ((x if y == 1 else -x).sigmoid().item(), y.item(), seen.item())
        for x, y, seen in zip(
            x.double().flatten(), targets.heatmap.flatten(), targets.mask.flatten(), strict=True
        )
    ]
    regions = [int((1 - p_t) * 10) for p_t, _, seen in cells if seen]
    total = 0.0
    for p_t, y, seen in cells:
        if not seen:
            continue
        weight = 1.0 if y == 1 else (1 - y) ** 4
        each = {
            "focal": (0.25 if y == 1 else 0.75) * (1 - p_t) ** 2 * -np.log(p_t) / 2,
            "focal_star": np.log1p(((1 - p_t) / p_t) ** 2 * np.exp(-1)) / 2 / 2,
            "ghm": -np.log(p_t) / (10 * regions.count(int((1 - p_t) * 10))),
        }
        total += weight * each[name]
    return total


@pytest.mark.parametrize("name", ["focal", "focal_star", "ghm"])
def test_losses_equal_the_formula(name):
    maps, targets = a_batch()
    found = CenterNetLoss(heatmap_loss=name)([maps], targets)
    expected = heatmap_loss_by_the_formula(name, maps["heatmap"], targets)
    assert found["heatmap"].item() == pytest.approx(expected, rel=1e-5)
    usual = CenterNetLoss()([maps], targets)
    assert found["size"] == usual["size"] and found["offset"] == usual["offset"]


@pytest.mark.parametrize("name", HEATMAP_LOSSES)
def test_every_loss_ignores_crowds_and_raises_only_centers(name):
    maps, targets = a_batch()
    logits = maps["heatmap"].requires_grad_()
    CenterNetLoss(heatmap_loss=name)([maps], targets)["loss"].backward()
    assert (logits.grad[~targets.mask] == 0).all()
    assert ((logits.grad < 0) == (targets.heatmap == 1)).all()
    assert (logits.grad[targets.mask] != 0).all()


@pytest.mark.parametrize("name", HEATMAP_LOSSES)
def test_every_loss_without_objects(name):
    maps = {key: torch.zeros(1, 2, 4, 4, requires_grad=True) for key in ("heatmap", "size")}
    maps["offset"] = maps["size"]
    nothing = {"boxes": torch.zeros(0, 4), "labels": torch.zeros(0, dtype=torch.long)}
    terms = CenterNetLoss(heatmap_loss=name)([maps], encode_targets([nothing], (1, 2, 4, 4)))
    terms["loss"].backward()
    assert terms["loss"] == terms["heatmap"] > 0
    assert (maps["heatmap"].grad > 0).all()


@pytest.mark.parametrize("name", ["penalty_reduced_focal", "focal", "focal_star"])
def test_several_processes_divide_by_the_average_number_of_centers(name, monkeypatch):
    maps, targets = a_batch()
    alone = CenterNetLoss(heatmap_loss=name)([maps], targets)
    # The other process has no center: on average there are half as many.
    monkeypatch.setattr(torch.distributed, "is_initialized", lambda: True)
    monkeypatch.setattr(torch.distributed, "get_world_size", lambda: 2)
    monkeypatch.setattr(torch.distributed, "all_reduce", lambda counts: None)
    shared = CenterNetLoss(heatmap_loss=name)([maps], targets)
    assert shared["heatmap"].item() == pytest.approx(2 * alone["heatmap"].item())


def test_options_of_the_heatmap_loss():
    maps, targets = a_batch()
    plain = {"alpha": None, "gamma": 0.0}
    loss = CenterNetLoss(heatmap_loss="focal", heatmap_loss_options=plain)
    cross_entropy = torch.nn.functional.binary_cross_entropy_with_logits(
        maps["heatmap"], (targets.heatmap == 1).float(), reduction="none"
    )
    weight = torch.where(targets.heatmap == 1, 1, (1 - targets.heatmap) ** 4) * targets.mask
    expected = (cross_entropy * weight).sum().item() / 2
    assert loss([maps], targets)["heatmap"].item() == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({"heatmap_loss": "hinge"}, "heatmap_loss 'hinge'.*penalty_reduced_focal.*ghm"),
        ({"heatmap_loss": "focal", "heatmap_loss_options": {"alpha": 2}}, "alpha .* 2"),
        ({"heatmap_loss": "focal_star", "heatmap_loss_options": {"gama": 2}}, "gama"),
        ({"heatmap_loss": "ghm", "heatmap_loss_options": {"schedule": "step"}}, "'step'"),
        ({"heatmap_loss_options": {"bins": 3}}, "bins"),
    ],
)
def test_unknown_losses_and_options_are_named(options, expected):
    with pytest.raises(InputError, match=expected):
        CenterNetLoss(**options)


def squared_error(logits, targets, *, weight, reduction, scale=1.0):
    assert reduction == "sum" and targets.dtype == torch.bool
    return (scale * weight * (logits.sigmoid() - targets.float()) ** 2).sum()


def test_one_registration_adds_a_loss_to_both_detectors(monkeypatch):
    monkeypatch.setitem(HEATMAP_LOSSES, "squared", from_binary_loss(squared_error))
    maps, targets = a_batch()
    options = {"heatmap_loss": "squared", "heatmap_loss_options": {"scale": 3.0}}
    found = CenterNetLoss(**options)([maps], targets)["heatmap"]
    weight = torch.where(targets.heatmap == 1, 1, (1 - targets.heatmap) ** 4) * targets.mask
    error = (maps["heatmap"].sigmoid() - (targets.heatmap == 1).float()) ** 2
    assert found.item() == pytest.approx(3 * (weight * error).sum().item() / 2, rel=1e-5)
    anchors = RetinaNetLoss(**options).classification_loss
    logits, positive = torch.zeros(1, 4, 2), torch.zeros(1, 4, 2, dtype=torch.bool)
    mask = torch.ones_like(positive)
    mask[:, 0] = False
    assert anchors(logits, positive, mask, normalizer=2).item() == pytest.approx(3 * 6 * 0.25 / 2)


def test_the_state_of_another_loss_is_left_alone():
    maps, targets = a_batch()
    epochs = {"heatmap_loss": "ghm", "heatmap_loss_options": {"schedule": "epoch"}}
    counted = CenterNetLoss(**epochs)
    counted([maps], targets)
    counted.end_epoch()
    state = counted.state_dict()
    assert state
    again = CenterNetLoss(**epochs)
    again.load_state_dict(state)
    assert all(torch.equal(state[name], value) for name, value in again.state_dict().items())
    CenterNetLoss().load_state_dict(state)
    anew = CenterNetLoss(**epochs)
    anew.load_state_dict(CenterNetLoss().state_dict())
    assert not anew.heatmap_loss.by_epoch
    fewer = CenterNetLoss(heatmap_loss="ghm", heatmap_loss_options={"bins": 5})
    fewer.load_state_dict(state)
    assert not fewer.heatmap_loss.density.any()
