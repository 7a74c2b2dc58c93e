"""Rows of numbers in text files, which tell what kind of annotations a folder has."""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from itertools import islice
from pathlib import Path

from centernet.data.formats.outlines import text_number
from centernet.files import open_regular

_START = 1 << 12  # bytes of a file that are read
_SAMPLE = 20  # files of a folder that are read
_MAX_FRACTION = 1.5  # a larger value is in pixels, not a fraction of the image's side
_MAX_CLASSES = 10_000
_LEAST = 0.8  # fraction of the files that have rows of numbers


def numbers_of(path: Path) -> list[list[float]] | None:
    """The rows of a text file, at its start; None if a word is no number.

    Words are separated by blanks or commas. The last row is left out if the file is longer.
    """
    try:
        with open_regular(path) as file:
            text = file.read(_START).decode("utf-8-sig")
    except (OSError, UnicodeDecodeError):
        return None
    lines = text.splitlines()[: -1 if len(text) >= _START else None]
    rows = [line.replace(",", " ").split() for line in lines if line.strip()]
    values = [[text_number(word) for word in row] for row in rows]
    if any(value is None for row in values for value in row):
        return None
    return [[value for value in row if value is not None] for row in values]


def is_yolo(rows: Sequence[Sequence[float]]) -> bool:
    """Whether rows are YOLO labels: a class number, then fractions of the image's sides."""
    return bool(rows) and all(
        len(row) >= 5
        and row[0] % 1 == 0
        and 0 <= row[0] < _MAX_CLASSES
        and all(-_MAX_FRACTION < value <= _MAX_FRACTION for value in row[1:5])
        for row in rows
    )


def typical_rows(files: Iterable[Path], most: int) -> tuple[Path, list[list[float]]] | None:
    """A file with rows of equally many numbers, and the rows of such files in its folder.

    Args:
        files: text files; the folder with the most files is sampled.
        most: number of files that are listed.

    Returns:
        None if most files of that folder have no such rows.
    """
    by_folder: defaultdict[Path, list[Path]] = defaultdict(list)
    for path in islice(files, most):
        by_folder[path.parent].append(path)
    if not by_folder:
        return None
    sample = max(by_folder.values(), key=len)[:_SAMPLE]
    rows_of = {path: rows for path in sample if (rows := numbers_of(path)) != []}
    tables = {path: rows for path, rows in rows_of.items() if rows}
    if len(tables) < 2 or len(tables) < _LEAST * len(rows_of):
        return None
    rows = [row for table in tables.values() for row in table]
    if len({len(row) for row in rows}) > 1:
        return None
    return next(iter(tables)), rows
