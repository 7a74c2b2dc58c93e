"""Atomic file writes, and safe reads of regular files."""

import codecs
import errno
import hashlib
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from centernet.errors import InputError
from centernet.suggestions import did_you_mean_path


@contextmanager
def atomic_write(path: str | Path) -> Iterator[Path]:
    """Write a file atomically: yields a temporary path, which replaces ``path`` at the end.

    If writing fails, the existing file is kept. The folder is created. A link is replaced, not
    followed.

    Raises:
        InputError: the folder or file cannot be written, or ``path`` is a folder.
    """
    path = Path(path)
    if not path.name:
        raise InputError(f"cannot write {path}: it is a folder, give a file")
    temporary = path.with_name(path.name + ".tmp")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            yield temporary
            temporary.replace(path)
        except BaseException:
            temporary.unlink(missing_ok=True)
            raise
    except OSError as error:
        raise InputError(f"cannot write {path}: {error.strerror or error}") from None


def require_writable(path: str | Path) -> None:
    """Raise InputError if a file cannot be written, before long work; nothing is created."""
    path = Path(path)
    if not path.name or path.is_dir():
        raise InputError(f"cannot write {path}: it is a folder, give a file")
    folder = next(parent for parent in path.absolute().parents if parent.exists())
    if not folder.is_dir() or not os.access(folder, os.W_OK):
        raise InputError(f"cannot write {path}: {folder} is not a writable folder")


def require_existing(path: str | Path, name: str) -> None:
    """Raise InputError if a file or folder is missing, before long work; URLs are not checked.

    Args:
        path: the path.
        name: the option or argument that gives it, for the message.
    """
    if "://" not in str(path) and not os.path.exists(path):
        raise InputError(f"{name} {path} does not exist{did_you_mean_path(path)}")


def open_regular(path: str | Path) -> BinaryIO:
    """Open a file for reading bytes, without blocking on a pipe that has no writer.

    Raises:
        OSError: the file cannot be read, or is a folder, a pipe or a device.
        ValueError: the name contains a null byte.
    """
    file = open(path, "rb", opener=_open_nonblocking)  # noqa: SIM115
    if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
        file.close()
        raise OSError(errno.EINVAL, "it is a pipe or a device, not a file", str(path))
    return file


def read_bytes(path: str | Path, most: int) -> bytes:
    """Read a regular file of at most ``most`` bytes.

    Raises:
        OSError: as in :func:`open_regular`, or the file is larger.
    """
    with open_regular(path) as file:
        return read_open(file, most)


def read_open(file: BinaryIO, most: int) -> bytes:
    """Read the rest of an open file of at most ``most`` bytes.

    Raises:
        OSError: the file is larger, or cannot be read.
    """
    if (size := os.fstat(file.fileno()).st_size) > most:
        raise OSError(errno.EFBIG, f"it has {size:,} bytes, more than {most:,}", str(file.name))
    return file.read()


def sha256_of(path: Path) -> str:
    """SHA-256 of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def read_text(path: str | Path, *, errors: str = "strict", most: int = 100 << 20) -> str:
    """Read a UTF-8 file of at most ``most`` bytes; a byte order mark can declare UTF-16.

    Raises:
        OSError: as in :func:`read_bytes`.
        UnicodeDecodeError: the file is neither.
    """
    data = read_bytes(path, most)
    is_utf16 = data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE))
    return data.decode("utf-16" if is_utf16 else "utf-8-sig", errors)


def _open_nonblocking(path: str, flags: int) -> int:
    return os.open(path, flags | getattr(os, "O_NONBLOCK", 0))
