import pytest
import torch

from centernet.errors import InputError
from centernet.models.backbones import make_backbone
from centernet.training.checks import validate_backbone_size


@pytest.mark.parametrize(
    ("name", "said"), [("efficientformerv2_s0", "shape "), ("botnet26t_256", "AssertionError")]
)
def test_a_size_that_a_backbone_cannot_take_is_said_in_one_line(name, said):
    validate_backbone_size(make_backbone("test_resnet", False)[0], "test_resnet", (64, 96))
    with pytest.raises(InputError, match=rf"'{name}'.*96x64 \({said}"):
        validate_backbone_size(make_backbone(name, False)[0], name, (64, 96))


def test_looking_at_the_size_changes_nothing():
    backbone = make_backbone("test_resnet", False)[0]
    before = {name: value.clone() for name, value in backbone.state_dict().items()}
    validate_backbone_size(backbone, "test_resnet", (64, 64))
    assert all(torch.equal(value, before[name]) for name, value in backbone.state_dict().items())
