"""Run folders: find, number, create and lock them."""

import os
import re
from errno import ENOENT, EWOULDBLOCK
from itertools import count
from pathlib import Path

from centernet.errors import InputError

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment]

# Files that a run writes before its first checkpoint.
_BEFORE_CHECKPOINT = re.compile(r"config\.yaml|metrics\.csv|trackers\.json|events\.out\..*|.*\.tmp")

# File handles of the folders that this process has locked.
_claims: dict[Path, int] = {}


def new_run(root: Path, name: str) -> Path:
    """Make, lock and return ``root/name``, ``root/name-2``, ...: the number after the latest run.

    A folder that an earlier process left without a checkpoint is reused.

    Raises:
        InputError: ``root`` is not a folder, cannot be made, or is not writable.
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
                # Another process may have trained here in the meantime.
                if new or is_abandoned(folder):
                    _empty(folder)
                    return folder
                _release(folder)
    except OSError as error:
        raise InputError(
            f"cannot make a folder for this run in {root} ({error.strerror}): "
            "name another with --trainer.default_root_dir"
        ) from None
    raise AssertionError  # count never ends


def claim(folder: Path, *, certain: bool = False) -> bool:
    """Lock a folder for this process until :func:`release_all` or the end of the process.

    Args:
        folder: an existing folder.
        certain: the result if the file system has no locks: False if ``certain``, else True.

    Returns:
        Whether no other process has locked it.
    """
    if fcntl is None:
        return not certain
    try:
        handle = os.open(folder, os.O_RDONLY)
    except OSError:
        return False
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        # The folder may have been deleted, and made again, in between.
        claimed = os.path.samestat(os.fstat(handle), os.stat(folder))
    except OSError as error:
        claimed = error.errno not in (EWOULDBLOCK, ENOENT) and not certain
    if claimed:
        _claims[folder] = handle
    else:
        os.close(handle)
    return claimed


def release_all() -> None:
    """Release the locks of this process; delete its folders without a checkpoint."""
    for folder in list(_claims):
        if is_abandoned(folder):
            _empty(folder)
            folder.rmdir()
        _release(folder)


def _release(folder: Path) -> None:
    os.close(_claims.pop(folder))


def is_abandoned(folder: Path) -> bool:
    """Whether a folder has only files that a run writes before its first checkpoint."""
    return (
        folder.is_dir()
        and not folder.is_symlink()
        and all(_BEFORE_CHECKPOINT.fullmatch(path.name) for path in folder.iterdir())
    )


def _empty(folder: Path) -> None:
    for path in folder.iterdir():
        path.unlink()


def _close_claims() -> None:
    """Close the handles in a worker process, which may outlive its parent."""
    for handle in _claims.values():
        os.close(handle)
    _claims.clear()


if fcntl is not None:
    os.register_at_fork(after_in_child=_close_claims)


def newest_run(root: Path, name: str) -> Path:
    """The run with that name and the highest number that can be resumed.

    Raises:
        InputError: no such run exists.
    """
    runs = _runs(root, name)
    if not runs:
        raise InputError(
            f"no run to resume: there is no last.ckpt in {root / name}; omit --ckpt_path"
        )
    return runs[max(runs)]


def _runs(root: Path, name: str) -> dict[int, Path]:
    """The runs with that name that can be resumed, by number."""
    pattern = re.compile(re.escape(name) + r"(?:-(\d+))?")
    found = (checkpoint.parent for checkpoint in root.glob("*/last.ckpt"))
    matches = ((folder, pattern.fullmatch(folder.name)) for folder in found)
    return {int(match[1] or 1): folder for folder, match in matches if match}
