"""Pascal VOC: an XML file for each image; lists in ImageSets/Main, or folders, name the splits."""

import math
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path, PureWindowsPath
from typing import Any
from xml.etree import ElementTree

from tqdm import tqdm

from centernet.data.annotations import DatasetSplit
from centernet.data.entries import image_sides
from centernet.data.formats.prepare import join
from centernet.data.formats.splits import (
    USUAL,
    first_folder,
    folders_in,
    images_in,
    lines_of,
    split_name,
)
from centernet.data.images import image_size
from centernet.errors import InputError
from centernet.files import open_regular, read_bytes

_XML_FOLDERS = ("Annotations", "annotations", "xmls", "labels", ".")
_IMAGE_FOLDERS = ("JPEGImages", "images", "Images", "imgs", ".")
_LOOKED_AT = 20  # files of a folder, one of which must be VOC's
_MAX_XML = 50 << 20  # bytes
_DEEPEST = 3  # levels of folders to look at, the source's own included
_LISTS = Path("ImageSets", "Main")
# VOC's own files count pixels from 1 and include the last; all other programs write corners.
_COUNTS_FROM_ONE = "The VOC"
# A line of aeroplane_train.txt, which says whether an image shows that class.
_OF_ONE_CLASS = re.compile(r"\s(-1|0|1)$")
_CORNERS = ("xmin", "ymin", "xmax", "ymax")


def find(source: Path) -> list[Path]:
    """Folders with XML files: the source, or else folders in it, as VOCdevkit/VOC2007 or train."""
    folders = [source] if source.is_dir() else []
    for _ in range(_DEEPEST):
        if found := [folder for folder in folders if _xml_folder(folder)]:
            return found
        folders = [inside for folder in folders for inside in folders_in(folder)]
    return []


def read(
    source: Path, *, lists: Sequence[str] | None = None, names: Sequence[str] | None = None
) -> list[DatasetSplit]:
    """Read a VOC folder; objects that are ``difficult`` become ignore regions.

    Args:
        source: a folder as VOC2007; its parent, if there is but one; or folders of images and XML
            files named after splits.
        lists: those of ImageSets/Main to read; by default all but unions of others, as trainval.
        names: the classes in the order of their ids; by default all that there are, sorted.

    Raises:
        InputError: there are several datasets, or a list names no image.
    """
    folders = find(source)
    if len(folders) == 1 and (folders[0] / _LISTS).is_dir():
        parts = [
            _Part(folders[0], name, ids, notes)
            for name, (ids, notes) in _lists(folders[0], lists).items()
        ]
    elif len(folders) > 1 and any((folder / _LISTS).is_dir() for folder in folders):
        several = ", ".join(str(folder.relative_to(source)) for folder in folders)
        raise InputError(f"{source} holds several VOC datasets ({several}): name one of them")
    else:
        parts = _whole(folders, source)
    for part in parts:
        part.read()
    found = {o["name"] for part in parts for o in part.objects}
    names = [*(names or ()), *sorted(found.difference(names or ()))]
    splits: dict[str, list[DatasetSplit]] = {}
    for part in parts:
        splits.setdefault(part.name, []).append(part.split(names))
    return [own[0] if len(own) == 1 else join(name, own) for name, own in splits.items()]


def _xml_folder(folder: Path) -> Path | None:
    for name in _XML_FOLDERS:
        # Other programs' XML has another root, as CVAT's <annotations>.
        try:
            files = islice((folder / name).glob("*.xml"), _LOOKED_AT)
            if any(re.search(rb"<annotation[\s>]", _start_of(file)) for file in files):
                return folder / name
        except OSError:
            continue  # as lost+found
    return None


def _start_of(path: Path) -> bytes:
    """The first bytes; none of a folder, a pipe or an unreadable file."""
    try:
        with open_regular(path) as file:
            return file.read(500)
    except OSError:
        return b""


