"""YOLO: a text file of labels for each image, and a data.yaml that names classes and splits."""

import os
from collections.abc import Iterator, Sequence
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

from centernet.data.annotations import DatasetSplit
from centernet.data.entries import is_integer, short
from centernet.data.formats.safe_yaml import load_yaml
from centernet.data.formats.splits import first_folder, images_in, lines_of, split_name
from centernet.data.images import image_size
from centernet.errors import InputError
from centernet.files import read_text

_SPLITS = ("train", "val", "valid", "validation", "test")
_MAX_CLASSES = 10_000  # where nothing names them; larger numbers are no classes
_CLASS_LISTS = ("classes.txt", "labels/classes.txt", "obj.names", "images/classes.txt")


def find(source: Path) -> list[Path]:
    """The file that describes a YOLO dataset, or its folder where nothing but labels does."""
    if source.is_file():
        return [source] if source.suffix.lower() in (".yaml", ".yml") else []
    for path in sorted(source.glob("*.y*ml"), key=lambda p: (p.name != "data.yaml", p.name)):
        try:
            content = load_yaml(path)
        except InputError:
            if path.name == "data.yaml":
                return [path]  # without it the classes would have no names; reading it says why
            continue
        if isinstance(content, dict) and "names" in content and content.keys() & set(_SPLITS):
            return [path]
    has_labels = next((p for d in ("labels", "*/labels") for p in source.glob(f"{d}/**/*.txt")), 0)
    return [source] if has_labels else []


def read(source: Path) -> list[DatasetSplit]:
    """Read a YOLO dataset; an image without a label file, or with an empty one, has no objects.

    Raises:
        InputError: the YAML file is not one of a dataset, or names folders that are not there.
    """
    (path,) = find(source)
    notes: list[str] = []
    if path.is_dir():
        entries, names, base, keypoints = _folders(path, notes), _listed_names(path), path, False
    else:
        content = _description(path)
        base = _base(path, content, notes)
        entries = {split_name(key): content[key] for key in _SPLITS if content.get(key)}
        names, keypoints = _names(path, content["names"]), "kpt_shape" in content
    splits = []
    for name, entry in entries.items():
        reader = _Reader(name, names, keypoints, notes if not splits else [])
        try:
            files = _images(entry, base, path, reader.notes)
        except InputError as error:
            # Roboflow names a test split whether or not there is one.
            if name != "test" or not splits:
                raise
            notes.append(f"{error}: left out 'test'")
            continue
        splits.append(reader.read(files, path))
    if names is None:
        _number_classes(splits, path)
    return splits


def _description(path: Path) -> dict[str, Any]:
    content = load_yaml(path)
    if not isinstance(content, dict):
        raise InputError(f"{path} does not describe a dataset: it should name train, val and names")
    if not isinstance(content.get("names"), list | dict) or not content["names"]:
        raise InputError(f"{path} has no list 'names' of classes")
    if not any(content.get(key) for key in _SPLITS):
        raise InputError(f"{path} names no folder of images: it should have train, val, or test")
    for key in ("path", *_SPLITS):
        value = content.get(key)
        if not all(map(_is_scalar, value if isinstance(value, list) else [value])):
            raise InputError(f"{path}: {key!r} must be a folder or a list, got {short(value)}")
    return content


def _names(path: Path, names: list | dict) -> dict[int, str]:
    pairs = list(names.items() if isinstance(names, dict) else enumerate(names))
    if not all(_is_number(number) for number, _ in pairs):
        raise InputError(f"{path}: the keys of 'names' must be numbers, got {short(names)}")
    # Written out, lists of aliases of lists can fill any memory.
    if wrong := [name for _, name in pairs if not _is_scalar(name)]:
        raise InputError(f"{path}: each of 'names' must be text, got {short(wrong[0])}")
    return {int(number): str(name) for number, name in pairs}


