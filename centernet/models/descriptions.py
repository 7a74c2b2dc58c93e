"""Validation of the description in a checkpoint, which may contain any value."""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from centernet.data.entries import MAX_PIXELS, is_integer, is_text, short
from centernet.decode import MAX_TOP_K
from centernet.errors import InputError
from centernet.heads import HEADS

_MAX_WIDTH = 65_536  # channels
_MAX_CLASSES, _MAX_HEADS = 100_000, 100
_MAX_SIDE = 8192  # pixels of the network input


def check_description(description: Mapping[str, Any]) -> None:
    """Validate the description of a network, except for unknown options.

    Raises:
        InputError: a value has the wrong type or is out of range.
    """
    names, model = description["class_names"], description["model"]
    checks = [
        ("class_names", names, all(map(is_text, names)), "texts"),
        ("image_size", size := description["image_size"],
         size is None or all(_is_count(side, _MAX_SIDE) for side in size),
         f"None or two integers from 1 to {_MAX_SIDE}"),
        ("top_k", top_k := description.get("top_k", 1), _is_count(top_k, MAX_TOP_K),
         f"an integer from 1 to {MAX_TOP_K}"),
        ("thresholds", thresholds := description.get("thresholds"),
         thresholds is None or _are_numbers(thresholds, len(names), 1),
         "a number from 0 to 1, or None, for each class"),
        ("points", points := description.get("points"),
         points is None or _are_numbers(points, len(names), MAX_PIXELS),
         "a number of pixels, or None, for each class"),
        ("counting", counting := description.get("counting"),
         counting is None or isinstance(counting, dict), "None or a calibration of counts"),
        ("num_classes", count := model.get("num_classes"), _is_count(count, _MAX_CLASSES),
         f"an integer from 1 to {_MAX_CLASSES}"),
        *((key, model[key], isinstance(model[key], str), "text")
          for key in ("detector", "backbone", "neck", "box_head") if key in model),
        *((key, model[key], isinstance(model[key], bool), "True or False")
          for key in ("deformable", "head_norm", "pyramid_heads") if key in model),
        ("head_channels", width := model.get("head_channels", 1), _is_count(width, _MAX_WIDTH),
         f"an integer from 1 to {_MAX_WIDTH}"),
        ("neck_channels", widths := model.get("neck_channels", [1, 1, 1]), _are_widths(widths),
         f"three integers from 1 to {_MAX_WIDTH}"),
        ("heads", heads := model.get("heads"), heads is None or _are_heads(heads, len(names)),
         f"names of registered heads ({', '.join(HEADS)})"),
    ]  # fmt: skip
    for key, value, is_valid, expected in checks:
        if not is_valid:
            raise InputError(
                f"the checkpoint has {key} {short(value)}, expected {expected}: "
                "it may have been changed or written by another program"
            )


def check_tensors(state: Mapping[str, Any]) -> None:
    """Check that a state dict contains plain tensors by name: dense, in memory, not quantized.

    Raises:
        InputError: an entry is anything else.
    """
    for name, value in state.items():
        if not isinstance(name, str) or not isinstance(value, Tensor) or not _is_plain(value):
            kind = type(value).__name__
            if isinstance(value, Tensor):
                kind = f"a tensor ({value.layout}, {value.dtype}, on {value.device})"
            raise InputError(f"{short(name)} in the weights is {kind}, not a plain tensor")


def _is_plain(value: Tensor) -> bool:
    """Whether a tensor is dense and stores every value in memory."""
    if value.layout != torch.strided or value.device.type != "cpu" or value.is_quantized:
        return False
    size = value.numel() * value.element_size()
    return not value.is_complex() and size <= value.untyped_storage().nbytes()


def _is_count(value: Any, maximum: int) -> bool:
    return is_integer(value) and 1 <= value <= maximum


def _are_numbers(values: Any, count: int, maximum: float) -> bool:
    return (
        isinstance(values, list | tuple)
        and len(values) == count
        and all(v is None or (isinstance(v, int | float) and 0 <= v <= maximum) for v in values)
    )


def _are_widths(values: Any) -> bool:
    is_list = isinstance(values, list | tuple) and len(values) == 3
    return is_list and all(_is_count(value, _MAX_WIDTH) for value in values)


def _are_heads(heads: Any, num_classes: int) -> bool:
    """Whether these are names of heads; earlier versions also stored their channels."""
    if not isinstance(heads, list | tuple | dict) or len(heads) > _MAX_HEADS:
        return False
    if not all(isinstance(name, str) and name in HEADS for name in heads):
        return False
    return not isinstance(heads, dict) or all(
        is_integer(count) and count == HEADS[name].num_channels(num_classes)
        for name, count in heads.items()
    )
