"""Layouts of YOLO datasets without a data.yaml: Darknet, labelImg, folders of splits.

Darknet has an ``obj.data`` with the names of lists of images and of a list of classes,
https://github.com/AlexeyAB/darknet#how-to-train-to-detect-your-custom-objects. Often only the
lists are left: ``train.txt`` and ``test.txt`` beside the images, and a file of class names.
"""

import re
from collections import defaultdict
from collections.abc import Iterable, Sequence
from pathlib import Path

from centernet.data.formats.data_yaml import SPLIT_KEYS, Description
from centernet.data.formats.image_finder import image_files, path_parts
from centernet.data.formats.splits import (
    USUAL_SPLITS,
    first_folder,
    folders_in,
    images_in,
    is_hidden,
    lines_of,
    split_name,
)
from centernet.data.formats.text_rows import is_yolo, numbers_of
from centernet.data.images import SUFFIXES
from centernet.errors import InputError

_USUAL_DATA = "obj.data"
_CLASS_LISTS = ("classes.txt", "labels/classes.txt", "obj.names", "images/classes.txt")
# Other files of class names.
_CLASS_PATTERNS = ("*.names", "*classes*.txt", "*.labels", "*.data")
_SPLIT_FOLDERS = (*SPLIT_KEYS, "validate", "training", "testing")
_SPLIT_LIST = re.compile(rf"({'|'.join(_SPLIT_FOLDERS)})(\d*)\.txt")
_SAMPLE = 20  # label files that decide about a folder


def find_layout(source: Path) -> Path | None:
    """The ``obj.data`` of a dataset without a data.yaml, or its folder; None if it is not YOLO."""
    if not source.is_dir():
        return None
    if (source / _USUAL_DATA).is_file():
        return source / _USUAL_DATA
    for path in sorted(source.glob("*.data")):
        values = _values(path)
        if all(_resolve_file(values.get(key, ""), source) for key in ("train", "names")):
            return path
    if next(source.glob("labels/**/*.txt"), None) or _has_parts(source):
        return source
    folders = (source, source / "images", *(source / name for name in _SPLIT_FOLDERS))
    return source if any(map(_has_labels_beside_images, folders)) else None


def _has_parts(source: Path) -> bool:
    """Whether folders in a folder have labels: its splits, or several parts of one dataset.

    A single folder of another name, or one with a data.yaml, is a dataset of its own.
    """
    parts = [
        folder
        for folder in folders_in(source)
        if not is_hidden(folder) and next(folder.glob("labels/**/*.txt"), None)
    ]
    others = [part for part in parts if split_name(part.name) not in USUAL_SPLITS]
    own = [part for part in others if next(part.glob("*.y*ml"), None)]
    return len(others) < len(parts) or (len(others) > 1 and not own)


def _has_labels_beside_images(folder: Path) -> bool:
    """Whether a folder has images with label files of the same names.

    If it has a list of classes, as labelImg writes it, the content of the labels does not matter.
    """
    if not folder.is_dir():
        return False
    texts = sorted(folder.glob("*.txt"))
    images = {path.stem for path in images_in(folder)} if texts else set()
    labels = [path for path in texts if path.stem in images]
    if labels and (folder / _CLASS_LISTS[0]).is_file():
        return True
    rows = [found for path in labels[:_SAMPLE] if (found := numbers_of(path)) != []]
    return bool(rows) and sum(is_yolo(found or []) for found in rows) > len(rows) / 2


def read_layout(path: Path, notes: list[str]) -> Description:
    """Describe the dataset of :func:`find_layout`.

    Args:
        path: the ``obj.data``, or the folder.
        notes: list to which guesses are appended.

    Raises:
        InputError: the file names no images or no classes.
    """
    return _read_data_file(path) if path.is_file() else _read_folder(path, notes)


def _read_data_file(path: Path) -> Description:
    """Read an ``obj.data``: lines such as ``train = data/train.txt``."""
    values = _values(path)
    entries = {split_name(key): values[key] for key in SPLIT_KEYS if values.get(key)}
    if not entries or not values.get("names"):
        raise InputError(f"{path} does not describe a dataset: it needs train and names")
    names_file = _resolve_file(values["names"], path.parent)
    if names_file is None:
        raise InputError(f"{path} names {values['names']}, which is missing in {path.parent}")
    names = [line.strip() for line in lines_of(names_file)]
    return Description(
        path,
        base=path.parent,
        entries=entries,
        names={number: name for number, name in enumerate(names) if name},
    )


