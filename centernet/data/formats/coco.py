"""COCO JSON: reads the layouts of COCO, Roboflow, CVAT and FiftyOne, or a single file."""

import json
import os
from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, BinaryIO

from centernet.data.annotations import (
    MAX_JSON,
    PLACEHOLDER,
    DatasetSplit,
    load_json,
    placeholder_category,
)
from centernet.data.entries import entry_error, is_file_name
from centernet.data.formats.base import Format
from centernet.data.formats.coco_repair import drop_outline, repair
from centernet.data.formats.image_finder import ImageFinder
from centernet.data.formats.prepare import merge
from centernet.data.formats.splits import USUAL_SPLITS, dataset_folder, split_name
from centernet.errors import InputError
from centernet.files import open_regular

# Annotations of other tasks, which lie beside those of boxes in COCO's own folder.
_KEYPOINTS = "person_keypoints_"
_OTHER_TASKS = ("captions_", _KEYPOINTS, "panoptic_", "stuff_", "image_info_", "lvis_")
_IMAGE_FOLDERS = ("images", "Images", "data", "JPEGImages", ".")
_SAMPLE = 20  # images that decide which folder is the images' folder
_PART, _OVERLAP = 1 << 22, 64  # bytes of a file that are searched at once


def find(root: Path) -> list[Path]:
    """The files of a dataset that may be COCO JSON, from the first place that has any."""
    if root.is_file():
        return [root] if root.suffix.lower() == ".json" else []
    for pattern in ("[aA]nnotations/*.json", "*.json", "*/*.json", "*/[aA]nnotations/*.json"):
        everything = sorted(p for p in root.glob(pattern) if not p.name.startswith("."))
        files = [p for p in everything if not p.name.startswith(_OTHER_TASKS)]
        instances = [p for p in files if p.name.startswith("instances_")]
        # Annotations of keypoints have boxes, too.
        keypoints = [p for p in everything if p.name.startswith(_KEYPOINTS)]
        for candidates in (instances or files, keypoints):
            if found := [p for p in candidates if _is_coco(p)]:
                return found
    return []


def read(source: Path, *, outlines: bool = True) -> list[DatasetSplit]:
    """Read a file, or the files that :func:`find` finds in a folder.

    Args:
        source: file or folder.
        outlines: as in :func:`read_file`.

    Raises:
        InputError: a file is not COCO JSON.
    """
    files = find(source)
    splits: dict[str, DatasetSplit] = {}
    if len(files) > 1 and not any(split_name(path.stem) in USUAL_SPLITS for path in files):
        return _parts_of_one_split(files, source, outlines)
    for path in files:
        root = None if source.is_file() else source
        split = read_file(path, root=root, outlines=outlines)
        if split.name in splits:
            # Two files of one split, such as instances_train.json and more_train.json.
            parts = path.relative_to(source).with_suffix("").parts
            name = path.stem if path.stem not in splits else "_".join(parts)
            split = replace(split, name=name)
        splits[split.name] = split
    return list(splits.values())


def _parts_of_one_split(files: Sequence[Path], source: Path, outlines: bool) -> list[DatasetSplit]:
    """Read several files without split names, and merge them."""
    splits = [read_file(path, root=source, outlines=outlines) for path in files]
    names = {split.name for split in splits}
    if names & set(USUAL_SPLITS) - {"train"}:
        return splits
    merged = merge("train", splits)
    notes = [f"{source}: {len(files)} files name no split, so they are read together as 'train'"]
    return [replace(merged, notes=[*notes, *merged.notes])]


