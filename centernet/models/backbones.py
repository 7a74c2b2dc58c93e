"""Backbones by name: any of timm's, or the hourglass."""

import logging
from difflib import get_close_matches
from typing import Literal

import timm
from torch import nn

from centernet.data.entries import short
from centernet.errors import InputError
from centernet.models.hourglass import Hourglass

HOURGLASS = "hourglass104"
_LAST_STRIDE = 32
_LONGEST_NAME = 100  # that is compared with timm's


log = logging.getLogger(__name__)


def make_backbone(name: str, pretrained: bool | Literal["auto"]) -> nn.Module:
    """A backbone that returns its features by ascending stride, up to stride 32.

    Args:
        name: a timm model that takes images of any size, by its name in timm's registry alone
            (``hf-hub:`` and other sources would fetch files); or ``hourglass104``, which returns
            maps of stride 4.
        pretrained: with timm's ImageNet weights; ``auto`` for with them where they can be fetched.

    Raises:
        InputError: the backbone is unknown, ends at another stride, or has no ImageNet weights that
            can be fetched.
    """
    if name == HOURGLASS:
        if pretrained is True:
            raise InputError(f"{HOURGLASS} has no ImageNet weights: give --model.pretrained false")
        return Hourglass()
    if not timm.is_model(name):
        raise _unknown(name, "it is not in its registry")
    if pretrained == "auto":
        log.info("looking for ImageNet weights of %s; without a network this takes a minute", name)
    try:
        backbone = timm.create_model(name, features_only=True, pretrained=bool(pretrained))
    except OSError as error:
        if pretrained == "auto":
            log.warning(
                "no ImageNet weights of %s can be fetched (%s): training from scratch, which takes "
                "longer",
                name,
                type(error).__name__,
            )
            return make_backbone(name, pretrained=False)
        raise InputError(
            f"the ImageNet weights of {name!r} cannot be fetched ({type(error).__name__}): "
            "without a network give --model.pretrained false"
        ) from None
    except (RuntimeError, AttributeError, ValueError) as error:
        reason = [*str(error).strip().splitlines(), type(error).__name__][0]
        raise _unknown(name, reason) from None
    if str(getattr(backbone, "output_fmt", "NCHW")).upper().endswith("NHWC"):
        raise InputError(
            f"backbone {name!r} has its channels last, which no neck takes: choose resnet18, ..."
        )
    last = backbone.feature_info.reduction()[-1]
    if last != _LAST_STRIDE:
        raise InputError(f"backbone {name!r} ends at stride {last}, not {_LAST_STRIDE}")
    return backbone


def _unknown(name: str, reason: str) -> InputError:
    known = [*timm.list_models(), HOURGLASS]
    close = get_close_matches(name[:_LONGEST_NAME], known, 5) or ["resnet18", "dla34"]
    return InputError(
        f"backbone {short(name)} cannot be made by timm ({reason}); try {', '.join(close)}"
    )


def channels_by_stride(backbone: nn.Module) -> dict[int, int]:
    """Width of a timm backbone's features by stride, in the order in which they are returned."""
    info = backbone.feature_info
    return dict(zip(info.reduction(), info.channels(), strict=True))
