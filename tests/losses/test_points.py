"""Points train the heatmap and the offset, but no size."""

import pytest
import torch

from centernet.decode import collapse_points
from centernet.losses import CenterNetLoss, box_samples
from centernet.models.centernet import CenterNet
from centernet.targets import encode_targets

SHAPE = (1, 2, 16, 16)
# A box of 4 x 4 cells at cell (4, 4), and a point at cell (11, 9) whose square leaves the input.
MIXED = {
    "boxes": torch.tensor([[8.0, 8.0, 24.0, 24.0], [26.0, 18.0, 66.0, 58.0]]),
    "labels": torch.tensor([0, 1]),
    "is_point": torch.tensor([False, True]),
}
POINTS = {name: values[1:] for name, values in MIXED.items()}
BOXES = {name: values[:1] for name, values in MIXED.items() if name != "is_point"}


def outputs(box_head):
    generator = torch.Generator().manual_seed(0)
    channels = {"heatmap": 2} | ({"sides": 4} if box_head == "sides" else {"size": 2, "offset": 2})
    maps = {n: torch.randn(1, c, 16, 16, generator=generator) for n, c in channels.items()}
    if "sides" in maps:
        maps["sides"] = maps["sides"].exp()
    return {name: values.requires_grad_() for name, values in maps.items()}


def test_targets_mark_points():
    targets = encode_targets([MIXED], SHAPE)
    assert targets.is_point.tolist() == [False, True] and targets.num_boxes == 1
    assert targets.cell_index.tolist() == [4 * 16 + 4, 9 * 16 + 11]
    assert targets.offset[1].tolist() == [0.5, 0.5]
    assert (targets.heatmap == 1).nonzero().tolist() == [[0, 0, 4, 4], [0, 1, 9, 11]]
    # a square of 10 cells has radius 2
    assert (targets.heatmap[0, 1] > 0).sum() == 25
    unmarked = encode_targets([BOXES], SHAPE)
    assert unmarked.is_point is None and unmarked.num_boxes == 1
    assert encode_targets([BOXES, POINTS], (2, *SHAPE[1:])).is_point.tolist() == [False, True]


@pytest.mark.parametrize("cells", ["center", "gaussian"])
def test_no_cell_learns_the_size_of_a_point(cells):
    mixed, alone = (
        box_samples(encode_targets([target], SHAPE), cells) for target in (MIXED, BOXES)
    )
    assert mixed.cell_index.tolist() == alone.cell_index.tolist()
    assert mixed.weight.tolist() == alone.weight.tolist()
    assert not len(box_samples(encode_targets([POINTS], SHAPE), cells).cell_index)


@pytest.mark.parametrize("box_head", ["size", "sides"])
def test_gradients_of_points(box_head):
    maps = outputs(box_head)
    terms = CenterNetLoss(box_head=box_head)([maps], encode_targets([POINTS], SHAPE))
    terms["loss"].backward()
    assert terms["sides" if box_head == "sides" else "size"] == 0
    assert maps["heatmap"].grad.abs().sum() > 0
    size = maps["sides"] if box_head == "sides" else maps["size"]
    assert size.grad is None or not size.grad.any()
    if box_head == "size":
        assert maps["offset"].grad.nonzero().tolist() == [[0, 0, 9, 11], [0, 1, 9, 11]]


@pytest.mark.parametrize("box_head", ["size", "sides"])
def test_points_do_not_dilute_the_loss_of_boxes(box_head):
    maps, loss = outputs(box_head), CenterNetLoss(box_head=box_head)
    mixed, alone = (loss([maps], encode_targets([t], SHAPE)) for t in (MIXED, BOXES))
    name = "sides" if box_head == "sides" else "size"
    assert mixed[name].item() == pytest.approx(alone[name].item())
    mixed[name].backward()
    assert not maps[name].grad[0, :, 9, 11].any() and maps[name].grad[0, :, 4, 4].any()


@pytest.mark.parametrize("box_head", ["size", "sides"])
def test_decoded_points_are_centers(box_head):
    targets = encode_targets([POINTS], SHAPE)
    network = CenterNet(2, backbone="test_resnet", box_head=box_head)
    network.point_sizes = (None, 10.0)
    maps = outputs(box_head) | {"heatmap": targets.heatmap.logit()}
    if box_head == "size":
        maps["offset"] = torch.full((1, 2, 16, 16), 0.25)
    shift = 0.25 if box_head == "size" else 0.5
    best = network.decode(maps, top_k=5)[0]
    assert best["boxes"][0].tolist() == [4 * (11 + shift), 4 * (9 + shift)] * 2
    batch = network.decode_batch(maps, top_k=5)
    assert batch["boxes"][0, 0].tolist() == best["boxes"][0].tolist()


def test_boxes_of_other_classes_stay():
    fields = {
        "boxes": torch.tensor([[0.0, 0, 8, 8], [0, 0, 8, 8]]),
        "labels": torch.tensor([0, 1]),
        "cells": torch.tensor([[1, 1], [1, 2]]),
    }
    found = collapse_points(fields, {}, (None, 3.0))
    assert found["boxes"].tolist() == [[0, 0, 8, 8], [6, 10, 6, 10]]
    assert collapse_points(fields, {}, None) == fields
