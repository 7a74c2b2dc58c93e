"""The detectors by name: what network an architecture means, and which loss trains it."""

from collections.abc import Mapping
from inspect import signature
from typing import Any

from centernet.errors import InputError
from centernet.losses import CenterNetLoss, DetectionLoss, RetinaNetLoss
from centernet.model import CenterNet
from centernet.network import Network
from centernet.retinanet import RetinaNet

DETECTORS: dict[str, tuple[type[Network], type[DetectionLoss]]] = {
    "centernet": (CenterNet, CenterNetLoss),
    "retinanet": (RetinaNet, RetinaNetLoss),
}
_DEFAULT = "centernet"


def detector_of(architecture: Mapping[str, Any]) -> str:
    """Its name; an architecture without one is a CenterNet's."""
    return architecture.get("detector", _DEFAULT)


def make_network(architecture: Mapping[str, Any]) -> Network:
    """A new network.

    Args:
        architecture: ``detector``, and arguments of that network; those that only other detectors
            have are left out.

    Raises:
        InputError: there is no such detector, or an argument is wrong.
    """
    name = detector_of(architecture)
    if name not in DETECTORS:
        raise InputError(f"unknown detector {name!r}: choose {' or '.join(DETECTORS)}")
    network, _ = DETECTORS[name]
    known = {key for cls, _ in DETECTORS.values() for key in signature(cls).parameters}
    foreign = known - signature(network).parameters.keys() | {"detector"}
    return network(**{k: value for k, value in architecture.items() if k not in foreign})


def make_loss(network: Network, heatmap_loss: str | None = None, **options: Any) -> DetectionLoss:
    """The loss that trains a network.

    Args:
        network: of one of the detectors.
        heatmap_loss: by name; by default the one of the detector's paper.
        **options: further arguments of the loss's class.

    Raises:
        InputError: an option is wrong.
    """
    _, loss = DETECTORS[detector_of(network.architecture)]
    return loss(**options | ({"heatmap_loss": heatmap_loss} if heatmap_loss else {}))
