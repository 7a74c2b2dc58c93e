"""COCO JSON: reads the layouts of COCO, Roboflow, CVAT and FiftyOne, or a single file."""

import json
import os
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path, PurePath
from typing import Any

from centernet.data.annotations import (
    MAX_JSON,
    PLACEHOLDER,
    DatasetSplit,
    load_json,
    placeholder_category,
)
from centernet.data.entries import entry_error
from centernet.data.formats.base import Format
from centernet.data.formats.splits import USUAL_SPLITS, dataset_folder, split_name
from centernet.errors import InputError
from centernet.files import read_bytes

# Annotations of other tasks, which lie beside those of boxes in COCO's own folder.
_OTHER_TASKS = ("captions_", "person_keypoints_", "panoptic_", "stuff_", "image_info_", "lvis_")
_IMAGE_FOLDERS = ("images", "Images", "data", "JPEGImages", ".")
_SAMPLE = 20  # images that decide which folder is the images' folder


def find(root: Path) -> list[Path]:
    """The files of a dataset that may be COCO JSON, from the first place that has any."""
    if root.is_file():
        return [root] if root.suffix.lower() == ".json" else []
    for pattern in ("[aA]nnotations/*.json", "*.json", "*/*.json", "*/[aA]nnotations/*.json"):
        files = sorted(p for p in root.glob(pattern) if not p.name.startswith(_OTHER_TASKS))
        instances = [p for p in files if p.name.startswith("instances_")]
        found = [p for p in instances or files if _is_coco(p)]
        if found:
            return found
    return []


def read(source: Path) -> list[DatasetSplit]:
    """Read a file, or the files that :func:`find` finds in a folder.

    Raises:
        InputError: a file is not COCO JSON.
    """
    files = find(source)
    splits: dict[str, DatasetSplit] = {}
    for path in files:
        split = read_file(path, root=None if source.is_file() else source)
        if split.name in splits:
            # Two files of one split, such as instances_train.json and more_train.json.
            parts = path.relative_to(source).with_suffix("").parts
            name = path.stem if path.stem not in splits else "_".join(parts)
            split = replace(split, name=name)
        splits[split.name] = split
    return list(splits.values())


def read_file(path: Path, *, images: Path | None = None, root: Path | None = None) -> DatasetSplit:
    """Read one COCO file.

    Args:
        path: COCO JSON.
        images: folder of its images; by default the folder that contains them is searched.
        root: folder of the dataset; by default derived from ``path``.

    Raises:
        InputError: the file is not COCO JSON.
    """
    content = load_json(path)
    for part in ("images", "annotations", "categories"):
        if not (isinstance(content, dict) and isinstance(content.get(part), list)):
            raise InputError(f"{path} is not COCO JSON: it has no list {part!r}")
    folder = dataset_folder(path)
    root = root or folder
    notes: list[str] = []
    names = [split_name(path.stem), split_name(folder.name) if folder != root else ""]
    name = next((n for n in names if n in USUAL_SPLITS), names[0] or names[1])
    if not name:
        notes.append(f"{path}: the name contains no split, so it is read as 'train'")
    if images is None:
        base = _rebase(path, root, content["images"], notes)
        images = base or _image_folder(path, folder, name, content["images"], notes)
    if group := placeholder_category(content):
        content["categories"].remove(group)
        notes.append(f"{path}: left out class {group['name']!r}, {PLACEHOLDER}")
    return DatasetSplit(name or "train", images, content, path, notes)


def write(splits: Sequence[DatasetSplit], folder: Path) -> list[str]:
    """Write ``annotations/instances_SPLIT.json``; nothing is lost."""
    (folder / "annotations").mkdir()
    for split in splits:
        path = folder / "annotations" / f"instances_{split.name}.json"
        try:
            path.write_text(json.dumps(split.coco))
        except RecursionError:
            raise InputError(
                f"{split.source} is nested too deeply to be written: remove the nested fields"
            ) from None
    return []


FORMAT = Format(
    name="coco",
    files="COCO JSON files",
    detect=lambda source: bool(find(source)),
    read=read,
    write=write,
    image_folder="{}",
    any_image_paths=True,
)


def _rebase(path: Path, root: Path, images: Sequence[Any], notes: list[str]) -> Path | None:
    """Make file names that are absolute or begin with ``..`` relative to the dataset's folder.

    Only names of files inside that folder change; others are rejected later as invalid entries.

    Returns:
        The dataset's folder, which all names are then relative to; None if no name changed.
    """
    names = [i["file_name"] for i in images if isinstance(i, dict) and _leads_outside(i)]
    top = os.path.abspath(root)
    for base in dict.fromkeys((path.parent, path.parent.parent, root)):
        files = (os.path.normpath(os.path.join(os.path.abspath(base), name)) for name in names)
        if any(PurePath(file).is_relative_to(top) and os.path.isfile(file) for file in files):
            break
    else:
        return None
    for image in images:
        if isinstance(image, dict) and isinstance(name := image.get("file_name"), str):
            file = PurePath(os.path.normpath(os.path.join(os.path.abspath(base), name)))
            if "\0" not in name and file.is_relative_to(top):
                image["file_name"] = file.relative_to(top).as_posix()
    notes.append(f"{path}: file names such as {names[0]} are read relative to {root}")
    return root


def _leads_outside(image: dict[str, Any]) -> bool:
    """Whether a file name is absolute or begins with ``..``, and is valid otherwise."""
    name = image.get("file_name")
    if not isinstance(name, str) or "\0" in name:
        return False
    return os.path.isabs(name) or os.path.normpath(name).split(os.sep)[0] == ".."


def _is_coco(path: Path) -> bool:
    # The lists have any order, so their names can be anywhere in a large file.
    try:
        content = read_bytes(path, MAX_JSON)
    except OSError:
        return False
    return all(f'"{part}"'.encode() in content for part in ("images", "annotations", "categories"))


def _image_folder(
    path: Path, folder: Path, name: str, images: Sequence[Any], notes: list[str]
) -> Path:
    """The folder that contains most of the first images."""
    names = [i["file_name"] for i in images if not entry_error("images", i)]
    stem = path.stem.removeprefix("instances_")
    parts = [stem, name, *(["valid"] if name == "val" else [])]
    candidates = [
        *(folder / part for part in parts if part),
        *(folder / images / part for images in ("images", "Images") for part in parts if part),
        *(folder / part / "images" for part in parts if part),
        *(folder / images for images in _IMAGE_FOLDERS),
        path.parent,
        path.parent / "images",
    ]
    found = {c: sum((c / n).is_file() for n in names[:_SAMPLE]) for c in candidates}
    best = max(candidates, key=found.__getitem__)
    if not found[best]:
        best = next(c for c in [*candidates, folder] if c.is_dir())
        if names:
            notes.append(f"{path}: no image was found, such as {names[0]} in {best}")
    return best
