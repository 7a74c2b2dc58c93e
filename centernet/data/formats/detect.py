"""One door for every dataset: the format is recognised by looking at what is there."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from centernet.data.annotations import DatasetSplit, entries, truncate_list
from centernet.data.formats import coco, voc, yolo
from centernet.data.formats.splits import USUAL
from centernet.errors import InputError

# In the order in which they are tried; a folder may hold its annotations twice.
FORMATS = {"coco": coco, "voc": voc, "yolo": yolo}


def detect_format(source: str | Path) -> list[str]:
    """Names of the formats that a file or folder is in, the one to read first; empty for none."""
    source = Path(source)
    return [name for name, kind in FORMATS.items() if kind.find(source)]


def read_dataset(
    source: str | Path,
    *,
    only: Sequence[str] | None = None,
    rename: Mapping[str, str] | None = None,
) -> dict[str, DatasetSplit]:
    """Read a dataset of any known format; which one it is, is seen by looking.

    Args:
        source: a folder, or the file that describes the dataset.
        only: the classes to keep, by their old or new names; images without any of them stay.
        rename: new names by old ones; several classes of one new name become one.

    Returns:
        The splits by name. What is broken in the source is still in them, as far as COCO's format
        can hold it.

    Raises:
        InputError: there is nothing, or nothing that is known, or a class that is named is not
            there.
    """
    source = Path(source)
    if not source.exists():
        raise InputError(f"dataset {source} does not exist")
    try:
        return _read(source, only, rename)
    except OSError as error:
        place = error.filename or source
        raise InputError(f"cannot read {place}: {error.strerror or error}") from None


def _read(
    source: Path, only: Sequence[str] | None, rename: Mapping[str, str] | None
) -> dict[str, DatasetSplit]:
    formats = detect_format(source)
    if not formats:
        raise InputError(
            f"{source} is no dataset that is known: it should hold COCO JSON files, Pascal VOC XML "
            "files, or YOLO label files with a data.yaml (docs/data.md shows each)"
        )
    splits = FORMATS[formats[0]].read(source)
    if len(formats) > 1:
        note = f"{source}: read as {formats[0]}, though it looks like {formats[1]} too"
        splits[0].notes.insert(0, note)
    splits = choose_classes(splits, only=only, rename=rename)
    return {split.name: split for split in sorted(splits, key=_order)}


def _order(split: DatasetSplit) -> tuple[int, str]:
    return (USUAL.index(split.name) if split.name in USUAL else len(USUAL), split.name)


def choose_classes(
    splits: Sequence[DatasetSplit],
    *,
    only: Sequence[str] | None = None,
    rename: Mapping[str, str] | None = None,
) -> list[DatasetSplit]:
    """The splits with some of the classes, under other names; see :func:`read_dataset`.

    Raises:
        InputError: a class that is named is in none of the splits.
    """
    rename = dict(rename or {})
    if only is None and not rename:
        return list(splits)
    for split in splits:
        entries(split.source, split.coco, "annotations")
    categories = [c for s in splits for c in entries(s.source, s.coco, "categories")]
    names = list(dict.fromkeys(str(category["name"]) for category in categories))
    for name in [*rename, *(only or [])]:
        if name not in names and (name in rename or name not in rename.values()):
            raise InputError(f"there is no class {name!r} among {truncate_list(names, 20)}")
    return [_chosen(split, only, rename) for split in splits]


def _chosen(
    split: DatasetSplit, only: Sequence[str] | None, rename: Mapping[str, str]
) -> DatasetSplit:
    id_of_name: dict[str, Any] = {}
    new_id, categories = {}, []
    for category in split.coco["categories"]:
        old = str(category["name"])
        new = rename.get(old, old)
        if only is not None and not {old, new} & set(only):
            continue
        if new not in id_of_name:
            id_of_name[new] = category["id"]
            categories.append(category | {"name": new})
        new_id[category["id"]] = id_of_name[new]
    known = {category["id"] for category in split.coco["categories"]}
    annotations, left_out = [], 0
    for annotation in split.coco["annotations"]:
        category = annotation["category_id"]
        if category in new_id:
            annotations.append(annotation | {"category_id": new_id[category]})
        elif category in known:
            left_out += 1
        else:
            annotations.append(annotation)  # of no known class: broken, and to be seen
    notes = list(split.notes)
    if left_out:
        notes.append(f"{split.source}: left out {left_out} boxes of other classes")
    content = split.coco | {"categories": categories, "annotations": annotations}
    return DatasetSplit(split.name, split.images, content, split.source, notes)
