"""Files that are whole or not there at all."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from centernet.errors import InputError


@contextmanager
def whole(path: str | Path) -> Iterator[Path]:
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
