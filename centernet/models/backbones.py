"""Backbones by name: the models of timm and the hourglass."""

import logging
from difflib import get_close_matches
from typing import Any, Literal

import timm
from torch import nn

from centernet.data.entries import short
from centernet.errors import InputError
from centernet.models.hourglass import Hourglass

HOURGLASS = "hourglass104"
_LAST_STRIDE = 32
_MAX_COMPARED_NAME = 100  # characters; the search for similar names is slow for long ones


log = logging.getLogger(__name__)


def make_backbone(name: str, pretrained: bool | Literal["auto"]) -> nn.Module:
    """Make a backbone that returns features by ascending stride, up to stride 32.

    Args:
        name: a model in timm's registry that accepts images of any size (not ``hf-hub:`` or other
            sources, which would download files); or ``hourglass104``, which returns maps of
            stride 4.
        pretrained: initialize with timm's ImageNet weights; ``auto``: only if they can be
            downloaded.

    Raises:
        InputError: the backbone is unknown, ends at another stride, has its channels last, or has
            no ImageNet weights that can be downloaded.
    """
    if name == HOURGLASS:
        if pretrained is True:
            raise InputError(f"{HOURGLASS} has no ImageNet weights: use --model.pretrained false")
        return Hourglass()
    if not timm.is_model(name):
        raise _unknown(name, "it is not in its registry")
    backbone = _make_timm_backbone(name, pretrained)
    if str(getattr(backbone, "output_fmt", "NCHW")).upper().endswith("NHWC"):
        raise InputError(
            f"backbone {name!r} has its channels last, which no neck supports: choose for example "
            "resnet18"
        )
    last = max(channels_by_stride(backbone))
    if last != _LAST_STRIDE:
        raise InputError(f"backbone {name!r} ends at stride {last}, not {_LAST_STRIDE}")
    return backbone


def _make_timm_backbone(name: str, pretrained: bool | Literal["auto"]) -> nn.Module:
    """Make a model of timm; with ``auto``, without weights if the download fails."""
    if pretrained == "auto":
        log.info(
            "downloading ImageNet weights of %s; without an internet connection this takes a "
            "minute to fail",
            name,
        )
    try:
        return timm.create_model(name, features_only=True, pretrained=bool(pretrained))
    except OSError as error:
        if pretrained == "auto":
            log.warning(
                "cannot download ImageNet weights of %s (%s): training from scratch, which takes "
                "longer",
                name,
                type(error).__name__,
            )
            return _make_timm_backbone(name, pretrained=False)
        raise InputError(
            f"cannot download the ImageNet weights of {name!r} ({type(error).__name__}): "
            "without an internet connection, use --model.pretrained false"
        ) from None
    except (RuntimeError, AttributeError, ValueError) as error:
        reason = [*str(error).strip().splitlines(), type(error).__name__][0]
        raise _unknown(name, reason) from None


def _unknown(name: str, reason: str) -> InputError:
    """The error for a name that timm cannot make, with similar names."""
    known = [*timm.list_models(), HOURGLASS]
    close = get_close_matches(name[:_MAX_COMPARED_NAME], known, 5) or ["resnet18", "dla34"]
    return InputError(f"timm cannot make backbone {short(name)} ({reason}): try {', '.join(close)}")


def channels_by_stride(backbone: nn.Module) -> dict[int, int]:
    """Return the channels of a timm backbone's features by stride, in the order of the features."""
    info: Any = backbone.feature_info  # timm's FeatureInfo
    return dict(zip(info.reduction(), info.channels(), strict=True))
