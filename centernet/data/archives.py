"""Unpack zip and tar archives into a temporary folder."""

import contextlib
import lzma
import shutil
import tarfile
import tempfile
import zipfile
import zlib
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import IO

from tqdm import tqdm

from centernet.errors import InputError

# Limit of the unpacked size, against archive bombs: archive size * ratio + extra bytes.
_MAX_RATIO, _MAX_EXTRA = 50, 10**9
_DAMAGED = (
    zipfile.BadZipFile, zlib.error, lzma.LZMAError, tarfile.TarError, EOFError, ValueError,
    RuntimeError,  # encrypted files and, as NotImplementedError, unknown compression methods
)  # fmt: skip


@contextlib.contextmanager
def unpacked(
    archives: Sequence[Path], beside: Path, *, wanted: Callable[[str], bool] = lambda name: True
) -> Iterator[Path]:
    """Unpack archives into one temporary folder, which is removed on exit.

    Args:
        archives: zip and tar files.
        beside: the folder is created next to this path, so that files move there at no cost.
        wanted: called with the name of a file; whether to unpack it.

    Raises:
        InputError: an archive is damaged, too large when unpacked, or contains paths outside of
            its folder; or the disk is full.
    """
    beside.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=beside.parent, prefix=f".{beside.name}-") as scratch:
        folder = Path(scratch, "new").resolve()
        folder.mkdir()
        for path in archives:
            try:
                _unpack(path, folder, wanted)
            except _DAMAGED as error:
                raise InputError(
                    f"cannot unpack {path} ({error}): remove it and download it again"
                ) from None
            except OSError as error:
                raise InputError(f"cannot unpack {path}: {error.strerror or error}") from None
        yield folder


def _unpack(path: Path, folder: Path, wanted: Callable[[str], bool]) -> None:
    """Unpack the wanted files of one archive."""
    most = min(_MAX_RATIO * path.stat().st_size + _MAX_EXTRA, shutil.disk_usage(folder).free)
    total = 0
    for name, size, open_member in tqdm(_members(path), path.name, unit="file", disable=None):
        if not wanted(name):
            continue
        target = (folder / name).resolve()
        if not target.is_relative_to(folder):
            raise ValueError(f"{name!r} lies outside of the archive's folder")
        if (total := total + size) > most:
            raise ValueError(f"it unpacks to {total:,} bytes or more, {most:,} are allowed")
        target.parent.mkdir(parents=True, exist_ok=True)
        with open_member() as content, target.open("wb") as copy:
            shutil.copyfileobj(content, copy)


def _members(path: Path) -> Iterator[tuple[str, int, Callable[[], IO[bytes]]]]:
    """Name, size, and a function that opens it, of each regular file of an archive."""
    if zipfile.is_zipfile(path):
        with zipfile.ZipFile(path) as archive:
            for info in archive.infolist():
                if not info.is_dir():
                    yield info.filename, info.file_size, partial(archive.open, info)
        return
    # Without tarfile's extraction filters: Python 3.11.0 to 3.11.3 lack them.
    with tarfile.open(path) as tar:
        for member in tar:
            if member.isfile() and (content := tar.extractfile(member)):
                yield member.name, member.size, partial(_same, content)


def _same(content: IO[bytes]) -> IO[bytes]:
    return content
