"""YOLO: a label file for each image, and a data.yaml that names the classes and splits."""

import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import yaml
from numpy.typing import NDArray
from tqdm import tqdm

from centernet.data.annotations import DatasetSplit
from centernet.data.entries import is_ignore_region
from centernet.data.formats.base import (
    Format,
    annotations_by_image,
    class_names,
    clip_to_image,
    counted,
)
from centernet.data.formats.data_yaml import (
    SPLIT_KEYS,
    Description,
    find_images,
    load_yaml,
    read_darknet,
    read_description,
)
from centernet.data.formats.splits import first_folder, images_in, lines_of, split_name
from centernet.data.formats.yolo_labels import LabelFiles, note_orphans
from centernet.data.images import image_size
from centernet.errors import InputError
from centernet.files import read_text

_MAX_CLASSES = 10_000  # unnamed classes; larger numbers are errors
_DARKNET = "obj.data"
_CLASS_LISTS = ("classes.txt", "labels/classes.txt", "obj.names", "images/classes.txt")


def find(source: Path) -> list[Path]:
    """The data.yaml of a YOLO dataset, or its folder if it has only labels; empty for none."""
    if source.is_file():
        return [source] if source.suffix.lower() in (".yaml", ".yml") else []
    for path in sorted(source.glob("*.y*ml"), key=lambda p: (p.name != "data.yaml", p.name)):
        try:
            content = load_yaml(path)
        except InputError:
            if path.name == "data.yaml":
                return [path]  # to report its error; without it, the classes have no names
            continue
        if isinstance(content, dict) and "names" in content and content.keys() & set(SPLIT_KEYS):
            return [path]
    if (source / _DARKNET).is_file():
        return [source / _DARKNET]
    has_labels = next((p for d in ("labels", "*/labels") for p in source.glob(f"{d}/**/*.txt")), 0)
    return [source] if has_labels or _has_labels_beside_images(source) else []


def read(source: Path) -> list[DatasetSplit]:
    """Read a YOLO dataset. An image without a label file, or with an empty one, has no objects.

    Raises:
        InputError: the data.yaml does not describe a dataset, or names missing folders.
    """
    (path,) = find(source)
    notes: list[str] = []
    if path.is_dir():
        description = _folders(path, notes)
    else:
        read_file = read_darknet if path.name == _DARKNET else read_description
        description = read_file(path, notes)
    splits: list[DatasetSplit] = []
    readers: list[_LabelReader] = []
    for name in description.entries:
        reader = _LabelReader(name, description, notes if not splits else [])
        try:
            folder, files = find_images(description, name, reader.notes)
        except InputError as error:
            # Roboflow lists a test split even if it does not exist.
            if name != "test" or not splits:
                raise
            notes.append(f"{error}: left out 'test'")
            continue
        splits.append(reader.read(folder, files))
        readers.append(reader)
    if description.names is None:
        _number_classes(splits, path)
    _check_first_number(path, description.names, readers)
    note_orphans(path if path.is_dir() else path.parent, splits)
    return splits


def write(splits: Sequence[DatasetSplit], folder: Path) -> list[str]:
    """Write ``data.yaml``, and a label file for each image.

    Returns:
        What the format cannot represent, one line each.
    """
    names = class_names(splits)
    number_of_name = {name: number for number, name in enumerate(names)}
    regions = segmentations = clipped = 0
    for split in splits:
        number_of = {c["id"]: number_of_name[str(c["name"])] for c in split.coco["categories"]}
        for image, annotations in annotations_by_image(split):
            objects = [a for a in annotations if not is_ignore_region(a)]
            regions += len(annotations) - len(objects)
            segmentations += sum(bool(a.get("segmentation")) for a in objects)
            boxes, changed = clip_to_image(objects, image)
            clipped += changed
            numbers = [number_of[a["category_id"]] for a in objects]
            file = (folder / "labels" / split.name / image["file_name"]).with_suffix(".txt")
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(_label_lines(numbers, boxes, image))
    content = {s.name: f"images/{s.name}" for s in splits} | {"names": dict(enumerate(names))}
    (folder / "data.yaml").write_text(
        yaml.safe_dump(content, sort_keys=False, allow_unicode=True), encoding="utf-8"
    )
    return counted(
        {
            "crowd or ignore regions left out: they become background": regions,
            "segmentations left out, their boxes remain": segmentations,
            "boxes clipped to their image": clipped,
        }
    )


def _label_lines(
    numbers: Sequence[int], corners: NDArray[np.float64], image: dict[str, Any]
) -> str:
    """Lines of class number, center x, center y, width, height; as fractions of the image."""
    size = np.array([image["width"], image["height"]])
    low, high = corners[:, :2], corners[:, 2:]
    values = np.concatenate([(low + high) / 2 / size, (high - low) / size], axis=1)
    return "".join(
        f"{number} {' '.join(f'{value:.7f}' for value in row)}\n"
        for number, row in zip(numbers, values, strict=True)
    )


FORMAT = Format(
    name="yolo",
    files="YOLO label files with a data.yaml",
    detect=lambda source: bool(find(source)),
    read=read,
    write=write,
    image_folder="images/{}",
    has_ignore_regions=False,
    reserved_folders=("images",),  # the last one in a path locates the labels
)


