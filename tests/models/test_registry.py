import pytest
import torch

from centernet.errors import InputError
from centernet.models.registry import make_loss, make_network, tensor_shapes

SMALL = {"num_classes": 3, "backbone": "test_resnet"}


@pytest.mark.parametrize(
    "architecture",
    [
        SMALL | {"neck": "deconv"},
        SMALL | {"neck": "deconv", "deformable": True},
        SMALL | {"neck": "fpn", "box_head": "sides", "head_norm": True},
        {"num_classes": 3, "backbone": "dla34", "neck": "dla", "deformable": True},
        SMALL | {"detector": "retinanet"},
    ],
)
def test_tensor_shapes_equal_those_of_the_network(architecture):
    shapes = tensor_shapes(lambda: make_network(architecture))
    state = make_network(architecture).state_dict()
    assert shapes == {name: value.shape for name, value in state.items()}


def test_tensor_shapes_allocate_nothing():
    """All tensors of a large network are on the meta device, and no random numbers are drawn."""
    networks = []

    def make():
        networks.append(make_network({"num_classes": 80, "backbone": "hourglass104"}))
        return networks[0]

    random_state = torch.get_rng_state()
    shapes = tensor_shapes(make)
    assert shapes["heads.heatmap.2.weight"] == (80, 64, 1, 1)
    assert {value.device.type for value in networks[0].state_dict().values()} == {"meta"}
    assert torch.equal(torch.get_rng_state(), random_state)


def test_weights_of_heads_that_the_network_lacks_are_dropped():
    """The weight of sides in custom.yaml, when a network with the size head is fine-tuned."""
    weights = {"sides": 5.0, "heatmap": 2.0}
    size, sides, anchors = (
        make_loss(make_network(SMALL | options), weights=weights).weights
        for options in ({}, {"box_head": "sides"}, {"detector": "retinanet"})
    )
    assert size == {"heatmap": 2.0, "size": 0.1, "offset": 1.0}
    assert sides == {"heatmap": 2.0, "sides": 5.0}
    assert anchors == {"classification": 1.0, "boxes": 1.0}
    with pytest.raises(InputError, match="depth"):
        make_loss(make_network(SMALL), weights={"depth": 1.0})
