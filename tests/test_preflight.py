import pytest
import torch

from centernet.backbones import make_backbone
from centernet.errors import InputError
from centernet.preflight import require_size


@pytest.mark.parametrize(
    ("name", "said"), [("efficientformerv2_s0", "shape "), ("botnet26t_256", "AssertionError")]
)
def test_a_size_that_a_backbone_cannot_take_is_said_in_one_line(name, said):
    require_size(make_backbone("test_resnet", False), "test_resnet", (64, 96))
    with pytest.raises(InputError, match=rf"^backbone '{name}' takes no images of 64x96 \({said}"):
        require_size(make_backbone(name, False), name, (64, 96))


def test_looking_at_the_size_changes_nothing():
    backbone = make_backbone("test_resnet", False)
    before = {name: value.clone() for name, value in backbone.state_dict().items()}
    require_size(backbone, "test_resnet", (64, 64))
    assert all(torch.equal(value, before[name]) for name, value in backbone.state_dict().items())