def _parse(path: Path) -> ElementTree.Element:
    """The root of an XML file; entities, of which a few lines can fill any memory, are refused."""
    data = read_bytes(path, _MAX_XML)
    if b"<!ENTITY" in data.replace(b"\0", b""):  # UTF-16 has null bytes between
        raise ValueError("it declares entities")
    return ElementTree.fromstring(data)


def _lists(root: Path, chosen: Sequence[str] | None) -> dict[str, tuple[list[str], list[str]]]:
    """Ids of the images by split, each with notes."""
    lists: dict[str, tuple[list[str], list[str]]] = {}
    for path in sorted((root / _LISTS).glob("*.txt")):
        lines = [line.strip() for line in lines_of(path) if line.strip()]
        if lines and not all(_OF_ONE_CLASS.search(line) for line in lines):
            ids = list(dict.fromkeys(lines))
            twice = len(lines) - len(ids)
            notes = [f"{path}: {twice} images are listed twice"] if twice else []
            name = split_name(path.stem) or path.stem
            if name in lists:
                others, earlier = lists[name]
                ids = list(dict.fromkeys([*others, *ids]))
                notes = [*earlier, *notes, f"{path}: joined with the other lists of {name!r}"]
            lists[name] = ids, notes
    if missing := [name for name in chosen or () if name not in lists]:
        raise InputError(f"{root / _LISTS} has no list {missing[0]}.txt of images")
    if not lists:
        raise InputError(f"no list in {root / _LISTS} names an image: fill or remove that folder")
    if chosen is not None:
        return {name: lists[name] for name in chosen}
    unions = [name for name in lists if _is_union(name, lists)]
    for name in unions:
        del lists[name]
    first = next(iter(lists.values()))
    first[1].extend(f"{root / _LISTS}: left out {n!r}, the images of other lists" for n in unions)
    return lists


def _is_union(name: str, lists: dict[str, tuple[list[str], list[str]]]) -> bool:
    whole = set(lists[name][0])
    parts = [set(ids) for ids, _ in lists.values() if set(ids) < whole]
    return bool(parts) and set.union(*parts) == whole


def _whole(folders: Sequence[Path], source: Path) -> "list[_Part]":
    """All of each folder; several may be of one split."""
    names = [split_name(folder.name) if folder != source else "" for folder in folders]
    divided = not set(names).isdisjoint(USUAL)
    parts = []
    for folder, name in zip(folders, names, strict=True):
        ids = sorted(path.stem for path in _xml_folder(folder).glob("*.xml"))
        if divided:
            # Beside train and val, an extra or val_old is neither.
            parts.append(_Part(folder, name or folder.name, ids, [], all_images=True))
            continue
        note = f"{folder}: nothing divides it into splits, so all of it is taken as 'train'"
        parts.append(_Part(folder, "train", ids, [note], all_images=True))
    return parts


