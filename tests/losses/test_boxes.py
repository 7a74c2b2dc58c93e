import pytest
import torch

from centernet.decode import decode
from centernet.errors import InputError
from centernet.losses import CenterNetLoss, box_samples, giou_loss_at_cells
from centernet.losses.boxes import BoxSamples
from centernet.targets import encode_targets

ONE = {"boxes": torch.tensor([[8.0, 8.0, 24.0, 24.0]]), "labels": torch.tensor([0])}
NONE = {"boxes": torch.zeros(0, 4), "labels": torch.zeros(0, dtype=torch.long)}


def maps_of(samples: BoxSamples, shape: tuple[int, int, int]) -> torch.Tensor:
    """Maps (B, 4, h, w) with the samples' sides at their cells, and ones elsewhere."""
    batch, rows, columns = shape
    maps = torch.ones(batch, rows * columns, 4)
    maps[samples.batch_index, samples.cell_index] = samples.sides
    return maps.transpose(1, 2).reshape(batch, 4, rows, columns)


def test_the_center_cell_by_hand():
    # 4x4 cells from (2, 2) to (6, 6); the center (4, 4) lies in cell (4, 4), whose middle is 4.5
    samples = box_samples(encode_targets([ONE], (1, 1, 8, 8)), "center")
    assert samples.cell_index.tolist() == [4 * 8 + 4] and samples.weight.tolist() == [1]
    assert samples.sides.tolist() == [[2.5, 2.5, 1.5, 1.5]]


def test_the_cells_around_it_by_hand():
    # radius 1, sigma 0.5: exp(-2) beside the center and exp(-4) at its corners, all in the box
    samples = box_samples(encode_targets([ONE], (1, 1, 8, 8)), "gaussian")
    side, corner = torch.tensor([-2.0, -4.0]).exp()
    total = 1 + 4 * side + 4 * corner
    of_cell = dict(zip(samples.cell_index.tolist(), samples.weight.tolist(), strict=True))
    assert len(of_cell) == 9 and sum(of_cell.values()) == pytest.approx(1)
    assert of_cell[4 * 8 + 4] == pytest.approx((1 / total).item())
    assert of_cell[3 * 8 + 4] == pytest.approx((side / total).item())
    assert of_cell[3 * 8 + 3] == pytest.approx((corner / total).item())
    left_of_it = samples.cell_index.tolist().index(4 * 8 + 3)
    assert samples.sides[left_of_it].tolist() == [1.5, 2.5, 2.5, 1.5]


@pytest.mark.parametrize("cells", ["center", "gaussian"])
def test_perfect_sides_decode_to_the_boxes_wherever_they_are_read(cells):
    boxes = torch.tensor([[3.0, 5, 40, 60], [30, 40, 63, 64], [70, 8, 90, 60], [1, 90, 2, 91]])
    target = {"boxes": boxes, "labels": torch.tensor([0, 1, 0, 1])}
    targets = encode_targets([target], (1, 2, 24, 24))
    samples = box_samples(targets, cells)
    sides = maps_of(samples, (1, 24, 24))
    assert giou_loss_at_cells(sides, samples, normalizer=4).item() == pytest.approx(0, abs=1e-6)
    outputs = {"heatmap": torch.logit(targets.heatmap), "sides": sides}
    (found,) = decode(outputs, top_k=4)
    order = found["boxes"][:, 0].argsort()
    ours, theirs = found["boxes"][order], boxes[boxes[:, 0].argsort()]
    # The tiny one lies beside the middle of its cell, up to which it is stretched.
    assert torch.allclose(ours[1:], theirs[1:], atol=1e-4)
    assert (ours[0] - theirs[0]).abs().max() <= 1.05


def test_where_objects_meet_the_nearer_one_is_learned():
    boxes = torch.tensor([[0.0, 0, 48, 48], [24, 0, 72, 48]])
    targets = encode_targets([{"boxes": boxes, "labels": torch.tensor([0, 1])}], (1, 2, 12, 18))
    samples = box_samples(targets)
    x = samples.cell_index % 18
    center = x + 0.5 + (samples.sides[:, 2] - samples.sides[:, 0]) / 2
    # The Gaussians' centers are the cells 6 and 12; in between, both are as near.
    assert (center[x < 9] == 6).all() and (center[x > 9] == 12).all()
    assert set(center[x == 9].tolist()) == {6, 12}


def test_two_objects_in_one_cell_both_count():
    boxes = torch.tensor([[0.0, 0, 16, 16], [0, 0, 15, 17]])
    for cells in ("center", "gaussian"):
        targets = encode_targets([{"boxes": boxes, "labels": torch.tensor([0, 0])}], (1, 1, 8, 8))
        assert box_samples(targets, cells).weight.sum().item() == pytest.approx(2)


def test_giou_by_hand():
    # predicted 2x2 around the cell's middle, true 4x2 to the right of it: IoU 1/3 of 3 joined,
    # so 1 - (1 * 2 / (2 * 2 + 4 * 2 - 2) - (10 - 10) / 10)
    samples = BoxSamples(
        torch.tensor([0]), torch.tensor([0]), torch.tensor([[0.0, 1, 4, 1]]), torch.tensor([1.0])
    )
    prediction = torch.ones(1, 4, 1, 1)
    iou, joined, around = 2 / 10, 10, 5 * 2
    expected = 1 - (iou - (around - joined) / around)
    loss = giou_loss_at_cells(prediction, samples, normalizer=1)
    assert loss.item() == pytest.approx(expected, abs=1e-6)
    assert giou_loss_at_cells(prediction, samples, normalizer=4).item() == pytest.approx(
        expected / 4, abs=1e-6
    )


@pytest.mark.parametrize("cells", ["center", "gaussian"])
def test_nothing_to_learn_is_no_special_case(cells):
    sides = torch.ones(1, 4, 4, 4, requires_grad=True)
    samples = box_samples(encode_targets([NONE], (1, 2, 4, 4)), cells)
    loss = giou_loss_at_cells(sides, samples, normalizer=1)
    loss.backward()
    assert loss.item() == 0 and not sides.grad.any()


def test_gradient_in_double_precision():
    samples = box_samples(encode_targets([ONE], (1, 1, 8, 8)))
    generator = torch.Generator().manual_seed(0)
    sides = 1 + torch.rand(1, 4, 8, 8, generator=generator, dtype=torch.float64)
    sides.requires_grad_()
    assert torch.autograd.gradcheck(
        lambda x: giou_loss_at_cells(x, samples, normalizer=1), sides, fast_mode=True
    )


def test_whole_loss_with_sides():
    targets = encode_targets([ONE], (1, 1, 8, 8))
    outputs = {"heatmap": torch.zeros(1, 1, 8, 8), "sides": 2 * torch.ones(1, 4, 8, 8)}
    terms = CenterNetLoss(box_head="sides", box_cells="center")([outputs, outputs], targets)
    assert terms.keys() == {"heatmap", "sides", "loss"}
    iou = 3.5**2 / (2 * 16 - 3.5**2)
    around = 4.5**2
    giou = iou - (around - (2 * 16 - 3.5**2)) / around
    assert terms["sides"].item() == pytest.approx(1 - giou, abs=1e-6)
    assert terms["loss"].item() == pytest.approx(terms["heatmap"].item() + 2 * (1 - giou))


def test_what_does_not_exist_is_said():
    with pytest.raises(InputError, match=r"unknown box_cells 'all'.*gaussian or center"):
        CenterNetLoss(box_head="sides", box_cells="all")
    with pytest.raises(InputError, match=r"size.*heatmap, sides"):
        CenterNetLoss({"size": 1}, box_head="sides")
