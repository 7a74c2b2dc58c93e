"""Checks of the arguments of ``fit`` and ``validate`` before the slow imports."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from centernet.files import require_existing
from centernet.suggestions import did_you_mean
from centernet.training.config_files import (
    CONFIG_OPTIONS,
    option_values,
    read_config,
    validate_config_files,
)
from centernet.training.option_errors import report_option_error
from centernet.training.option_names import known_option_names
from centernet.training.sources import require_dataset

# Options that name a file, and the words that they take instead.
_FILES, _WORDS = ("ckpt_path", "model.weights"), ("last", "null", "")


def check_arguments(arguments: Sequence[str], part: str = "train") -> None:
    """Check the names of options, and the files and the dataset that they name.

    What is not found here is found when the options are parsed.

    Args:
        arguments: arguments of the command.
        part: the images that the command reads first, "train" or "val".

    Raises:
        InputError: a file or the dataset does not exist, or has another format.
        SystemExit: an option does not exist; the message names the one that is meant.
    """
    if {"-h", "--help"} & set(arguments):
        return
    validate_config_files(arguments)
    _require_known_options(arguments)
    if any(word.startswith("--print_config") for word in arguments):
        return
    given = _given(arguments)
    for name in _FILES:
        path = given.get(name)
        if isinstance(path, str) and path not in _WORDS:
            require_existing(path, f"--{name}")
    root, annotations = given.get("data.root"), given.get(f"data.{part}_annotations")
    if isinstance(root, str) and isinstance(annotations, str) and "data" not in given:
        require_dataset(Path(root), annotations)


def _require_known_options(arguments: Sequence[str]) -> None:
    """Exit if an option is unknown and one with a similar name exists."""
    known = known_option_names()
    for word in arguments:
        name = word.partition("=")[0].rstrip("+")
        is_known = not known or not name.startswith("--") or _first_levels(name) in known
        # Without a suggestion, the parser decides, which also knows deeper levels.
        if not is_known and (hint := did_you_mean(name, known)):
            report_option_error(f"unrecognized option {name}{hint}")


def _first_levels(name: str) -> str:
    """``--model.test`` of ``--model.test.flip``."""
    return ".".join(name.split(".")[:2])


def _given(arguments: Sequence[str]) -> dict[str, Any]:
    """The values of options as given last, in configuration files or as words."""
    given: dict[str, Any] = {}
    for option, value in option_values(arguments):
        given[option.lstrip("-")] = value
        for section, options in (read_config(value) if option in CONFIG_OPTIONS else {}).items():
            names = options.items() if isinstance(options, dict) else ()
            given |= {f"{section}.{name}": value for name, value in names}
            given |= {} if isinstance(options, dict) else {section: options}
    return given
