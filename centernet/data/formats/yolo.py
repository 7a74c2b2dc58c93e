"""YOLO: a label file for each image, and a data.yaml that names the classes and splits."""

from collections.abc import Iterable, Mapping, Sequence
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
    find_images,
    load_yaml,
    read_description,
)
from centernet.data.formats.image_finder import image_files
from centernet.data.formats.yolo_labels import note_orphans
from centernet.data.formats.yolo_layout import find_layout, read_layout
from centernet.data.formats.yolo_reader import LabelReader
from centernet.errors import InputError


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
    layout = find_layout(source)
    return [layout] if layout else []


def read(source: Path) -> list[DatasetSplit]:
    """Read a YOLO dataset. An image without a label file, or with an empty one, has no objects.

    Raises:
        InputError: the data.yaml does not describe a dataset, or names missing folders.
    """
    (path,) = find(source)
    notes: list[str] = []
    is_yaml = path.suffix.lower() in (".yaml", ".yml")
    description = (read_description if is_yaml else read_layout)(path, notes)
    splits: list[DatasetSplit] = []
    readers: list[LabelReader] = []
    listed: set[Path] = set()
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
        listed.update(files)
        splits.append(reader.read(folder, files))
        readers.append(reader)
    if description.names is None:
        _number_classes(splits, path)
    _check_first_number(path, description.names, readers)
    note_orphans(path if path.is_dir() else path.parent, splits)
    if not is_yaml:
        _note_unlisted(description.base, listed, splits[0].notes)
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


def _number_classes(splits: Sequence[DatasetSplit], path: Path) -> None:
    """Name the classes by their numbers."""
    used = {a["category_id"] for split in splits for a in split.coco["annotations"]}
    names = [{"id": i, "name": str(i - 1)} for i in range(1, max(used, default=0) + 1)]
    splits[0].notes.append(
        f"{path}: no file names the classes of the YOLO labels, so they are numbered: add a "
        "classes.txt with a name on each line"
    )
    for split in splits:
        split.coco["categories"] = names


def _note_unlisted(root: Path, listed: Iterable[Path], notes: list[str]) -> None:
    """Note the image files that no list and no folder of a split contains."""
    known = {path.resolve() for path in listed}
    others = [path for path in image_files(root) if path.resolve() not in known]
    if others:
        notes.append(
            f"{root}: {len(others)} images are in no split, left out, such as "
            f"{others[0].relative_to(root).as_posix()}"
        )


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