@dataclass
class _Part:
    """A split while it is read: its images, and its objects with their classes' names."""

    root: Path
    name: str
    ids: list[str]
    notes: list[str]
    all_images: bool = False  # whether every image is expected to have an XML file
    images: list[dict[str, Any]] = field(default_factory=list)
    objects: list[dict[str, Any]] = field(default_factory=list)

    def read(self) -> None:
        """Read the XML file of each id; what cannot be read is noted."""
        xml_folder = _xml_folder(self.root)
        self.folder = first_folder(self.root, _IMAGE_FOLDERS) or self.root
        there = {path.stem: path.name for path in images_in(self.folder)}
        files, missing, shifted = set(there.values()), [], 0
        for stem in tqdm(self.ids, desc=f"reading {self.name}", delay=1, disable=None, leave=False):
            path = xml_folder / f"{stem}.xml"
            try:
                if ".." in Path(stem).parts or Path(stem).is_absolute():
                    raise ValueError("it lies outside of the dataset")
                root = _parse(path)
            except (OSError, ElementTree.ParseError, ValueError, LookupError) as error:
                # The last two are also of an encoding that is not supported.
                reason = getattr(error, "strerror", None) or error
                self.notes.append(f"{path}: left out the image, its XML is unreadable: {reason}")
                continue
            # Some programs write the path that the image had elsewhere.
            named = PureWindowsPath(_text(root, "filename") or "").name or f"{stem}.jpg"
            # A name that the image had elsewhere may be another image's here.
            is_own = named in files and Path(named).stem == stem
            file = named if is_own else there.get(stem, named)
            if file not in files:
                missing.append(file)
            image = {"id": len(self.images) + 1, "file_name": file} | self._size(path, root, file)
            self.images.append(image)
            shift = int((_text(root, "source/database") or "").startswith(_COUNTS_FROM_ONE))
            shifted += shift
            self.objects += [
                {"image_id": image["id"]} | found for found in self._objects(path, root, shift)
            ]
        without = sorted(there.keys() - set(self.ids)) if self.all_images else []
        if without:
            self.notes.append(
                f"{self.folder}: left out {len(without)} images that have no XML file, "
                f"as {there[without[0]]}"
            )
        if missing:
            self.notes.append(f"{self.folder}: {len(missing)} images are missing, as {missing[0]}")
        if shifted:
            self.notes.append(
                f"{xml_folder}: {shifted} files are VOC's own, whose pixels count from 1: "
                "their boxes begin one pixel earlier"
            )

    def _size(self, path: Path, root: ElementTree.Element, file: str) -> dict[str, int]:
        sides = {side: _number(_text(root, f"size/{side}")) for side in ("width", "height")}
        if all(map(math.isfinite, image_sides(sides))):
            return {side: int(value) for side, value in sides.items()}
        try:
            height, width = image_size(self.folder / file)
        except InputError:
            self.notes.append(f"{path}: names no size, and there is no image to see it from")
            return {}
        self.notes.append(f"{path}: names no size, took the image's own, {width}x{height}")
        return {"width": width, "height": height}

    def _objects(
        self, path: Path, root: ElementTree.Element, shift: int
    ) -> Iterator[dict[str, Any]]:
        for number, entry in enumerate(root.iter("object"), 1):
            name = _text(entry, "name")
            corners = [_number(_text(entry, f"bndbox/{corner}")) for corner in _CORNERS]
            if not name or None in corners:
                fault = "four numbers in its bndbox" if name else "a name"
                self.notes.append(f"{path}: left out object {number}, which has not {fault}")
                continue
            x1, y1, x2, y2 = corners[0] - shift, corners[1] - shift, *corners[2:]
            yield {
                "name": name,
                "bbox": [x1, y1, x2 - x1, y2 - y1],
                "area": (x2 - x1) * (y2 - y1),
                "iscrowd": 0,
            } | ({"ignore": 1} if _number(_text(entry, "difficult")) else {})

    def split(self, names: Iterable[str]) -> DatasetSplit:
        """The split with ids for the classes ``names``."""
        category = {name: number for number, name in enumerate(names, 1)}
        annotations = [
            {"id": number, "image_id": o["image_id"], "category_id": category[o["name"]]}
            | {key: value for key, value in o.items() if key not in ("name", "image_id")}
            for number, o in enumerate(self.objects, 1)
        ]
        content = {
            "images": self.images,
            "annotations": annotations,
            "categories": [{"id": i, "name": name} for name, i in category.items()],
        }
        lists = self.root / _LISTS / f"{self.name}.txt"
        source = lists if lists.is_file() else _xml_folder(self.root)
        return DatasetSplit(self.name, self.folder, content, source, self.notes)


def _text(element: ElementTree.Element, path: str) -> str | None:
    found = element.findtext(path)
    return found.strip() if found else None


def _number(text: str | None) -> float | None:
    try:
        return float(text)
    except (TypeError, ValueError):
        return None