def read_file(
    path: Path, *, images: Path | None = None, root: Path | None = None, outlines: bool = True
) -> DatasetSplit:
    """Read one COCO file.

    Args:
        path: COCO JSON.
        images: folder of its images; by default the folder that contains them is searched.
        root: folder of the dataset; by default derived from ``path``.
        outlines: keep the segmentations of objects. Without them a file takes a third of the
            memory; those that contradict their box are kept anyway.

    Raises:
        InputError: the file is not COCO JSON.
    """
    content = load_json(path, object_hook=None if outlines else drop_outline)
    for part in ("images", "categories"):
        if not (isinstance(content, dict) and isinstance(content.get(part), list)):
            raise InputError(f"{path} is not COCO JSON: it has no list {part!r}")
    folder = dataset_folder(path)
    root = root or folder
    notes: list[str] = []
    repair(path, content, notes)
    if not isinstance(content["annotations"], list):
        raise InputError(f"{path} is not COCO JSON: it has no list 'annotations'")
    names = [split_name(path.stem), split_name(folder.name) if folder != root else ""]
    name = next((n for n in names if n in USUAL_SPLITS), names[0] or names[1])
    if not name:
        notes.append(f"{path}: the name contains no split, so it is read as 'train'")
    if images is None or not _has_images(images, content["images"]):
        candidate = images or _image_folder(path, folder, name, content["images"])
        split = name if name in USUAL_SPLITS else ""
        images = _resolve_names(path, root, candidate, split, content["images"], notes)
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
    read_boxes=partial(read, outlines=False),
    write=write,
    image_folder="{}",
    has_points=True,
    any_image_paths=True,
)


def _has_images(folder: Path, images: Sequence[Any]) -> bool:
    """Whether a folder contains a sample of the images."""
    sample = images[:: max(1, len(images) // _SAMPLE)]
    names = [image.get("file_name") for image in sample if isinstance(image, dict)]
    return all(is_file_name(name) and (folder / str(name)).is_file() for name in names)


def _resolve_names(
    path: Path, root: Path, folder: Path, split: str, images: Sequence[Any], notes: list[str]
) -> Path:
    """Replace names of other machines by those of the files that they mean.

    Returns:
        The folder that all names are relative to: ``folder``, or the dataset's folder.
    """
    finder, places = ImageFinder(root, split), (folder, path.parent, root)
    found = [
        (image, finder.find(name, places))
        for image in images
        if isinstance(image, dict) and isinstance(name := image.get("file_name"), str)
    ]
    direct = sum(file == folder / image["file_name"] for image, file in found)
    if 2 * direct > len(found):
        # The folder is right, so that images that are not in it are missing.
        found = [(i, f if f and f.is_relative_to(folder) else None) for i, f in found]
    if found and not any(file for _, file in found):
        notes.append(f"{path}: no image was found, such as {found[0][0]['file_name']} in {folder}")
    if all(file in (None, folder / image["file_name"]) for image, file in found) and all(
        is_file_name(image["file_name"]) for image, file in found if file
    ):
        return folder
    notes += finder.note(path)
    for image, file in found:
        if file is not None and file.is_relative_to(root):
            image["file_name"] = file.relative_to(root).as_posix()
    return root


def _is_coco(path: Path) -> bool:
    """Whether a file names the lists of COCO; it is only read as far as needed."""
    missing = {b'"images"', b'"categories"'}
    try:
        with open_regular(path) as file:
            for part in _parts(file):
                missing = {name for name in missing if name not in part}
                if not missing:
                    return True
    except OSError:
        pass
    return False


def _parts(file: BinaryIO) -> Iterator[bytes]:
    """Overlapping parts of a file without null bytes (of UTF-16); the last part comes second.

    The lists of COCO have any order, so their names can be anywhere, but usually a name is near
    the start or the end.
    """
    size = file.seek(0, os.SEEK_END)
    starts = range(0, size if size <= MAX_JSON else 0, _PART)
    for start in [*starts[:1], *starts[:0:-1]]:
        file.seek(start)
        yield file.read(_PART + _OVERLAP).replace(b"\0", b"")


def _image_folder(path: Path, folder: Path, name: str, images: Sequence[Any]) -> Path:
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
    return best if found[best] else next(c for c in [*candidates, folder] if c.is_dir())
