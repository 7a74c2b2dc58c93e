"""Options of a training run: given, changed, and overridden by weights."""

import logging
import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from centernet.models.registry import detector_name, unused_options
from centernet.sizes import format_size, parse_size
from centernet.training.config_files import option_names, read_config

log = logging.getLogger(__name__)

# Options of the section ``data`` that may be auto; the checkpoint of a run has the size.
_SIZES = ("image_size", "tile")


def given_options(
    section: str, arguments: Sequence[str], configs: Iterable[str | Path]
) -> set[str]:
    """Names of the options of a section that the user set, on the command line or in a file.

    Args:
        section: ``model`` for options as ``--model.neck``.
        arguments: arguments of the command.
        configs: YAML files.
    """
    prefix = f"{section}."
    pattern = re.compile(rf"--{section}\.(\w+)")
    names = {match[1] for word in arguments if (match := pattern.match(word))}
    for config in configs:
        options = option_names(read_config(config))
        names |= {name.removeprefix(prefix) for name in options if name.startswith(prefix)}
    return names


def changed_options(
    earlier: Mapping[str, Any], now: Mapping[str, Any], prefix: str = ""
) -> list[tuple[str, Any, Any]]:
    """The options that two configurations set to different values: name, earlier, now."""
    changed = []
    for key in earlier.keys() & now.keys():
        values = earlier[key], now[key]
        if all(isinstance(value, Mapping) for value in values):
            changed += changed_options(*values, f"{prefix}{key}.")
        elif values[0] != values[1] and not (key in _SIZES and _same_size(*values)):
            changed.append((prefix + key, *values))
    return sorted(changed, key=lambda change: change[0])


def _same_size(earlier: Any, now: Any) -> bool:
    """Whether two sizes are equal, in any notation; auto is that of the run."""
    if "auto" in (earlier, now):
        return True
    return None not in (earlier, now) and parse_size(earlier) == parse_size(now)


def with_sizes(config: str, size: tuple[int, int], tile: int | None) -> str:
    """Replace ``auto`` in a configuration by the sizes that a run uses.

    Args:
        config: all options, as YAML of the parser.
        size: (height, width) of the network input.
        tile: side of the training samples; None if these are whole images.
    """
    chosen = {"image_size": format_size(size), "tile": "null" if tile is None else tile}
    for name in _SIZES:  # the options of data have two spaces before them
        config = re.sub(rf"^(  {name}:) auto$", rf"\1 {chosen[name]}", config, flags=re.MULTILINE)
    return config


def set_architecture(model: Any, architecture: Mapping[str, Any], given: set[str]) -> None:
    """Set the options of the network to the architecture of weights.

    Args:
        model: the options of the section ``model``; changed in place.
        architecture: architecture of the weights.
        given: names of the options that the user set; a warning lists those that are overridden.
    """
    architecture = {"detector": detector_name(architecture)} | dict(architecture)
    overridden = []
    for name in sorted(architecture.keys() & model.keys()):
        if name in given and model[name] != architecture[name]:
            overridden.append(f"model.{name} {model[name]} by {architecture[name]}")
        model[name] = architecture[name]
    model.pretrained = False
    if overridden:
        log.warning("the weights determine the network, overridden: %s", ", ".join(overridden))


def warn_of_unused(model: Any, given: set[str]) -> None:
    """Log the options of the section ``model`` that the user set and the detector ignores."""
    for name, reason in unused_options(model).items():
        if name in given:
            log.warning("model.%s is ignored: %s", name, reason)
