"""Find the annotation files of a dataset, and recognize their format by their content."""

import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import islice
from pathlib import Path

from centernet.data.formats.splits import is_hidden
from centernet.files import open_regular

_MAX_DEPTH = 4  # levels of folders that are searched
_SAMPLE = 20  # files that decide about the format of a folder
_START, _END = 1 << 18, 1 << 12  # bytes of a file that decide about its format


def annotation_files(source: Path, suffix: str) -> Iterator[Path]:
    """The source if it is a file of a suffix, or the files of that suffix in a folder, sorted.

    Hidden files and folders, and those that macOS adds to archives, are left out.
    """
    if not source.is_dir():
        yield from [source] if source.suffix.lower() == suffix else []
        return
    depth = len(source.parts) + _MAX_DEPTH
    for folder, subfolders, files in os.walk(source):
        deeper = [name for name in subfolders if not is_hidden(Path(name))]
        subfolders[:] = sorted(deeper) if len(Path(folder).parts) + 1 < depth else []
        for name in sorted(files):
            if name.lower().endswith(suffix) and not is_hidden(Path(name)):
                yield Path(folder, name)


def any_of(files: Iterable[Path], is_of_format: Callable[[Path], object]) -> bool:
    """Whether one of the first files is of a format."""
    return any(map(is_of_format, islice(files, _SAMPLE)))


def json_files(source: Path, *choices: Sequence[str]) -> list[Path]:
    """The JSON files that :func:`has_keys` accepts."""
    return [path for path in annotation_files(source, ".json") if has_keys(path, *choices)]


def has_json(source: Path, *choices: Sequence[str]) -> bool:
    """Whether :func:`has_keys` accepts one of the first JSON files."""
    return any_of(annotation_files(source, ".json"), lambda path: has_keys(path, *choices))


def has_keys(path: Path, *choices: Sequence[str]) -> bool:
    """Whether the start and end of a JSON file contain all keys of one of the choices."""
    try:
        with open_regular(path) as file:
            text = file.read(_START)
            file.seek(max(0, file.seek(0, os.SEEK_END) - _END))
            text = (text + file.read(_END)).replace(b"\0", b"")  # of UTF-16
    except OSError:
        return False
    return any(all(f'"{key}"'.encode() in text for key in keys) for keys in choices)
