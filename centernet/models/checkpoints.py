"""Checkpoint files: what is in them beside the weights, and reading one without trusting it."""

import os
import pickle
import warnings
import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, BinaryIO

import torch
from torch import Tensor

from centernet.data.entries import is_integer, short
from centernet.errors import InputError
from centernet.files import atomic_write, open_regular
from centernet.models.base import DetectionModel
from centernet.models.descriptions import check_description, check_tensors
from centernet.models.registry import make_network, tensor_shapes

# The entry of a checkpoint that says how to build its network: {"model": its architecture,
# "class_names", "image_size": that it was trained for, or None for images of any size, "top_k": the
# most detections per image}; and, once they were found, "thresholds" by label.
DESCRIPTION = "centernet"
# Training keeps the network as the member ``model`` of its task.
_PREFIX = "model."


def read_file(path: str | Path) -> Any:
    """Read what ``torch.save`` wrote, in its old or new format. Nothing in it is ever executed.

    Raises:
        InputError: the file is missing, truncated, foreign, or holds more than tensors and plain
            values.
    """
    try:
        with warnings.catch_warnings(action="ignore"), open_regular(path) as file:
            _check_archive(file)
            return torch.load(file, map_location="cpu", weights_only=True)
    except OSError as error:
        raise InputError(f"cannot read weights {path}: {error.strerror or error}") from None
    except InputError as error:
        raise InputError(f"{path}: {error}") from None
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


def _check_archive(file: BinaryIO) -> None:
    """Refuse an archive with compressed members, which torch does not write: it may be a bomb."""
    if zipfile.is_zipfile(file):
        with zipfile.ZipFile(file) as archive:
            if any(member.compress_type != zipfile.ZIP_STORED for member in archive.infolist()):
                raise InputError("the file is compressed, which no checkpoint is: unpack it")
    file.seek(0)


def read_checkpoint(path: str | Path) -> dict[str, Any]:
    """Read a checkpoint of ``train.py fit``.

    Raises:
        InputError: as :func:`read_file`, it is no checkpoint of this project, or its description
            holds an invalid value.
    """
    checkpoint = read_file(path)
    if not is_checkpoint(checkpoint):
        raise InputError(
            f"{path} is no checkpoint of this project: it does not say of which network it is"
        )
    check_description(checkpoint[DESCRIPTION])
    return checkpoint


def is_checkpoint(content: Any) -> bool:
    """Whether the content of a file says which network of this project it is of."""
    if not isinstance(content, dict) or not isinstance(content.get("state_dict"), dict):
        return False
    match content.get(DESCRIPTION):
        case {
            "model": dict(model),
            "class_names": [*names],
            "image_size": [int(), int()] | None,
        }:
            return is_integer(count := model.get("num_classes")) and count == len(names)
    return False


def save_file(content: Mapping[str, Any], path: str | Path) -> None:
    """Write a checkpoint: it is whole, also after a power cut, or not there at all."""
    with atomic_write(path) as unfinished, unfinished.open("wb") as file:
        try:
            torch.save(content, file)
        except RuntimeError as error:
            # What torch makes of a disk that is full.
            raise InputError(f"cannot write {path}, is the disk full? ({error})") from None
        file.flush()
        os.fsync(file.fileno())


def description(network: DetectionModel, image_size: Sequence[int] | None) -> dict[str, Any]:
    """The entry ``DESCRIPTION`` of a network's checkpoint."""
    return {
        "model": network.architecture,
        "class_names": list(network.class_names),
        "image_size": image_size and list(image_size),
        "top_k": network.top_k,
    } | ({"thresholds": list(network.thresholds)} if network.thresholds else {})


def checkpoint_of(network: DetectionModel, image_size: Sequence[int] | None) -> dict[str, Any]:
    """A checkpoint that holds a network and nothing of its training."""
    state = {_PREFIX + name: value for name, value in network.state_dict().items()}
    return {"state_dict": state, DESCRIPTION: description(network, image_size)}


def network_state(checkpoint: dict[str, Any]) -> dict[str, Tensor]:
    """The network's own tensors; with averaged weights, those."""
    return {
        name.removeprefix(_PREFIX): value
        for name, value in checkpoint["state_dict"].items()
        if isinstance(name, str) and name.startswith(_PREFIX)
    }


def build_network(checkpoint: dict[str, Any]) -> DetectionModel:
    """The trained network of a checkpoint, in eval mode.

    Raises:
        InputError: the description holds an invalid value, or the weights are not those of the
            network that it describes.
    """
    check_description(checkpoint[DESCRIPTION])
    check_tensors(state := network_state(checkpoint))
    architecture = checkpoint[DESCRIPTION]["model"] | {"pretrained": False}
    misfit = InputError(
        f"the checkpoint's weights do not fit the network it names, {short(architecture)}: "
        "was it made by another version?"
    )
    try:
        # A description of terabytes must not allocate them.
        expected = tensor_shapes(lambda: make_network(architecture))
        if expected != {name: value.shape for name, value in state.items()}:
            raise misfit
        network = make_network(architecture)
        network.load_state_dict(state)
    except (TypeError, RuntimeError, KeyError, NotImplementedError):
        raise misfit from None
    network.class_names = tuple(checkpoint[DESCRIPTION]["class_names"])
    # Checkpoints of earlier versions do not have it.
    network.top_k = checkpoint[DESCRIPTION].get("top_k", network.top_k)
    thresholds = checkpoint[DESCRIPTION].get("thresholds")
    network.thresholds = thresholds and tuple(thresholds)
    return network.eval()
