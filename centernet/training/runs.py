"""Run folders: where a training run keeps everything it writes."""

import os
import re
from collections.abc import Iterable, Mapping, Sequence
from errno import ENOENT, EWOULDBLOCK
from itertools import count
from pathlib import Path
from typing import Any

import yaml

from centernet.errors import InputError

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None

# What a run writes before its first checkpoint.
_BEFORE_CHECKPOINT = re.compile(r"config\.yaml|metrics\.csv|events\.out\..*|.*\.tmp")

# Handles of the locked folders of this process, by folder.
_claims: dict[Path, int] = {}


def new_run(root: Path, name: str) -> Path:
    """Make, claim and return ``root/name``, or ``root/name-2``, ``-3``, ...: after the newest run.

    A folder that an earlier process left without a checkpoint is used again.

    Raises:
        InputError: ``root`` is no folder, cannot be made, or cannot be written to.
    """
    try:
        root.mkdir(parents=True, exist_ok=True)
        for number in count(max(_runs(root, name), default=0) + 1):
            folder = root / (name if number == 1 else f"{name}-{number}")
            try:
                folder.mkdir()
                new = True
            except FileExistsError:
                new = False
            if (new or is_abandoned(folder)) and claim(folder, certain=not new):
                # Another process may have come first, trained and finished in between.
                if new or is_abandoned(folder):
                    _empty(folder)
                    return folder
                _release(folder)
    except OSError as error:
        raise InputError(
            f"cannot make a folder for this run in {root} ({error.strerror}): "
            "name another with --trainer.default_root_dir"
        ) from None


def claim(folder: Path, *, certain: bool = False) -> bool:
    """Claim a folder for this process until :func:`release_all`, or until the process ends.

    Args:
        folder: exists.
        certain: where the file system has no locks, whether to answer False rather than True.

    Returns:
        Whether no other claim is in the way.
    """
    if fcntl is None:
        return not certain
    try:
        handle = os.open(folder, os.O_RDONLY)
    except OSError:
        return False
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        # Not if it was deleted, and perhaps made again, in between.
        claimed = os.path.samestat(os.fstat(handle), os.stat(folder))
    except OSError as error:
        claimed = error.errno not in (EWOULDBLOCK, ENOENT) and not certain
    if claimed:
        _claims[folder] = handle
    else:
        os.close(handle)
    return claimed


def release_all() -> None:
    """Give up this process's claims; a folder without a checkpoint is deleted."""
    for folder in list(_claims):
        if is_abandoned(folder):
            _empty(folder)
            folder.rmdir()
        _release(folder)


def _release(folder: Path) -> None:
    os.close(_claims.pop(folder))


def is_abandoned(folder: Path) -> bool:
    """Whether a folder holds nothing but what a run writes before its first checkpoint."""
    return (
        folder.is_dir()
        and not folder.is_symlink()
        and all(_BEFORE_CHECKPOINT.fullmatch(path.name) for path in folder.iterdir())
    )


def _empty(folder: Path) -> None:
    for path in folder.iterdir():
        path.unlink()


def _close_claims() -> None:
    """In a worker process, which would hold them after its parent is gone."""
    for handle in _claims.values():
        os.close(handle)
    _claims.clear()


if fcntl is not None:
    os.register_at_fork(after_in_child=_close_claims)


def newest_run(root: Path, name: str) -> Path:
    """The run of that name with the highest number that can be resumed.

    Raises:
        InputError: there is none.
    """
    runs = _runs(root, name)
    if not runs:
        raise InputError(
            f"no run to resume: there is no last.ckpt in {root / name}; leave --ckpt_path out"
        )
    return runs[max(runs)]


def _runs(root: Path, name: str) -> dict[int, Path]:
    """By number the runs of that name that can be resumed."""
    pattern = re.compile(re.escape(name) + r"(?:-(\d+))?")
    found = (checkpoint.parent for checkpoint in root.glob("*/last.ckpt"))
    matches = ((folder, pattern.fullmatch(folder.name)) for folder in found)
    return {int(match[1] or 1): folder for folder, match in matches if match}


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
