import logging

import pytest
import timm
import torch

from centernet.backbones import channels_by_stride, make_backbone, require_size
from centernet.errors import InputError
from centernet.hourglass import Hourglass


@pytest.fixture
def offline(monkeypatch):
    create = timm.create_model

    def without_a_network(name, *, pretrained, **options):
        if pretrained:
            raise FileNotFoundError("no such host")
        return create(name, pretrained=False, **options)

    monkeypatch.setattr(timm, "create_model", without_a_network)


def test_the_backbone_says_what_it_offers():
    assert channels_by_stride(make_backbone("resnet18", False)) == {
        2: 64,
        4: 64,
        8: 128,
        16: 256,
        32: 512,
    }


def test_weights_that_cannot_be_fetched_are_an_error_in_one_line(offline):
    with pytest.raises(InputError, match=r"'resnet18' cannot be fetched .*--model.pretrained fal"):
        make_backbone("resnet18", True)


def test_with_auto_they_are_a_warning(offline, caplog):
    caplog.set_level(logging.WARNING)
    assert channels_by_stride(make_backbone("resnet18", "auto"))[32] == 512
    assert "resnet18" in caplog.text and "from scratch" in caplog.text


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


@pytest.mark.slow
def test_the_hourglass_has_none_to_fetch():
    assert isinstance(make_backbone("hourglass104", "auto"), Hourglass)
    with pytest.raises(InputError, match="no ImageNet weights"):
        make_backbone("hourglass104", True)
