from pathlib import Path

import numpy as np
import pytest
import torch

from centernet.losses import CenterNetLoss, l1_at_centers, penalty_reduced_focal_loss
from centernet.targets import encode_targets

GOLDEN = np.load(Path(__file__).parents[1] / "golden" / "losses.npz")


@pytest.mark.parametrize("case", ["l1_0", "l1_1"])
def test_l1_equals_the_release(case):
    values = {k.removeprefix(case + "_"): v for k, v in GOLDEN.items() if k.startswith(case)}
    valid = torch.tensor(values["valid"]).bool()
    batch_index = torch.arange(len(valid))[:, None].expand_as(valid)[valid]
    prediction = torch.tensor(values["map"], requires_grad=True)
    target, cell = torch.tensor(values["target"])[valid], torch.tensor(values["index"])[valid]
    loss = l1_at_centers(prediction, target, batch_index, cell)
    loss.backward()
    # The release adds 1e-4 to the number it divides by.
    assert np.isclose(loss.item(), values["loss"], rtol=1e-5)
    assert np.allclose(prediction.grad, values["grad"], rtol=1e-5)


def test_l1_by_hand_and_without_objects():
    prediction = torch.zeros(1, 2, 2, 2, requires_grad=True)
    where = torch.tensor([0, 0]), torch.tensor([1, 1])  # two objects in one cell count twice
    loss = l1_at_centers(prediction, torch.tensor([[1.0, 2.0], [3.0, -2.0]]), *where)
    assert loss.item() == pytest.approx(8 / 4)
    nowhere = torch.zeros(0, dtype=torch.long)
    none = l1_at_centers(prediction, torch.zeros(0, 2), nowhere, nowhere)
    none.backward()
    assert none.item() == 0 and not prediction.grad.any()


def test_whole_loss_is_the_weighted_sum_and_averages_stacks():
    target = {"boxes": torch.tensor([[0.0, 0.0, 16.0, 8.0]]), "labels": torch.tensor([0])}
    targets = encode_targets([target], (1, 2, 4, 4))
    zeros = {name: torch.zeros(1, 2, 4, 4) for name in ("heatmap", "size", "offset")}
    terms = CenterNetLoss()([zeros, zeros], targets)
    assert terms["size"].item() == pytest.approx((4 + 2) / 2)
    assert terms["offset"].item() == pytest.approx(0)
    assert terms["loss"].item() == pytest.approx(terms["heatmap"].item() + 0.1 * 3)
    assert terms["heatmap"] == penalty_reduced_focal_loss(zeros["heatmap"], targets.heatmap)


def test_gradient_stops_at_a_crowd():
    """From boxes and a crowd region to the gradient of the logits, the way training goes."""
    crowd = torch.zeros(8, 8, dtype=torch.bool)
    crowd[4:, 4:] = True
    target = {
        "boxes": torch.tensor([[0.0, 0.0, 16.0, 16.0]]),
        "labels": torch.tensor([0]),
        "ignore": [(1, crowd)],
    }
    targets = encode_targets([target], (1, 2, 8, 8))
    logits = torch.zeros(1, 2, 8, 8, requires_grad=True)
    maps = {"heatmap": logits, "size": torch.zeros(1, 2, 8, 8), "offset": torch.zeros(1, 2, 8, 8)}
    CenterNetLoss()([maps], targets)["loss"].backward()
    assert (logits.grad[0, 1][crowd] == 0).all()
    assert (logits.grad[0, 1][~crowd] > 0).all()
    assert (logits.grad[0, 0][crowd] > 0).all()


def test_the_state_of_another_loss_is_ignored():
    def ghm(bins):
        return CenterNetLoss(heatmap_loss="ghm", heatmap_loss_options={"bins": bins})

    ten, twenty = ghm(10), ghm(20)
    own = {name: value.clone() for name, value in ten.state_dict().items()}
    for other in (twenty.state_dict(), CenterNetLoss().state_dict()):
        ten.load_state_dict(other)
        assert own and all(torch.equal(ten.state_dict()[name], own[name]) for name in own)
    CenterNetLoss().load_state_dict(own)
    own = {name: value + 1 for name, value in own.items()}
    ten.load_state_dict(own)
    assert all(torch.equal(ten.state_dict()[name], own[name]) for name in own)