def _is_scalar(value: Any) -> bool:
    return value is None or isinstance(value, str | float | bool | date) or is_integer(value)


def _is_number(key: Any) -> bool:
    return is_integer(key) or (isinstance(key, str) and key.isdecimal() and len(key) < 10)


def _base(path: Path, content: dict[str, Any], notes: list[str]) -> Path:
    """The folder that the entries are relative to."""
    named = Path(str(content.get("path") or "."))
    for base in (path.parent / named, path.parent / named.name):
        if base.is_dir():
            return base
    notes.append(f"{path}: there is no folder {named}, so its own folder is taken for it")
    return path.parent


def _images(entry: Any, base: Path, path: Path, notes: list[str]) -> tuple[Path, list[Path]]:
    """The folder and the image files of an entry: a folder, a list of images, or several."""
    entries = entry if isinstance(entry, list) else [entry]
    files: list[Path] = []
    for one in entries:
        place = _place(str(one), base, path, notes)
        if place.is_dir():
            files += images_in(place, deep=True)
        else:
            lines = [line.strip() for line in lines_of(place) if line.strip()]
            files += [_listed(line, place, base) for line in lines]
    files = [Path(os.path.normpath(file)) for file in files]
    unique = list(dict.fromkeys(files))
    if len(unique) < len(files):
        notes.append(f"{path}: {len(files) - len(unique)} images are named twice")
    if not unique:
        raise InputError(f"{path}: no image is in {entry}")
    if len(entries) == 1 and place.is_dir():
        return Path(os.path.normpath(place)), unique
    return Path(os.path.commonpath([file.parent for file in unique])), unique


def _place(entry: str, base: Path, path: Path, notes: list[str]) -> Path:
    # Roboflow writes ../train/images for train/images.
    inside = entry.lstrip("./") if entry.startswith("../") else entry
    for candidate in (base / entry, base / inside, path.parent / entry):
        if candidate.is_dir() or (candidate.is_file() and candidate.suffix == ".txt"):
            if candidate == base / inside != base / entry:
                notes.append(f"{path}: there is no {entry}, took {inside}")
            return candidate
    raise InputError(
        f"{path} names {entry}, but {base / entry} is neither a folder nor a .txt list of images"
    )


def _listed(line: str, place: Path, base: Path) -> Path:
    beside = place.parent / line
    return beside if beside.exists() or not (base / line).exists() else base / line


def _folders(root: Path, notes: list[str]) -> dict[str, str]:
    """Folders of images where no YAML names them."""
    patterns = ("images/{}", "{}/images")
    found = {
        split_name(name): pattern.format(name)
        for pattern in patterns
        for name in _SPLITS
        if (root / pattern.format(name)).is_dir()
    }
    if found:
        return found
    folder = first_folder(root, ("images", "."))
    notes.append(f"{root}: nothing divides it into splits, so all of it is taken as 'train'")
    return {"train": str(folder.relative_to(root))}


def _listed_names(root: Path) -> dict[int, str] | None:
    lists = [root / name for name in _CLASS_LISTS if (root / name).is_file()]
    if not lists:
        return None
    names = [line.strip() for line in lines_of(lists[0])]
    while names and not names[-1]:
        names.pop()
    # A class of an empty line keeps its number.
    return {number: name or str(number) for number, name in enumerate(names)}


def _number_classes(splits: Sequence[DatasetSplit], path: Path) -> None:
    """Where nothing names the classes, their numbers do."""
    used = {a["category_id"] for split in splits for a in split.coco["annotations"]}
    names = [{"id": i, "name": str(i - 1)} for i in range(1, max(used, default=0) + 1)]
    splits[0].notes.append(f"{path}: nothing names the classes (classes.txt, data.yaml)")
    for split in splits:
        split.coco["categories"] = names


