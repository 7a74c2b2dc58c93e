"""COCO JSON in the layouts it is found in: COCO's own, Roboflow's, CVAT's, a single file."""

import os
from collections import Counter
from collections.abc import Sequence
from pathlib import Path, PurePath
from typing import Any

from centernet.data.annotations import MAX_JSON, DatasetSplit, load_json
from centernet.data.entries import entry_error
from centernet.data.formats.splits import USUAL, split_name
from centernet.errors import InputError
from centernet.files import read_bytes

# COCO's own folder also holds annotations that are not boxes, of the same images.
_OTHER_TASKS = ("captions_", "person_keypoints_", "panoptic_", "stuff_", "image_info_", "lvis_")
_IMAGE_FOLDERS = ("images", "Images", "data", "JPEGImages", ".")
_LOOKED_FOR = 20  # images whose files decide which folder is the one


def find(root: Path) -> list[Path]:
    """The files of a folder that may hold COCO annotations, from the first place that has any."""
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
    """Read a file, or those that :func:`find` finds in a folder.

    Raises:
        InputError: a file is not COCO.
    """
    files = find(source)
    splits: dict[str, DatasetSplit] = {}
    for path in files:
        split = read_file(path, root=None if source.is_file() else source)
        if split.name in splits:
            # Two files of one split, as instances_train.json and more_train.json.
            parts = path.relative_to(source).with_suffix("").parts
            name = path.stem if path.stem not in splits else "_".join(parts)
            split = DatasetSplit(name, split.images, split.coco, path, split.notes)
        splits[split.name] = split
    return _without_placeholders(list(splits.values()))


def read_file(path: Path, *, images: Path | None = None, root: Path | None = None) -> DatasetSplit:
    """Read one COCO file.

    Args:
        path: COCO JSON.
        images: folder of its images; by default looked for in and around the file's folder.
        root: folder of the dataset; by default guessed from ``path``.

    Raises:
        InputError: the file is not JSON in COCO's format.
    """
    content = load_json(path)
    missing = [part for part in ("images", "annotations", "categories") if not _list(content, part)]
    if missing:
        raise InputError(f"{path} is not in COCO's format: it has no list {missing[0]!r}")
    in_annotations = path.parent.name.lower() == "annotations"
    root = root or (path.parents[1] if in_annotations else path.parent)
    folder = path.parents[1] if in_annotations else path.parent
    notes = []
    names = [split_name(path.stem), split_name(folder.name) if folder != root else ""]
    name = next((n for n in names if n in USUAL), names[0] or names[1])
    if not name:
        notes.append(f"{path}: names no split, so it is taken as 'train'")
    if images is None:
        base = _rebase(path, root, content["images"], notes)
        images = base or _image_folder(path, folder, name, content["images"], notes)
    return DatasetSplit(name or "train", images, content, path, notes)


def _rebase(path: Path, root: Path, images: Sequence[Any], notes: list[str]) -> Path | None:
    """Make file names that are absolute or begin with ``..`` relative to the dataset's folder.

    Only those of files that exist inside that folder; others are left as they are, and refused as
    invalid entries.

    Returns:
        The dataset's folder, to which all names are then relative; None if no name was changed.
    """
    names = [i["file_name"] for i in images if isinstance(i, dict) and _leads_out(i)]
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
    notes.append(f"{path}: file names as {names[0]} are read relative to {root}")
    return root


def _leads_out(image: dict[str, Any]) -> bool:
    """Whether the file name is absolute or begins with ``..``, and otherwise valid."""
    name = image.get("file_name")
    if not isinstance(name, str) or "\0" in name:
        return False
    return os.path.isabs(name) or os.path.normpath(name).split(os.sep)[0] == ".."


def _is_coco(path: Path) -> bool:
    # The lists may stand in any order; their names stand in any part of a large file.
    try:
        content = read_bytes(path, MAX_JSON)
    except OSError:
        return False
    return all(f'"{part}"'.encode() in content for part in ("images", "annotations", "categories"))


def _list(content: Any, part: str) -> bool:
    return isinstance(content, dict) and isinstance(content.get(part), list)


def _image_folder(
    path: Path, folder: Path, name: str, images: Sequence[Any], notes: list[str]
) -> Path:
    """The folder in which most of the first images are."""
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
    there = {c: sum((c / n).is_file() for n in names[:_LOOKED_FOR]) for c in candidates}
    best = max(candidates, key=there.__getitem__)
    if not there[best]:
        best = next(c for c in [*candidates, folder] if c.is_dir())
        if names:
            notes.append(f"{path}: none of its images was found, as {names[0]} in {best}")
    return best


def _without_placeholders(splits: list[DatasetSplit]) -> list[DatasetSplit]:
    """Leave out the group that Roboflow writes as if it were a class, the parent of all others."""
    for split in splits:
        categories, annotations = split.coco["categories"], split.coco["annotations"]
        if any(entry_error("categories", category) for category in categories):
            continue
        children = Counter(p for c in categories if isinstance(p := c.get("supercategory"), str))
        for group in categories:
            own = group.get("supercategory") == group["name"]
            others = len(categories) - 1
            if not others or children[group["name"]] - own < others:
                continue
            valid = (a for a in annotations if not entry_error("annotations", a))
            if not any(a["category_id"] == group["id"] for a in valid):
                split.coco["categories"] = [c for c in categories if c is not group]
                split.notes.append(
                    f"{split.source}: left out class {group['name']!r}, the group of all others"
                )
    return splits
