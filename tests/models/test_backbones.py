import logging

import pytest
import timm

from centernet.errors import InputError
from centernet.models import imagenet_weights
from centernet.models.backbones import channels_by_stride, make_backbone
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
