"""YOLO: a label file for each image, and a data.yaml that names the classes and splits."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import yaml
from numpy.typing import NDArray

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
from centernet.data.formats.yolo_labels import note_orphans
from centernet.data.formats.yolo_reader import LabelReader
from centernet.errors import InputError

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
    readers: list[LabelReader] = []
    for name in description.entries:
        reader = LabelReader(name, description, notes if not splits else [])
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
    path: Path, names: Mapping[int, str] | None, readers: Sequence[LabelReader]
) -> None:
    """Raise InputError if the classes are numbered from 1 instead of 0."""
    unnamed = {number for reader in readers for number in reader.unnamed}
    if names and unnamed == {len(names)} and not any(reader.has_zero for reader in readers):
        raise InputError(
            f"{path}: the labels number the classes from 1 to {len(names)}, but YOLO begins at 0, "
            f"so that 0 is {names.get(0, '?')!r}: subtract 1 in the label files"
        )