class _Reader:
    """Reads the labels of one split.

    Args:
        name: of the split.
        names: of the classes by number; None for any number.
        keypoints: whether a label may go on with keypoints after its box.
        notes: to add to.
    """

    def __init__(
        self, name: str, names: dict[int, str] | None, keypoints: bool, notes: list[str]
    ) -> None:
        self.name, self.names, self.keypoints, self.notes = name, names, keypoints, notes
        self.polygons = 0

    def read(self, files: tuple[Path, list[Path]], source: Path) -> DatasetSplit:
        folder, paths = files
        images, annotations, without = [], [], []
        for path in tqdm(paths, f"reading {self.name}", delay=1, disable=None, leave=False):
            try:
                height, width = image_size(path)
            except InputError as error:
                self.notes.append(f"{path}: left out, {error}")
                continue
            name = Path(os.path.relpath(path, folder)).as_posix()
            image = {"id": len(images) + 1, "file_name": name, "width": width, "height": height}
            images.append(image)
            label_file = _label_file(path)
            if not label_file.is_file():
                without.append(label_file)
                continue
            for label in self._labels(label_file, width, height):
                number = {"id": len(annotations) + 1, "image_id": image["id"]}
                annotations.append(number | label)
        if without:
            self.notes.append(
                f"{folder}: {len(without)} of {len(images)} images have no label file and so no "
                f"objects, the first would be {without[0]}"
            )
        if self.polygons:
            self.notes.append(f"{folder}: {self.polygons} polygons stand as their boxes")
        categories = [{"id": i + 1, "name": name} for i, name in (self.names or {}).items()]
        content = {"images": images, "annotations": annotations, "categories": categories}
        return DatasetSplit(self.name, folder, content, source, self.notes)

    def _labels(self, path: Path, width: int, height: int) -> Iterator[dict[str, Any]]:
        try:
            text = read_text(path, errors="replace")
        except OSError as error:
            self.notes.append(f"{path}: left out its labels, {error.strerror or error}")
            return
        for number, line in enumerate(text.splitlines(), 1):
            if not line.strip():
                continue
            try:
                with np.errstate(over="ignore", invalid="ignore"):
                    label = self._label(line.split(), np.array([width, height]))
                yield label
            except ValueError as error:
                self.notes.append(f"{path}:{number}: left out {line.strip()[:60]!r}, {error}")

    def _label(self, words: list[str], size: np.ndarray) -> dict[str, Any]:
        numbers = np.array([float(word) for word in words])
        label, values = numbers[0], numbers[1:]
        is_number = not label % 1 and 0 <= label < _MAX_CLASSES
        if not (is_number if self.names is None else label in self.names):
            raise ValueError(f"there is no class {words[0]}")
        is_polygon = len(values) >= 6 and len(values) % 2 == 0 and not self.keypoints
        if not (len(values) == 4 or is_polygon or (self.keypoints and len(values) > 4)):
            raise ValueError("neither a class and a box nor a class and a polygon")
        found: dict[str, Any] = {"category_id": int(label) + 1, "iscrowd": 0}
        if is_polygon:
            self.polygons += 1
            points = values.reshape(-1, 2) * size
            low, extent = points.min(0), np.ptp(points, axis=0)
            x, y = points.T
            area = abs(np.dot(x, np.roll(y, 1)) - np.dot(y, np.roll(x, 1))) / 2
            found["segmentation"] = [points.ravel().tolist()]
        else:
            extent = values[2:4] * size
            low = values[:2] * size - extent / 2
            area = extent.prod()
        return found | {"bbox": [*low.tolist(), *extent.tolist()], "area": float(area)}


def _label_file(image: Path) -> Path:
    """Where an image's labels are: in the labels folder beside its images folder, or beside it."""
    parts = list(image.parts)
    if "images" in parts[:-1]:
        last = len(parts) - 2 - parts[:-1][::-1].index("images")
        sibling = Path(*parts[:last], "labels", *parts[last + 1 :]).with_suffix(".txt")
        if sibling.parent.is_dir():
            return sibling
    return image.with_suffix(".txt")
