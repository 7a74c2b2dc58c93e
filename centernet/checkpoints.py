"""Checkpoint files: what is in them beside the weights, and reading one without trusting it."""

import pickle
import warnings
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from centernet.errors import InputError
from centernet.model import CenterNet

# The entry of a checkpoint that says how to build its network: {"model": arguments of CenterNet,
# "class_names", "image_size"}.
DESCRIPTION = "centernet"
# Training keeps the network as the member ``model`` of its task.
_PREFIX = "model."


def read_checkpoint(path: str | Path) -> dict[str, Any]:
    """Read a checkpoint of ``train.py fit``. Nothing in the file is ever executed.

    Raises:
        InputError: the file is missing, truncated, no checkpoint, or holds more than tensors and
            plain values.
    """
    try:
        with warnings.catch_warnings(action="ignore"):
            checkpoint = torch.load(path, map_location="cpu", weights_only=True)
    except OSError as error:
        raise InputError(f"cannot read weights {path}: {error.strerror or error}") from None
    except pickle.UnpicklingError:
        raise InputError(
            f"{path} is damaged, no checkpoint, or holds code, which is not run: "
            "give a checkpoint of train.py fit"
        ) from None
    except Exception as error:
        # Truncated archives and foreign files end in half a dozen exception types.
        raise InputError(
            f"{path} is damaged or no checkpoint ({type(error).__name__}): was it copied whole?"
        ) from None
    if not _is_ours(checkpoint):
        raise InputError(
            f"{path} is no checkpoint of this project: it does not say of which network it is"
        )
    return checkpoint


def _is_ours(checkpoint: Any) -> bool:
    if not isinstance(checkpoint, dict) or not isinstance(checkpoint.get("state_dict"), dict):
        return False
    match checkpoint.get(DESCRIPTION):
        case {"model": dict(model), "class_names": [*names], "image_size": [int(), int()]}:
            return model.get("num_classes") == len(names)
    return False


def network_state(checkpoint: dict[str, Any]) -> dict[str, Tensor]:
    """The network's own tensors; with averaged weights, those."""
    return {
        name.removeprefix(_PREFIX): value
        for name, value in checkpoint["state_dict"].items()
        if name.startswith(_PREFIX)
    }


def build_network(checkpoint: dict[str, Any]) -> CenterNet:
    """The trained network of a checkpoint, in eval mode.

    Raises:
        InputError: the weights are not those of the network that the checkpoint describes.
    """
    architecture = checkpoint[DESCRIPTION]["model"] | {"pretrained": False}
    try:
        network = CenterNet(**architecture)
        network.load_state_dict(network_state(checkpoint))
    except (TypeError, RuntimeError):
        raise InputError(
            f"the checkpoint's weights do not fit the network it names, {architecture}: "
            "was it made by another version?"
        ) from None
    return network.eval()