def _has_labels_beside_images(source: Path) -> bool:
    """Whether a folder has a list of classes, and labels beside images, as labelImg writes them."""
    if not source.is_dir() or not (source / _CLASS_LISTS[0]).is_file():
        return False
    stems = {path.stem for path in source.glob("*.txt")}
    return any(path.stem in stems for path in images_in(source))


def _folders(root: Path, notes: list[str]) -> Description:
    """The splits and classes of a folder without a data.yaml."""
    found = {
        split_name(name): pattern.format(name)
        for pattern in ("images/{}", "{}/images")
        for name in SPLIT_KEYS
        if (root / pattern.format(name)).is_dir()
    }
    if not found:
        folder = first_folder(root, ("images",)) or root
        found = {"train": str(folder.relative_to(root))}
        notes.append(f"{root}: there are no split folders, so all images are read as 'train'")
    return Description(root, root, found, _listed_names(root))


def _listed_names(root: Path) -> dict[int, str] | None:
    """Class names by number from a classes.txt or obj.names; None without such a file."""
    lists = [root / name for name in _CLASS_LISTS if (root / name).is_file()]
    if not lists:
        return None
    names = [line.strip() for line in lines_of(lists[0])]
    while names and not names[-1]:
        names.pop()
    # An empty line counts, so that later classes keep their numbers.
    return {number: name or str(number) for number, name in enumerate(names)}


def _number_classes(splits: Sequence[DatasetSplit], path: Path) -> None:
    """Name the classes by their numbers."""
    used = {a["category_id"] for split in splits for a in split.coco["annotations"]}
    names = [{"id": i, "name": str(i - 1)} for i in range(1, max(used, default=0) + 1)]
    splits[0].notes.append(f"{path}: no classes.txt or data.yaml names the classes")
    for split in splits:
        split.coco["categories"] = names


def _check_first_number(
    path: Path, names: Mapping[int, str] | None, readers: "Sequence[_LabelReader]"
) -> None:
    """Raise InputError if the classes are numbered from 1 instead of 0."""
    unnamed = {number for reader in readers for number in reader.unnamed}
    if names and unnamed == {len(names)} and not any(reader.has_zero for reader in readers):
        raise InputError(
            f"{path}: the labels number the classes from 1 to {len(names)}, but YOLO begins at 0, "
            f"so that 0 is {names.get(0, '?')!r}: subtract 1 in the label files"
        )


class _LabelReader:
    """Reads the labels of one split.

    Args:
        split: name of the split.
        description: description of the dataset.
        notes: list to which omissions and changes are appended.
    """

    def __init__(self, split: str, description: Description, notes: list[str]) -> None:
        self.split, self.notes, self.source = split, notes, description.path
        self.names, self.has_keypoints = description.names, description.has_keypoints
        self.polygons = 0
        self.labels = LabelFiles(description.base)
        # Class numbers that no name has, and whether the number 0 occurs.
        self.unnamed, self.has_zero = set[int](), False

    def read(self, folder: Path, paths: Sequence[Path]) -> DatasetSplit:
        """Read the labels of image files in ``folder``."""
        images: list[dict[str, Any]] = []
        annotations: list[dict[str, Any]] = []
        unlabeled = []
        for path in tqdm(paths, f"reading {self.split}", delay=1, disable=None, leave=False):
            try:
                height, width = image_size(path)
            except InputError as error:
                self.notes.append(f"{path}: left out, {error}")
                continue
            name = Path(os.path.relpath(path, folder)).as_posix()
            image = {"id": len(images) + 1, "file_name": name, "width": width, "height": height}
            images.append(image)
            label_file = self.labels.find(path)
            if label_file is None or not label_file.is_file():
                unlabeled.append(label_file)
                continue
            for label in self._labels(label_file, width, height):
                number = {"id": len(annotations) + 1, "image_id": image["id"]}
                annotations.append(number | label)
        if unlabeled:
            self.notes.append(
                f"{folder}: {len(unlabeled)} of {len(images)} images have no label file and so no "
                f"objects, such as {unlabeled[0]}"
            )
        if self.polygons:
            self.notes.append(f"{folder}: {self.polygons} polygons are read as their boxes")
        categories = [{"id": i + 1, "name": name} for i, name in (self.names or {}).items()]
        content = {"images": images, "annotations": annotations, "categories": categories}
        return DatasetSplit(self.split, folder, content, self.source, self.notes)

    def _labels(self, path: Path, width: int, height: int) -> Iterator[dict[str, Any]]:
        """The labels of a file as COCO annotations without ids; note invalid lines."""
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

    def _label(self, words: list[str], size: NDArray[np.int64]) -> dict[str, Any]:
        """One line as a COCO annotation; ``size`` is (width, height) of the image."""
        numbers = np.array([float(word) for word in words])
        label, values = numbers[0], numbers[1:]
        is_number = not label % 1 and 0 <= label < _MAX_CLASSES
        self.has_zero |= label == 0
        if is_number and self.names is not None and label not in self.names:
            self.unnamed.add(int(label))
        if not (is_number if self.names is None else label in self.names):
            raise ValueError(f"there is no class {words[0]}")
        is_polygon = len(values) >= 6 and len(values) % 2 == 0 and not self.has_keypoints
        if not (len(values) == 4 or is_polygon or (self.has_keypoints and len(values) > 4)):
            raise ValueError("it is neither a class and a box nor a class and a polygon")
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
