"""Run folders: where a training run keeps everything it writes."""

import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from centernet.errors import InputError


def new_run(root: Path, name: str) -> Path:
    """Make and return ``root/name``, or ``root/name-2``, ``-3``, ... where one stands.

    Raises:
        InputError: ``root`` is no folder, cannot be made, or cannot be written to.
    """
    number = 1
    try:
        root.mkdir(parents=True, exist_ok=True)
        while True:
            folder = root / (name if number == 1 else f"{name}-{number}")
            try:
                folder.mkdir()
            except FileExistsError:
                number += 1
            else:
                return folder
    except OSError as error:
        raise InputError(
            f"cannot make a folder for this run in {root} ({error.strerror}): "
            "name another with --trainer.default_root_dir"
        ) from None


def newest_run(root: Path, name: str) -> Path:
    """The run of that name with the highest number that can be resumed.

    Raises:
        InputError: there is none.
    """
    numbered = {}
    for checkpoint in root.glob("*/last.ckpt"):
        match = re.fullmatch(re.escape(name) + r"(?:-(\d+))?", checkpoint.parent.name)
        if match:
            numbered[int(match[1] or 1)] = checkpoint.parent
    if not numbered:
        raise InputError(
            f"no run to resume: there is no last.ckpt in {root / name}; leave --ckpt_path out"
        )
    return numbered[max(numbered)]


def given_options(
    section: str, arguments: Sequence[str], configs: Iterable[str | Path]
) -> set[str]:
    """Names of the options of a section that somebody wrote down, rather than left at a default.

    Args:
        section: ``model`` for options as ``--model.neck``.
        arguments: of the command line.
        configs: YAML files, which can be read.
    """
    prefix = re.compile(rf"--{section}\.(\w+)")
    names = {match[1] for word in arguments if (match := prefix.match(word))}
    for config in configs:
        content = yaml.safe_load(Path(config).read_text(encoding="utf-8"))
        names |= set(content.get(section) or ()) if isinstance(content, dict) else set()
    return names


def changed_options(
    earlier: Mapping[str, Any], now: Mapping[str, Any], prefix: str = ""
) -> list[tuple[str, Any, Any]]:
    """The options that two configurations have both, with other values: name, earlier, now."""
    changed = []
    for key in earlier.keys() & now.keys():
        values = earlier[key], now[key]
        if all(isinstance(value, Mapping) for value in values):
            changed += changed_options(*values, f"{prefix}{key}.")
        elif values[0] != values[1]:
            changed.append((prefix + key, *values))
    return sorted(changed, key=lambda change: change[0])
