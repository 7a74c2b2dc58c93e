"""Registry of the detectors: build a network and its loss from a config."""

from collections.abc import Callable, Mapping, Sequence
from inspect import signature
from typing import Any, TypeVar

import torch

from centernet.errors import InputError
from centernet.heads import DEFAULT_BOX_HEAD, HEADS, select_heads
from centernet.losses import CenterNetLoss, DetectionLoss
from centernet.models.backbones import HOURGLASS
from centernet.models.base import DetectionModel
from centernet.models.centernet import CenterNet
from centernet.models.retinanet.loss import RetinaNetLoss
from centernet.models.retinanet.network import RetinaNet

DETECTORS: dict[str, tuple[type[DetectionModel], type[DetectionLoss]]] = {
    "centernet": (CenterNet, CenterNetLoss),
    "retinanet": (RetinaNet, RetinaNetLoss),
}
_DEFAULT = "centernet"

_T = TypeVar("_T")


def detector_name(architecture: Mapping[str, Any]) -> str:
    """Return the detector's name, which is CenterNet if the architecture has none."""
    return architecture.get("detector", _DEFAULT)


def make_network(architecture: Mapping[str, Any]) -> DetectionModel:
    """Build a network.

    Args:
        architecture: ``detector``, and arguments of that network. Arguments that only other
            detectors have are dropped.

    Raises:
        InputError: the detector is unknown, or an argument is invalid.
    """
    name = detector_name(architecture)
    if name not in DETECTORS:
        raise InputError(f"unknown detector {name!r}: choose {' or '.join(DETECTORS)}")
    networks = [network for network, _ in DETECTORS.values()]
    own = {key: value for key, value in architecture.items() if key != "detector"}
    return _construct(DETECTORS[name][0], own, networks)


def tensor_shapes(make: Callable[[], DetectionModel]) -> dict[str, torch.Size]:
    """Return the shapes of a network's tensors by name, without allocating them.

    Args:
        make: builds the network. It runs on the meta device.
    """
    with torch.device("meta"):
        return {name: value.shape for name, value in make().state_dict().items()}


def make_loss(
    network: DetectionModel,
    heatmap_loss: str | None = None,
    weights: Mapping[str, float] | None = None,
    **options: Any,
) -> DetectionLoss:
    """Build the loss that trains a network.

    Args:
        network: a network of a registered detector.
        heatmap_loss: name of the heatmap loss; by default that of the detector's paper.
        weights: weights of the terms that differ from the defaults. Those of heads that the network
            does not have are dropped: a config may be used to fine-tune another network.
        **options: further arguments of the loss. Arguments that only the losses of other detectors
            have are dropped.

    Raises:
        InputError: an option is invalid.
    """
    losses = [loss for _, loss in DETECTORS.values()]
    if heatmap_loss:
        options["heatmap_loss"] = heatmap_loss
    chosen = {name: network.architecture.get(name) for name in ("box_head", "heads")}
    options |= {name: value for name, value in chosen.items() if value}
    own = dict(network.named_modules())
    options["weights"] = {
        name: weight
        for name, weight in (weights or {}).items()
        if name not in HEADS or f"heads.{name}" in own
    }
    return _construct(DETECTORS[detector_name(network.architecture)][1], options, losses)


def unused_options(architecture: Mapping[str, Any]) -> dict[str, str]:
    """Return the options that a network and its loss do not use, each with the reason.

    Args:
        architecture: as for :func:`make_network`.
    """
    name = detector_name(architecture)
    others = [cls for classes in DETECTORS.values() for cls in classes]
    known = {option for cls in DETECTORS[name] for option in signature(cls).parameters}
    unused = {
        option: f"detector {name} does not use it"
        for cls in others
        for option in signature(cls).parameters.keys() - known
    }
    if architecture.get("backbone") == HOURGLASS:
        neck = ("neck", "neck_channels", "deformable")
        unused |= dict.fromkeys(neck, f"backbone {HOURGLASS} has no neck")
    if name == _DEFAULT:
        unused |= _unused_by_heads(architecture)
    return unused


def _unused_by_heads(architecture: Mapping[str, Any]) -> dict[str, str]:
    """The loss options that no head of a CenterNet uses."""
    box_head = architecture.get("box_head", DEFAULT_BOX_HEAD)
    heads = select_heads(box_head, architecture.get("heads"))
    used = {option for head in heads.values() for option in head.loss_options}
    known = {option for head in HEADS.values() for option in head.loss_options}
    return {option: f"box_head {box_head} does not use it" for option in known - used}


def _construct(cls: type[_T], arguments: Mapping[str, Any], classes: Sequence[type]) -> _T:
    """Call one of several classes; drop arguments that only other classes accept."""
    foreign = {name for other in classes for name in signature(other).parameters}
    foreign -= signature(cls).parameters.keys()
    return cls(**{name: value for name, value in arguments.items() if name not in foreign})
