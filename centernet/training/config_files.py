"""Configuration files: read them, and check the names of their options."""

import json
import re
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import yaml

from centernet.errors import InputError
from centernet.installation import find_config
from centernet.sizes import parse_size

# Options of fit and validate that name a configuration.
CONFIG_OPTIONS = ("--config", "-c")
# Options that have a new name: old name, new name.
_RENAMED = {"data.only": "data.classes"}


def validate_config_files(arguments: Sequence[str]) -> None:
    """Check the configuration files in the arguments of a command, and renamed options.

    Raises:
        InputError: a file cannot be read or has no options, an option has an old name, or
            ``data.image_size`` is not a size.
    """
    names = {word.partition("=")[0].removeprefix("--").rstrip("+") for word in arguments}
    validate_names(names, "the command line")
    for path in config_paths(arguments):
        config = read_config(path)
        validate_names(option_names(config), path)
        _validate_size_text(config.get("data"), path)


def config_paths(arguments: Sequence[str]) -> list[str]:
    """The configuration files in the arguments of a command."""
    return [value for name, value in option_values(arguments) if name in CONFIG_OPTIONS]


def option_values(arguments: Sequence[str]) -> list[tuple[str, str]]:
    """Each option in the arguments of a command, and the word that may be its value."""
    pairs = []
    for word, following in pairwise([*arguments, ""]):
        name, equals, value = word.partition("=")
        if name.startswith("-"):
            pairs.append((name, value if equals else following))
    return pairs


def _validate_size_text(data: Any, path: str) -> None:
    """Raise InputError for a size in a configuration that the parser would reject at length."""
    size = data.get("image_size") if isinstance(data, dict) else None
    if size not in (None, "auto"):
        parse_size(size, name=f"data.image_size in {path}", words=("auto",))


def read_config(path: str | Path) -> dict[str, Any]:
    """The options in a configuration file.

    Raises:
        InputError: the file cannot be read or has no options.
    """
    found = find_config(path)
    try:
        content = yaml.safe_load(found.read_text(encoding="utf-8"))
        json.dumps(content, default=str)  # fails for an alias that contains itself
    except OSError as error:
        raise InputError(f"cannot read configuration {path}: {error.strerror}") from None
    except (ValueError, TypeError, RecursionError, yaml.YAMLError) as error:
        reason = " ".join(str(error).split())[:200]
        raise InputError(f"configuration {path} is not valid YAML: {reason}") from None
    if not isinstance(content, dict):
        raise InputError(f"configuration {path} has no options (see configs/custom.yaml)")
    return content


def option_names(config: dict[str, Any]) -> set[str]:
    """The names of the options that a configuration sets to more than null, as ``model.neck``."""
    return {
        f"{section}.{name}"
        for section, options in config.items()
        if isinstance(options, dict)
        for name, value in options.items()
        if value is not None
    }


def without_old_names(content: str) -> str:
    """Remove old names of options whose value is null, as in configurations of earlier runs."""
    for old in _RENAMED:
        name = re.escape(old.rpartition(".")[2])
        content = re.sub(rf"^[ ]+{name}:[ ]*(null|~)?[ ]*$", "", content, flags=re.MULTILINE)
    return content


def validate_names(names: set[str], place: str | Path) -> None:
    """Raise InputError for a renamed option in a file or on the command line."""
    for old in sorted(names & _RENAMED.keys()):
        raise InputError(f"{old} in {place} has a new name: use {_RENAMED[old]}")


def with_config_paths(arguments: Sequence[str]) -> list[str]:
    """Replace the names of this package's configurations in ``--config`` by their paths.

    Args:
        arguments: arguments of ``fit`` or ``validate``.

    Raises:
        InputError: a configuration is neither a file nor one of this package.
    """
    found: list[str] = []
    previous = ""
    for word in arguments:
        option, equals, value = word.partition("=")
        if previous in CONFIG_OPTIONS:
            found.append(str(find_config(word)))
        elif option in CONFIG_OPTIONS and equals:
            found.append(f"{option}={find_config(value)}")
        else:
            found.append(word)
        previous = word
    return found
