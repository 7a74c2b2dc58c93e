"""Layout of Pascal VOC: folders of XML files, and lists in ImageSets/Main/SPLIT.txt."""

import re
from collections.abc import Iterator, Mapping, Sequence
from itertools import islice
from pathlib import Path

from centernet.data.formats.safe_xml import start_of
from centernet.data.formats.splits import USUAL_SPLITS, folders_in, is_hidden, lines_of, split_name
from centernet.errors import InputError

LISTS = Path("ImageSets", "Main")
_XML_FOLDERS = ("Annotations", "annotations", "xmls", "labels", ".")
_SAMPLE = 20  # XML files of a folder that are searched for one of VOC
_MAX_DEPTH = 4  # levels of folders to search, including the source
_MAX_OTHERS = 500  # folders that are searched for more XML files
# A line of a file such as aeroplane_train.txt: whether an image contains that class.
_OF_ONE_CLASS = re.compile(r"\s(-1|0|1)$")


def find_folders(source: Path) -> dict[Path, Path]:
    """Find VOC folders, and the folders of their XML files.

    Either the source, or else subfolders such as VOCdevkit/VOC2007 or train.
    """
    folders = [source] if source.is_dir() else []
    for _ in range(_MAX_DEPTH):
        if found := {folder: xml for folder in folders if (xml := _xml_folder(folder))}:
            return found
        folders = [inside for folder in folders for inside in folders_in(folder)]
    return {}


def find_together(source: Path) -> tuple[dict[Path, Path], list[str]]:
    """Find the VOC folders that are read together, and the folders of their XML files.

    Folders beside each other are read together, also if they are not equally deep, unless one has
    lists of images.

    Returns:
        The folders, as :func:`find_folders`, and a note for each other folder of XML files.
    """
    folders = find_folders(source)
    others = _find_others(source, folders)
    if source not in folders and not any((folder / LISTS).is_dir() for folder in folders):
        return folders | others, []
    counts = {folder: sum(1 for _ in xml_files(folder)) for folder in others.values()}
    return folders, [
        f"{folder}: {count} XML files beside the dataset are not read"
        for folder, count in counts.items()
    ]


def _find_others(source: Path, folders: Mapping[Path, Path]) -> dict[Path, Path]:
    """Find the VOC folders that lie deeper than, or beside, those of :func:`find_folders`."""
    known, found = set(folders.values()), dict[Path, Path]()
    level, visited = [source], 0
    for _ in range(_MAX_DEPTH):
        visited += len(level)
        for folder in level:
            xml = None if folder in folders else _xml_folder(folder)
            if xml and xml not in known:
                found[folder] = xml
                known.add(xml)
        if visited > _MAX_OTHERS:
            break
        level = [
            inside
            for folder in level
            for inside in folders_in(folder)
            if not (is_hidden(inside) or inside.is_symlink())
        ]
    return found


def _xml_folder(folder: Path) -> Path | None:
    """The folder of the XML files of a VOC folder; None if there are none."""
    for name in _XML_FOLDERS:
        # XML of other programs has another root, such as CVAT's <annotations>.
        try:
            files = islice(xml_files(folder / name), _SAMPLE)
            if any(re.search(rb"<annotation[\s>]", start_of(file)) for file in files):
                return folder / name
        except OSError:
            continue  # such as lost+found
    return None


def split_of(folder: Path, source: Path) -> str:
    """The usual split that the nearest folder below the source names; else the folder's own name.

    Empty for the source itself.
    """
    names = [split_name(part) for part in reversed(folder.relative_to(source).parts)]
    return next((name for name in names if name in USUAL_SPLITS), names[0] if names else "")


def xml_files(folder: Path) -> Iterator[Path]:
    """The XML files of a folder, without those that operating systems create."""
    return (path for path in folder.glob("*.xml") if not is_hidden(path))


def read_image_lists(
    root: Path, chosen: Sequence[str] | None
) -> dict[str, tuple[list[str], list[str]]]:
    """Read the lists of a VOC folder.

    Args:
        root: the folder.
        chosen: names of lists; by default all but unions of others, such as trainval.

    Returns:
        Ids of the images by split, each with notes about what was changed.

    Raises:
        InputError: a chosen list is missing, or there are no lists of images.
    """
    lists: dict[str, tuple[list[str], list[str]]] = {}
    for path in sorted((root / LISTS).glob("*.txt")):
        lines = [line.strip() for line in lines_of(path) if line.strip()]
        if lines and not all(_OF_ONE_CLASS.search(line) for line in lines):
            ids = list(dict.fromkeys(lines))
            twice = len(lines) - len(ids)
            notes = [f"{path}: {twice} images are listed twice"] if twice else []
            name = split_name(path.stem) or path.stem
            if name in lists:
                others, earlier = lists[name]
                ids = list(dict.fromkeys([*others, *ids]))
                notes = [*earlier, *notes, f"{path}: merged with the other lists of {name!r}"]
            lists[name] = ids, notes
    if missing := [name for name in chosen or () if name not in lists]:
        raise InputError(f"{root / LISTS} has no list {missing[0]}.txt of images")
    if not lists:
        raise InputError(f"the lists in {root / LISTS} are empty: fill or remove that folder")
    if chosen is not None:
        return {name: lists[name] for name in chosen}
    unions = [name for name in lists if _is_union(name, lists)]
    for name in unions:
        del lists[name]
    first = next(iter(lists.values()))
    first[1].extend(f"{root / LISTS}: left out {n!r}, the union of other lists" for n in unions)
    return lists


def _is_union(name: str, lists: dict[str, tuple[list[str], list[str]]]) -> bool:
    """Whether a list is the union of smaller lists."""
    union = set(lists[name][0])
    parts = [set(ids) for ids, _ in lists.values() if set(ids) < union]
    return bool(parts) and set.union(*parts) == union
