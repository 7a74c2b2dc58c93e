"""Checkpoint files: what is in them beside the weights, and reading one without trusting it."""

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
        checkpoint = torch.load(path, map_location="cpu", weights_only=True)
    except OSError as error:
        raise InputError(f"cannot read weights {path}: {error.strerror or error}") from None
    except Exception as error:
        # Truncated archives, foreign files and pickles that would run code end in half a dozen
        # exception types.
        reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        raise InputError(
            f"{path} is not a checkpoint that can be read safely ({reason[:120]})"
        ) from None
    if (
        not isinstance(checkpoint, dict)
        or DESCRIPTION not in checkpoint
        or "state_dict" not in checkpoint
    ):
        raise InputError(
            f"{path} is no checkpoint of this project: it does not say of which network it is"
        )
    return checkpoint


def network_state(checkpoint: dict[str, Any]) -> dict[str, Tensor]:
    """The network's own tensors; with averaged weights, those."""
    return {
        name.removeprefix(_PREFIX): value
        for name, value in checkpoint["state_dict"].items()
        if name.startswith(_PREFIX)
    }


def build_network(checkpoint: dict[str, Any]) -> CenterNet:
    """The trained network of a checkpoint, in eval mode."""
    network = CenterNet(**checkpoint[DESCRIPTION]["model"])
    network.load_state_dict(network_state(checkpoint))
    return network.eval()
