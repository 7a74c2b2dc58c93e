import logging

import pytest
import timm

from centernet.errors import InputError
from centernet.models.backbones import channels_by_stride, make_backbone
from centernet.models.hourglass import Hourglass


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


@pytest.mark.slow
def test_the_hourglass_has_none_to_fetch():
    assert isinstance(make_backbone("hourglass104", "auto"), Hourglass)
    with pytest.raises(InputError, match="no ImageNet weights"):
        make_backbone("hourglass104", True)
