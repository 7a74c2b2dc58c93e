import logging

import pytest
import timm
import torch

from centernet.errors import InputError
from centernet.models import imagenet_weights
from centernet.models.backbones import channels_by_stride, layers_up_to, make_backbone
from centernet.models.hourglass import Hourglass


@pytest.fixture
def offline(monkeypatch):
    create = timm.create_model

    def create_offline(name, *, pretrained=False, **options):
        if pretrained:
            raise FileNotFoundError("no such host")
        return create(name, pretrained=False, **options)

    monkeypatch.setattr(timm, "create_model", create_offline)
    monkeypatch.setattr(imagenet_weights, "hub_is_reachable", lambda: True)


def test_channels_by_stride():
    assert channels_by_stride(make_backbone("resnet18", False)[0]) == {
        2: 64,
        4: 64,
        8: 128,
        16: 256,
        32: 512,
    }


def test_weights_that_cannot_be_downloaded_are_an_error_in_one_line(offline):
    with pytest.raises(InputError, match=r"'resnet18' .*--model\.pretrained false"):
        make_backbone("resnet18", True)


def test_with_auto_they_are_a_warning(offline, caplog):
    caplog.set_level(logging.WARNING)
    assert channels_by_stride(make_backbone("resnet18", "auto")[0])[32] == 512
    assert "resnet18" in caplog.text and "from scratch" in caplog.text


@pytest.mark.slow
def test_the_hourglass_has_no_weights():
    assert isinstance(make_backbone("hourglass104", "auto")[0], Hourglass)
    with pytest.raises(InputError, match=r"hourglass104 .*--model\.pretrained false"):
        make_backbone("hourglass104", True)


@pytest.mark.parametrize("name", ["tf_efficientnet_lite0", "test_resnet", "test_convnext"])
@pytest.mark.parametrize("stride", [4, 8, 32])
def test_layers_up_to_a_stride_are_those_its_features_depend_on(name, stride):
    backbone = make_backbone(name, False)[0].train()
    features = backbone(torch.rand(2, 3, 64, 64))
    strides = list(channels_by_stride(backbone))
    features[strides.index(stride)].sum().backward()
    used = {name for name, p in backbone.named_parameters() if p.grad is not None}
    found = layers_up_to(backbone, stride)
    chosen = {id(p) for layer in found for p in layer.parameters()}
    assert used == {name for name, p in backbone.named_parameters() if id(p) in chosen}


@pytest.mark.parametrize(
    ("backbone", "stride"),
    [(make_backbone("test_resnet", False)[0], 5), (torch.nn.Identity(), 4)],
    ids=["another stride", "no strides"],
)
def test_a_stride_without_layers_is_named(backbone, stride):
    with pytest.raises(InputError, match=f"freeze_stride {stride}"):
        layers_up_to(backbone, stride)
