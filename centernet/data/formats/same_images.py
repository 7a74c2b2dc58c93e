"""Join the entries of an image that several annotation files describe, as one for each class."""

import os
from dataclasses import replace
from typing import Any

from centernet.data.annotations import DatasetSplit


def join_entries(split: DatasetSplit, files: str) -> DatasetSplit:
    """Join the entries of equal image files; identical boxes of two entries become one.

    Args:
        split: a split whose annotations have ``bbox``, ``image_id`` and ``category_id``.
        files: what the annotation files are, for the note.
    """
    id_of: dict[str, Any] = {}
    new_id: dict[Any, Any] = {}
    images = []
    for image in split.coco["images"]:
        name = os.path.normpath(image["file_name"])
        if name not in id_of:
            id_of[name] = image["id"]
            images.append(image)
        new_id[image["id"]] = id_of[name]
    joined = len(new_id) - len(images)
    if not joined:
        return split
    entry_of: dict[tuple[Any, ...], Any] = {}
    annotations = []
    for annotation in split.coco["annotations"]:
        entry = annotation["image_id"]
        key = new_id[entry], annotation["category_id"], *annotation["bbox"]
        # Twice in one file is a fault of that file, which check reports.
        if entry_of.setdefault(key, entry) == entry:
            annotations.append(annotation | {"image_id": new_id[entry]})
    removed = len(split.coco["annotations"]) - len(annotations)
    several = len({new_id[i] for i in new_id if new_id[i] != i})
    note = f"{split.images}: {several} images have several {files}, which are read together"
    note += f"; {removed} identical boxes are left out" if removed else ""
    content = split.coco | {"images": images, "annotations": annotations}
    return replace(split, coco=content, notes=[*split.notes, note])
