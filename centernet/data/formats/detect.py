"""Detect the format of a dataset, read it, and select its classes."""

from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

from centernet.data.annotations import DatasetSplit, entries, truncate_list
from centernet.data.entries import is_ignore_region
from centernet.data.formats import (
    coco,
    csv_boxes,
    cvat_xml,
    datumaro,
    keras_txt,
    label_studio,
    labelme,
    oidv4,
    via,
    voc,
    yolo,
)
from centernet.data.formats.base import Format
from centernet.data.formats.discover import Location, locate, unwrap
from centernet.data.formats.repair import repair as repair_splits
from centernet.data.formats.splits import USUAL_SPLITS
from centernet.data.formats.unread import unread_content
from centernet.errors import InputError
from centernet.files import require_existing

_EXPORTS = (coco, voc, keras_txt, yolo)
_TOOLS = (labelme, via, datumaro, label_studio, cvat_xml, csv_boxes, oidv4)
# In the order of detection; a folder can be in several formats. A new format is added here.
FORMATS: dict[str, Format] = {module.FORMAT.name: module.FORMAT for module in (*_EXPORTS, *_TOOLS)}
WRITERS = {name: format.write for name, format in FORMATS.items() if format.write}


def detect_format(source: str | Path) -> list[str]:
    """Names of the formats that match a file or folder; the first one is used.

    The dataset may lie below the folder, see :func:`.locate`.

    Raises:
        InputError: the folder contains several datasets.
    """
    return list(_locate(Path(source)).formats)


def _locate(source: Path) -> Location:
    return locate(source, _formats_of, _exports_of)


def _formats_of(source: Path) -> list[str]:
    """Names of the formats that match a file or folder itself.

    The files of annotation tools often lie beside an export: in a folder, their formats are tried
    if no other one matches. For a file, they are tried first, because every JSON file may be
    COCO's.
    """
    tools = (name for name, f in FORMATS.items() if f.is_tool and f.detect(source))
    first, second = (
        (tools, _exports_of(source)) if source.is_file() else (_exports_of(source), tools)
    )
    return list(first) or list(second)


def _exports_of(source: Path) -> list[str]:
    """The same without the formats of annotation tools."""
    return [name for name, f in FORMATS.items() if not f.is_tool and f.detect(source)]


def read_dataset(
    source: str | Path,
    *,
    classes: Sequence[str] | None = None,
    rename: Mapping[str, str] | None = None,
    repair: bool = False,
    outlines: bool = True,
) -> dict[str, DatasetSplit]:
    """Read a dataset; its format is detected.

    Args:
        source: a folder, or the file that describes the dataset.
        classes: classes to keep, by their old or new names; images without them are kept.
        rename: new names by old names; classes of equal new names become one class.
        repair: repair the faults of :mod:`centernet.data.formats.repair` instead of noting them.
        outlines: keep the segmentations of objects, which take most of the memory.

    Returns:
        The splits by name, not validated yet, see :class:`.DatasetSplit`.

    Raises:
        InputError: the source does not exist, is in no known format, or lacks a selected class.
    """
    source = Path(source)
    require_existing(source, "dataset")
    try:
        splits = repair_splits(_read(source, classes, rename, outlines), apply=repair)
        if not outlines:
            drop_outlines(splits)
        return {split.name: split for split in splits}
    except OSError as error:
        place = error.filename or source
        raise InputError(f"cannot read {place}: {error.strerror or error}") from None


def _read(
    given: Path,
    classes: Sequence[str] | None,
    rename: Mapping[str, str] | None,
    outlines: bool,
) -> list[DatasetSplit]:
    """Read a dataset in the first format that is detected."""
    source, formats, note = _locate(given)
    if not formats:
        raise InputError(why_unknown(given))
    detected = FORMATS[formats[0]]
    read = detected.read if outlines else detected.read_boxes or detected.read
    splits = read(source)
    if len(formats) > 1:
        also = f"{source}: read as {formats[0]}, but it is also {formats[1]}"
        splits[0].notes.insert(0, also)
    if note:
        splits[0].notes.insert(0, note)
    splits = choose_classes(splits, classes=classes, rename=rename)
    return sorted(splits, key=_order)


def why_unknown(source: Path) -> str:
    """Why a file or folder is not read: what it contains, or what it should contain."""
    if not source.exists():
        return f"{source} does not exist"
    if source.is_dir() and not any(source.iterdir()):
        return f"{source} is empty"
    if content := unread_content(unwrap(source)):
        return f"{source} contains {content} (docs/data.md)"
    *others, last = (format.files for format in FORMATS.values())
    return (
        f"{source} is not a dataset of a known format, nor is a folder below it: it should contain "
        f"{', '.join(others)} or {last} (docs/data.md)"
    )


def drop_outlines(splits: Iterable[DatasetSplit]) -> None:
    """Drop the segmentations of objects in place; those of ignore regions are kept."""
    for annotation in (a for split in splits for a in split.coco["annotations"]):
        if isinstance(annotation, dict) and "segmentation" in annotation:
            # An error of the flags is reported later.
            with suppress(InputError):
                if not is_ignore_region(annotation):
                    del annotation["segmentation"]


def _order(split: DatasetSplit) -> tuple[int, str]:
    return (
        USUAL_SPLITS.index(split.name) if split.name in USUAL_SPLITS else len(USUAL_SPLITS),
        split.name,
    )


def choose_classes(
    splits: Sequence[DatasetSplit],
    *,
    classes: Sequence[str] | None = None,
    rename: Mapping[str, str] | None = None,
) -> list[DatasetSplit]:
    """Select and rename classes of splits; arguments as in :func:`read_dataset`.

    Raises:
        InputError: no split has a class that is selected or renamed.
    """
    rename = dict(rename or {})
    if classes is None and not rename:
        return list(splits)
    for split in splits:
        entries(split.source, split.coco, "annotations")
    categories = [c for s in splits for c in entries(s.source, s.coco, "categories")]
    names = list(dict.fromkeys(str(category["name"]) for category in categories))
    for name in [*rename, *(classes or [])]:
        if name not in names and (name in rename or name not in rename.values()):
            raise InputError(f"there is no class {name!r} among {truncate_list(names, 20)}")
    return [_with_classes(split, classes, rename) for split in splits]


def _with_classes(
    split: DatasetSplit, classes: Sequence[str] | None, rename: Mapping[str, str]
) -> DatasetSplit:
    """One split with selected and renamed classes."""
    id_of_name: dict[str, Any] = {}
    new_id, categories = {}, []
    for category in split.coco["categories"]:
        old = str(category["name"])
        new = rename.get(old, old)
        if classes is not None and not {old, new} & set(classes):
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
            annotations.append(annotation)  # of an unknown class; validation reports it
    notes = list(split.notes)
    if left_out:
        notes.append(f"{split.source}: left out {left_out} boxes of other classes")
    content = split.coco | {"categories": categories, "annotations": annotations}
    return replace(split, coco=content, notes=notes)
