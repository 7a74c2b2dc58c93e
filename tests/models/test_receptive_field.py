"""The distance beyond which no pixel influences a cell."""

import pytest
import torch

from centernet.models.receptive_field import receptive_radius
from centernet.models.registry import make_network


def network(**architecture):
    torch.manual_seed(0)
    return make_network({"num_classes": 2, "head_channels": 8} | architecture).eval()


@pytest.mark.parametrize(
    ("architecture", "radius"),
    [
        ({"backbone": "resnet10t", "neck": "fpn", "box_head": "sides"}, 192),
        ({"backbone": "resnet18", "neck_channels": (8, 8, 8)}, 256),
        # Squeeze and excitation averages the whole image.
        ({"backbone": "mobilenetv3_small_100", "neck": "fpn"}, None),
    ],
)
def test_networks_have_the_radius_of_their_layers(architecture, radius):
    assert receptive_radius(network(**architecture)) == radius


def test_only_pixels_within_the_radius_change_a_cell():
    model = network(backbone="test_resnet", neck="fpn")
    radius = receptive_radius(model)
    images = torch.rand(1, 3, 64, 3 * radius)
    seen = images.clone()
    images[..., :radius] = 0
    with torch.no_grad():
        change = (model(images)["heatmap"] - model(seen)["heatmap"]).abs().amax((0, 1, 2))
    changed = change.nonzero().max().item() * model.stride
    assert radius + 64 < changed < 2 * radius  # far away the change is too small for float32


def test_deformable_layers_have_no_radius_and_are_not_probed():
    """Torchvision's deformable convolution would read outside of the map at an offset of NaN."""
    model = network(backbone="test_resnet", neck_channels=(8, 8, 8), deformable=True)
    assert receptive_radius(model) is None
