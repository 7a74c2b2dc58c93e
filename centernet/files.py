"""Atomic writes, and reading of regular files alone."""

import errno
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from centernet.errors import InputError


@contextmanager
def atomic_write(path: str | Path) -> Iterator[Path]:
    """A place beside ``path`` to write to, which takes its place at the end; its folder is made.

    What stood there stays until then, and also when the writing fails. Nothing is written through a
    link.

    Raises:
        InputError: the folder or file cannot be written, or ``path`` names no file.
    """
    path = Path(path)
    if not path.name:
        raise InputError(f"cannot write {path}: it is a folder, give a file")
    unfinished = path.with_name(path.name + ".tmp")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            yield unfinished
            unfinished.replace(path)
        except BaseException:
            unfinished.unlink(missing_ok=True)
            raise
    except OSError as error:
        raise InputError(f"cannot write {path}: {error.strerror or error}") from None


def open_regular(path: str | Path) -> BinaryIO:
    """Open a file for reading bytes, at once: a pipe without a writer does not block.

    Raises:
        OSError: the file cannot be read, or is a folder, a pipe or a device.
        ValueError: the name holds a null byte.
    """
    file = open(path, "rb", opener=_open_without_waiting)  # noqa: SIM115
    if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
        file.close()
        raise OSError(errno.EINVAL, "it is a pipe or a device, not a file", str(path))
    return file


def read_bytes(path: str | Path, most: int) -> bytes:
    """The content of a regular file of at most ``most`` bytes.

    Raises:
        OSError: as :func:`open_regular`, or the file is larger.
    """
    with open_regular(path) as file:
        if (size := os.fstat(file.fileno()).st_size) > most:
            raise OSError(errno.EFBIG, f"it has {size:,} bytes, more than {most:,}", str(path))
        return file.read()


def read_text(path: str | Path, *, errors: str = "strict", most: int = 100 << 20) -> str:
    """The text of a regular UTF-8 file of at most ``most`` bytes, with or without a BOM.

    Raises:
        OSError: as :func:`read_bytes`.
        UnicodeDecodeError: the file is not UTF-8.
    """
    return read_bytes(path, most).decode("utf-8-sig", errors)


def _open_without_waiting(path: str, flags: int) -> int:
    return os.open(path, flags | getattr(os, "O_NONBLOCK", 0))