def _values(path: Path) -> dict[str, str]:
    pairs = [line.partition("=") for line in lines_of(path) if "=" in line]
    return {key.strip(): value.strip() for key, _, value in pairs}


def _resolve_file(name: str, root: Path) -> Path | None:
    """The file of a name that may begin with folders of another machine."""
    parts = path_parts(name)
    candidates = (root.joinpath(*parts[start:]) for start in range(len(parts)))
    return next((file for file in candidates if file.is_file()), None)


def _read_folder(root: Path, notes: list[str]) -> Description:
    """The splits and classes of a folder."""
    entries: dict[str, str | list[str]] = dict(_split_folders(root))
    folders = [root / folder for own in entries.values() for folder in own]
    if not entries:
        entries = dict(_split_lists(root, notes))
    if not entries:
        folder = first_folder(root, ("images",)) or root
        entries = {"train": str(folder.relative_to(root))}
        notes.append(f"{root}: there are no split folders, so all images are read as 'train'")
    return Description(root, root, entries, _class_names(root, folders, notes))


def _split_folders(root: Path) -> dict[str, list[str]]:
    """The folders of images by split."""
    for patterns in (("images/{}", "{}/images"), ("{}",)):
        found: defaultdict[str, list[str]] = defaultdict(list)
        for name in (pattern.format(name) for pattern in patterns for name in _SPLIT_FOLDERS):
            if next(image_files(root / name), None) or ((root / name).is_dir() and "/" in name):
                parts = [split_name(part) for part in name.split("/") if part != "images"]
                found[parts[0]].append(name)
        if found:
            return found
    return {}


def _split_lists(root: Path, notes: list[str]) -> dict[str, str]:
    """The lists of images by split, such as ``train.txt`` and ``test.txt``.

    Of several pairs, such as also ``train2.txt`` and ``test2.txt``, the one with the most images.
    """
    pairs: defaultdict[str, dict[str, str]] = defaultdict(dict)
    lengths: defaultdict[str, int] = defaultdict(int)
    for path in sorted(root.glob("*.txt")):
        match = _SPLIT_LIST.fullmatch(path.name.lower())
        lines = [line for line in lines_of(path) if line.strip()] if match else []
        if match and lines and Path(lines[0].strip()).suffix.lower() in SUFFIXES:
            pairs[match[2]][split_name(match[1])] = path.name
            lengths[match[2]] += len(lines)
    usable = [number for number, lists in pairs.items() if "train" in lists]
    if not usable:
        return {}
    chosen = max(usable, key=lambda number: lengths[number])
    others = [file for number, own in pairs.items() if number != chosen for file in own.values()]
    left_out = f"; not read: {', '.join(others)}" if others else ""
    notes.append(f"{root}: the splits are those of {', '.join(pairs[chosen].values())}{left_out}")
    return pairs[chosen]


def _class_names(root: Path, folders: Sequence[Path], notes: list[str]) -> dict[int, str] | None:
    """Class names by number, from a file in the dataset or beside it; None without such a file."""
    usual = [path for name in _CLASS_LISTS if (path := root / name).is_file()]
    inside = (root, root / "labels", root / "images", *folders)
    others = [*_class_files(inside)] or [*_class_files([root.parent])]
    lists = {path: names for path in (*usual, *others) if (names := _names_in(path))}
    if not lists:
        return None
    chosen = next(iter(lists))
    if chosen not in usual:
        notes.append(f"{root}: the class names are those of {chosen}")
    if different := [path for path, names in lists.items() if names != lists[chosen]]:
        notes.append(f"{root}: {different[0]} has other class names than {chosen}, which is used")
    # An empty line counts, so that later classes keep their numbers.
    return {number: name or str(number) for number, name in enumerate(lists[chosen])}


def _class_files(folders: Iterable[Path]) -> Iterable[Path]:
    """The files of folders that may contain class names."""
    for folder in dict.fromkeys(folders):
        for pattern in _CLASS_PATTERNS:
            for path in sorted(folder.glob(pattern)):
                if path.is_file() and not is_hidden(path):
                    yield path


def _names_in(path: Path) -> list[str]:
    """The lines of a file of class names; empty for another file."""
    if path.suffix == ".data":
        names_file = _resolve_file(_values(path).get("names", ""), path.parent)
        return _names_in(names_file) if names_file else []
    rows = numbers_of(path)
    if rows and len(rows[0]) >= 5:  # labels
        return []
    names = [line.strip() for line in lines_of(path)]
    while names and not names[-1]:
        names.pop()
    return names
