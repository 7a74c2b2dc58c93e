"""Find the dataset in a folder that contains more: a repository, an archive, a project."""

from collections.abc import Callable, Sequence
from itertools import islice
from pathlib import Path
from typing import NamedTuple

from centernet.data.annotations import truncate_list
from centernet.data.formats.image_finder import image_files
from centernet.data.formats.splits import USUAL_SPLITS, folders_in, is_hidden, split_name
from centernet.errors import InputError

_MAX_WRAPPED = 3  # folders around a dataset, if they contain nothing else
_MAX_DEPTH = 3  # levels below the given folder that are searched
_MAX_FOLDERS = 500  # folders that are searched
_MAX_SIBLINGS = 20  # folders beside each other that are compared
_SHOWN = 10  # datasets that an error names
# Names of folders inside a dataset, which are no dataset of their own.
_PARTS = {"annotations", "images", "labels", "jpegimages", "train", "val", "valid", "test", "data"}
# Folders of programs and training runs.
_FOREIGN = {"runs", "__pycache__", "node_modules", "venv", "env", "site-packages"}

Detect = Callable[[Path], Sequence[str]]


class Location(NamedTuple):
    """The place of a dataset.

    Attributes:
        path: file or folder of the dataset.
        formats: names of its formats; empty if there is no dataset.
        note: why ``path`` is not the given folder; empty if it is, or only contains that folder.
    """

    path: Path
    formats: Sequence[str]
    note: str = ""


def locate(source: Path, detect: Detect, detect_export: Detect) -> Location:
    """Find the dataset that a file or folder is, or the only one in a folder.

    Args:
        source: file or folder.
        detect: names of the formats of a file or folder.
        detect_export: the same without the formats of annotation tools.

    Raises:
        InputError: there are several datasets.
    """
    inner = unwrap(source)
    formats = detect(inner)
    if formats:
        found, is_complete = _siblings(inner, detect_export), True
    else:
        found, is_complete = _search(inner, detect_export)
        if not found:
            found, is_complete = _search(inner, detect)
        found = [folder for folder in found if _has_image(folder)] or found
    if not found:
        return Location(inner, formats)
    if len(found) > 1:
        raise InputError(
            f"{source} contains several datasets: give one, such as "
            f"{truncate_list([str(folder) for folder in found], _SHOWN)}"
        )
    where = f"in {source}" if is_complete else f"in the first {_MAX_FOLDERS} folders of {source}"
    return Location(found[0], detect(found[0]), f"read {found[0]}, the only dataset {where}")


def unwrap(source: Path) -> Path:
    """The folder of the dataset: an unzipped archive may be in a folder of its own."""
    for _ in range(_MAX_WRAPPED):
        inside = [p for p in source.iterdir() if not is_hidden(p)] if source.is_dir() else []
        if len(inside) != 1 or not inside[0].is_dir() or inside[0].name.lower() in _PARTS:
            break
        source = inside[0]
    return source


def _search(root: Path, detect: Detect) -> tuple[list[Path], bool]:
    """The datasets below a folder, and whether all folders were searched."""
    found: list[Path] = []
    level = [root] if root.is_dir() else []
    visited = 0
    for _ in range(_MAX_DEPTH):
        deeper = []
        for folder in (child for parent in level for child in _own_folders(parent)):
            visited += 1
            if visited > _MAX_FOLDERS:
                return found, False
            if detect(folder):
                found += _siblings(folder, detect) or [folder]
            else:
                deeper.append(folder)
        level = deeper
    return found, True


def _siblings(folder: Path, detect: Detect) -> list[Path]:
    """The datasets in a folder, if there are several in different formats, with own images.

    Such a folder matches a format only because one of them does.
    """
    if not folder.is_dir():
        return []
    children = (
        child
        for child in _own_folders(folder)
        if child.name.lower() not in _PARTS and split_name(child.name) not in USUAL_SPLITS
    )
    formats = {child: detect(child) for child in islice(children, _MAX_SIBLINGS)}
    own = [child for child, names in formats.items() if names and _has_image(child)]
    return own if len({formats[child][0] for child in own}) > 1 else []


def _own_folders(folder: Path) -> list[Path]:
    """The subfolders that are neither links, which can lead outside, nor of programs."""
    return [
        child
        for child in folders_in(folder)
        if not (child.is_symlink() or is_hidden(child) or child.name in _FOREIGN)
    ]


def _has_image(folder: Path) -> bool:
    return next(image_files(folder), None) is not None
