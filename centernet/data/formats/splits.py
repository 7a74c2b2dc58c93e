"""Names of splits, and files and folders of datasets."""

import os
import re
from collections.abc import Iterable
from pathlib import Path

from centernet.data.images import SUFFIXES
from centernet.errors import InputError
from centernet.files import read_text

USUAL_SPLITS = ("train", "val", "test")
_SYNONYMS = {"valid": "val", "validation": "val", "validate": "val"} | {
    "training": "train",
    "testing": "test",
}
# Words and years in file names that name no split.
_FILLERS = re.compile(
    r"instances|person_keypoints|annotations?|labels?|coco|default|data|result|(?:19|20)\d\d"
)


def split_name(text: str) -> str:
    """The split name in a file or folder name; empty if there is none.

    ``instances_train2017`` and ``train`` are ``train``, ``valid`` is ``val``, ``_annotations.coco``
    is empty.
    """
    words = re.split(r"[^a-z0-9]+", _FILLERS.sub(" ", text.lower()))
    name = "_".join(word for word in words if word)
    return _SYNONYMS.get(name, name)


def dataset_folder(source: Path) -> Path:
    """The folder of the dataset that a file or folder describes.

    >>> str(dataset_folder(Path("coco/annotations/instances_val2017.json")))
    'coco'
    """
    if source.is_dir():
        return source
    return source.parents[1] if source.parent.name.lower() == "annotations" else source.parent


def folders_in(folder: Path) -> list[Path]:
    """Sorted subfolders of a folder, fast even with very many files.

    An unreadable folder, such as ``lost+found``, has none.
    """
    try:
        with os.scandir(folder) as found:
            return sorted(Path(entry) for entry in found if entry.is_dir())
    except PermissionError:
        return []


def lines_of(path: Path) -> list[str]:
    """The lines of a UTF-8 text file.

    Raises:
        InputError: it cannot be read, or is not UTF-8.
    """
    try:
        return read_text(path).splitlines()
    except OSError as error:
        raise InputError(f"cannot read {path}: {error.strerror or error}") from None
    except UnicodeDecodeError as error:
        raise InputError(f"{path} is not UTF-8 ({error}): save it in UTF-8") from None


def first_folder(root: Path, names: Iterable[str]) -> Path | None:
    """The first folder of these names that exists in ``root``."""
    return next((root / name for name in names if (root / name).is_dir()), None)


def is_hidden(path: Path) -> bool:
    """Whether operating systems created a file or folder beside the user's."""
    return path.name.startswith(".") or path.name in ("__MACOSX", "Thumbs.db", "desktop.ini")


def images_in(folder: Path, *, deep: bool = False) -> list[Path]:
    """Sorted image files of a folder; with ``deep``, also those of its subfolders."""
    found = folder.rglob("*") if deep else folder.iterdir()
    return sorted(p for p in found if p.suffix.lower() in SUFFIXES and not p.name.startswith("."))
