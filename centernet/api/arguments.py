"""Translate the keyword arguments of :func:`centernet.train` to arguments of ``centernet fit``."""

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from centernet.errors import InputError
from centernet.installation import find_config
from centernet.suggestions import did_you_mean
from centernet.training.option_names import known_option_names

# The option of the command for each named argument of ``train``, but ``config``, ``device`` and
# ``resume``, which need more than a new name.
OPTIONS = {
    "data": "data.root",
    "epochs": "trainer.max_epochs",
    "image_size": "data.image_size",
    "batch_size": "data.batch_size",
    "weights": "model.weights",
    "backbone": "model.backbone",
    "pretrained": "model.pretrained",
    "learning_rate": "model.learning_rate",
    "seed": "seed_everything",
    "output": "trainer.default_root_dir",
    "report": "report",
    "progress": "trainer.enable_progress_bar",
}
NAMED = (*OPTIONS, "config", "device", "resume")
_DEVICE = re.compile(r"(auto|cpu|cuda|gpu|mps)(?::(\d+))?")
_ACCELERATORS = {"cuda": "gpu"}


def command_arguments(
    config: str | Path, named: Mapping[str, Any], options: Mapping[str, Any]
) -> list[str]:
    """The arguments of ``centernet fit`` without the command.

    Args:
        config: as for :func:`.find_config`.
        named: values of named arguments; None keeps the value of the configuration.
        options: further options of the command by their full names, as ``trainer.max_steps``.

    Raises:
        InputError: an option is unknown or given twice, or the configuration does not exist.
    """
    given = {OPTIONS.get(name, name): value for name, value in named.items() if value is not None}
    given |= _device_options(given.pop("device", None))
    if resume := given.pop("resume", False):
        given["ckpt_path"] = "last" if resume is True else resume
    for name, value in options.items():
        option = _full_name(name)
        if option in given:
            raise InputError(f"option {option} is given twice: {given[option]!r} and {value!r}")
        given[option] = value
    # The command takes several trackers as words.
    log = given.pop("log", None)
    trackers = [] if log is None else ["--log", *([log] if isinstance(log, str) else log)]
    words = [f"--{name}={_text(value)}" for name, value in given.items()]
    return [f"--config={find_config(config)}", *words, *trackers]


def _full_name(name: str) -> str:
    """The name of an option of the command; the command itself rejects unknown ones.

    Raises:
        InputError: the name is a misspelled named argument.
    """
    is_option = "." in name or f"--{name}" in known_option_names()
    if not is_option and (hint := did_you_mean(name, NAMED)):
        raise InputError(f"unknown option {name}{hint}")
    return name


def _device_options(device: Any) -> dict[str, Any]:
    """The options for a device name, as for :meth:`.Detector.load`."""
    if device is None:
        return {}
    match = _DEVICE.fullmatch(str(device))
    if not match:
        raise InputError(f"device must be auto, cpu, cuda, cuda:1 or mps, got {str(device)!r}")
    kind, number = match.groups()
    devices = {} if number is None else {"trainer.devices": [int(number)]}
    return {"trainer.accelerator": _ACCELERATORS.get(kind, kind)} | devices


def _text(value: Any) -> str:
    """A value as text of the command line, which is YAML."""
    if isinstance(value, str | Path):
        return str(value)
    try:
        return json.dumps(value)
    except TypeError:
        raise InputError(f"{value!r} is no value of an option: give plain values") from None
