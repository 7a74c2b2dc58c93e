import pytest
import torch

from centernet.models.registry import make_network, tensor_shapes

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
