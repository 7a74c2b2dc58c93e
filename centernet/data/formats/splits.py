"""Files, folders and splits as they are found in the wild."""

import os
import re
from collections.abc import Iterable
from pathlib import Path

from centernet.data.images import SUFFIXES
from centernet.errors import InputError
from centernet.files import read_text

USUAL = ("train", "val", "test")  # splits
_SAME = {"valid": "val", "validation": "val", "training": "train", "testing": "test"}
# Words and years that say nothing about which split a file holds.
_FILLERS = re.compile(r"instances|annotations?|labels?|coco|default|data|result|(?:19|20)\d\d")


def split_name(text: str) -> str:
    """The split that a file or folder name speaks of; empty where it names none.

    ``instances_train2017`` and ``train`` are ``train``, ``valid`` is ``val``, ``_annotations.coco``
    is empty.
    """
    words = re.split(r"[^a-z0-9]+", _FILLERS.sub(" ", text.lower()))
    name = "_".join(word for word in words if word)
    return _SAME.get(name, name)


def folders_in(folder: Path) -> list[Path]:
    """Folders of a folder in order, quick also where there are very many files.

    One that may not be read, as ``lost+found``, has none.
    """
    try:
        with os.scandir(folder) as found:
            return sorted(Path(entry) for entry in found if entry.is_dir())
    except PermissionError:
        return []


def lines_of(path: Path) -> list[str]:
    """Lines of a text file.

    Raises:
        InputError: it cannot be read, or is not UTF-8.
    """
    try:
        return read_text(path).splitlines()
    except OSError as error:
        raise InputError(f"cannot read {path}: {error.strerror or error}") from None
    except UnicodeDecodeError as error:
        raise InputError(f"{path} is not UTF-8 ({error}): save it in that encoding") from None


def first_folder(root: Path, names: Iterable[str]) -> Path | None:
    """The first of the folders in ``root`` that there is."""
    return next((root / name for name in names if (root / name).is_dir()), None)


def images_in(folder: Path, *, deep: bool = False) -> list[Path]:
    """Image files of a folder in order, ``deep`` also those of folders in it."""
    found = folder.rglob("*") if deep else folder.iterdir()
    return sorted(p for p in found if p.suffix.lower() in SUFFIXES and not p.name.startswith("."))
