"""Checkpoint files: their content, and reading and writing them safely."""

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

# The entry of a checkpoint that describes its network: {"model": the architecture, "class_names",
# "image_size": the (height, width) that it was trained at, or None for images of any size, "top_k":
# the maximum number of detections per image, and optionally "thresholds" by label, "points": by
# label the size of the points that a class was learned from, or None, and "counting", the
# calibration of counts}.
DESCRIPTION = "centernet"
# The training task stores the network as its attribute ``model``.
_PREFIX = "model."


def read_file(path: str | Path) -> Any:
    """Read a file that ``torch.save`` wrote, in its old or new format, without executing code.

    Raises:
        InputError: the file is missing, truncated, of another format, or contains anything but
            tensors and plain values.
    """
    if str(path).lower().endswith(".onnx"):
        raise InputError(
            f"{path} is an exported model: give the checkpoint (.ckpt) that it was exported from"
        )
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
            f"{path} is damaged, not a checkpoint, or contains code, which is not executed: "
            "use a checkpoint of train.py fit"
        ) from None
    except Exception as error:
        # Truncated archives and files of other formats raise half a dozen exception types.
        raise InputError(
            f"{path} is damaged or not a checkpoint ({type(error).__name__}): copy it again"
        ) from None


def _check_archive(file: BinaryIO) -> None:
    """Refuse compressed archives, which torch does not write: they may be zip bombs."""
    if zipfile.is_zipfile(file):
        with zipfile.ZipFile(file) as archive:
            if any(member.compress_type != zipfile.ZIP_STORED for member in archive.infolist()):
                raise InputError("the file is compressed, unlike a checkpoint: unpack it")
    file.seek(0)


def read_checkpoint(path: str | Path) -> dict[str, Any]:
    """Read a checkpoint of ``train.py fit``.

    Raises:
        InputError: as for :func:`read_file`; or the file is not a checkpoint of this project, or
            its description contains an invalid value.
    """
    checkpoint = read_file(path)
    if not is_checkpoint(checkpoint):
        raise InputError(
            f"{path} is not a checkpoint of this project: it does not describe its network"
        )
    check_description(checkpoint[DESCRIPTION])
    return checkpoint


def is_checkpoint(content: Any) -> bool:
    """Whether the content of a file describes a network of this project."""
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
    """Write a checkpoint atomically; after a power failure the file is complete or absent.

    Raises:
        InputError: the file cannot be written.
    """
    with atomic_write(path) as unfinished, unfinished.open("wb") as file:
        try:
            torch.save(content, file)
        except RuntimeError as error:
            # torch raises RuntimeError if the disk is full.
            raise InputError(f"cannot write {path}, is the disk full? ({error})") from None
        file.flush()
        os.fsync(file.fileno())


def description(network: DetectionModel, image_size: Sequence[int] | None) -> dict[str, Any]:
    """Return the entry ``DESCRIPTION`` of a network's checkpoint.

    Args:
        network: the network.
        image_size: (height, width) that it was trained at; None for images of any size.
    """
    optional = {"thresholds": network.thresholds, "points": network.point_sizes}
    return {
        "model": network.architecture,
        "class_names": list(network.class_names),
        "image_size": image_size and list(image_size),
        "top_k": network.top_k,
        **{name: list(values) for name, values in optional.items() if values},
        **({"counting": network.counting} if network.counting else {}),
    }


def checkpoint_of(network: DetectionModel, image_size: Sequence[int] | None) -> dict[str, Any]:
    """Return a checkpoint of a network without training state; arguments as for description."""
    state = {_PREFIX + name: value for name, value in network.state_dict().items()}
    return {"state_dict": state, DESCRIPTION: description(network, image_size)}


def network_state(checkpoint: dict[str, Any]) -> dict[str, Tensor]:
    """Return the network's tensors by name; the averaged weights if training averaged them."""
    return {
        name.removeprefix(_PREFIX): value
        for name, value in checkpoint["state_dict"].items()
        if isinstance(name, str) and name.startswith(_PREFIX)
    }


def build_network(checkpoint: dict[str, Any]) -> DetectionModel:
    """Build the network of a checkpoint, in eval mode.

    Raises:
        InputError: the description contains an invalid value, or the weights do not fit the network
            that it describes.
    """
    check_description(checkpoint[DESCRIPTION])
    check_tensors(state := network_state(checkpoint))
    architecture = checkpoint[DESCRIPTION]["model"] | {"pretrained": False}
    mismatch = InputError(
        f"the checkpoint's weights do not fit the network it describes, {short(architecture)}: "
        "it may come from another version"
    )
    try:
        # The shapes are compared first: a description of terabytes must not allocate them.
        expected = tensor_shapes(lambda: make_network(architecture))
        if expected != {name: value.shape for name, value in state.items()}:
            raise mismatch
        network = make_network(architecture)
        network.load_state_dict(state)
    except (TypeError, RuntimeError, KeyError, NotImplementedError):
        raise mismatch from None
    network.class_names = tuple(checkpoint[DESCRIPTION]["class_names"])
    # Checkpoints of earlier versions have no top_k.
    network.top_k = checkpoint[DESCRIPTION].get("top_k", network.top_k)
    thresholds = checkpoint[DESCRIPTION].get("thresholds")
    network.thresholds = thresholds and tuple(thresholds)
    points = checkpoint[DESCRIPTION].get("points")
    network.point_sizes = points and tuple(points)
    network.counting = checkpoint[DESCRIPTION].get("counting")
    return network.eval()
