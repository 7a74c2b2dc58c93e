"""Convert a dataset between formats."""

import itertools
import os
import re
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath

from centernet.data.annotations import DatasetSplit, truncate_list
from centernet.data.entries import is_ignore_region
from centernet.data.formats.base import Format, class_names
from centernet.data.formats.detect import FORMATS, WRITERS, read_dataset
from centernet.data.formats.image_files import IMAGES, check_images, place_images
from centernet.data.formats.prepare import clean, without_points
from centernet.data.formats.split_validation import split_validation
from centernet.data.formats.splits import dataset_folder
from centernet.data.points import is_point
from centernet.errors import InputError

REPORT = "conversion.txt"
# Bytes of a file name that are not UTF-8, as Python decodes them.
_NOT_UTF8 = re.compile("[\udc80-\udcff]")


@dataclass(frozen=True)
class Conversion:
    """Result of a conversion.

    Attributes:
        output: folder of the new dataset.
        format: format of the new dataset.
        splits: the written splits, with the old names of the images.
        messages: what was changed, guessed, left out or lost, one line each.
    """

    output: Path
    format: str
    splits: list[DatasetSplit]
    messages: list[str]

    def __str__(self) -> str:
        """The counts, as a table."""
        names = class_names(self.splits)
        lines = [f"{self.output} ({self.format}), {len(names)} classes: {truncate_list(names, 10)}"]
        for split in self.splits:
            regions = sum(map(is_ignore_region, split.coco["annotations"]))
            points = sum(map(is_point, split.coco["annotations"]))
            boxes = len(split.coco["annotations"]) - regions - points
            line = f"{split.name:>8} {len(split.coco['images']):7} images {boxes:8} boxes"
            line += f" {points:8} points" if points else ""
            shown = regions if FORMATS[self.format].has_ignore_regions else 0
            lines.append(line + (f" {shown:6} ignore regions" if shown else ""))
        return "\n".join(lines)


def convert_dataset(
    source: str | Path | Sequence[DatasetSplit],
    output: str | Path,
    *,
    format: str = "coco",
    classes: Sequence[str] | None = None,
    rename: Mapping[str, str] | None = None,
    images: str = "copy",
    follow_links: bool = False,
    val_fraction: float | None = None,
    group_by: str | None = None,
    image_folder: str | None = None,
    repair: bool = False,
) -> Conversion:
    """Write a dataset in another format, or a cleaned copy in the same format.

    The output folder is created atomically. Its ``conversion.txt`` lists what was changed.

    Args:
        source: a dataset that :func:`centernet.data.formats.read_dataset` reads, or its splits.
        output: a new or empty folder.
        format: ``coco``, ``yolo`` or ``voc``.
        classes: classes to keep, by their old or new names.
        rename: new names of classes by old names.
        images: ``copy`` (needs no space if the file system can share blocks), ``link`` (hard links,
            copies where that is not possible: changing a file in place changes the source, too) or
            ``none`` (annotations alone).
        follow_links: also take images outside of the source's folder.
        val_fraction: fraction of the training images to move to a new validation split, see
            :func:`centernet.data.formats.split_validation.split_validation`.
        group_by: regular expression; training images with equal matches in their file names stay in
            one split.
        image_folder: folder of the images of all splits, instead of the format's.
        repair: repair the faults of :mod:`centernet.data.formats.repair`.

    Raises:
        InputError: an option is invalid, the source is unusable, images are missing, damaged or
            outside of the source's folder, or the output exists or cannot be written.
    """
    output = Path(output)
    _check_options(output, format, images, val_fraction, group_by)
    root = None
    if isinstance(source, str | Path):
        root = dataset_folder(Path(source))
        splits = read_dataset(source, classes=classes, rename=rename, repair=repair)
        source = list(splits.values())
    kept, messages = _clean(source, FORMATS[format])
    if images != "none":
        check_images(kept, root, follow_links=follow_links)
    if val_fraction is not None:
        kept, about = split_validation(kept, val_fraction, group_by=group_by)
        messages += about
    try:
        messages += _write(
            kept, output, FORMATS[format], images=images, place=image_folder, so_far=messages
        )
    except OSError as error:
        raise InputError(f"cannot write {output}: {error.strerror or error}") from None
    return Conversion(output, format, kept, messages)


def _check_options(
    output: Path, format: str, images: str, val_fraction: float | None, group_by: str | None
) -> None:
    """Raise InputError for invalid options, and for an existing output."""
    for name, value, known in (("format", format, tuple(WRITERS)), ("images", images, IMAGES)):
        if value not in known:
            raise InputError(f"{name} must be one of {', '.join(known)}, got {value!r}")
    if group_by is not None and val_fraction is None:
        raise InputError(f"--group-by {group_by!r} has no effect without --val-fraction: give both")
    if output.exists() and not (output.is_dir() and not any(output.iterdir())):
        raise InputError(f"{output} exists and is not empty: choose another folder or remove it")


def _clean(splits: Sequence[DatasetSplit], format: Format) -> tuple[list[DatasetSplit], list[str]]:
    """The cleaned splits, without what the format cannot represent, and all notes about them."""
    cleaned = [clean(split) for split in splits]
    messages = [note for split in splits for note in split.notes]
    messages += [f"{split.name}: {line}" for split, dropped in cleaned for line in dropped]
    kept = [split for split, _ in cleaned]
    if not format.has_points:
        reduced = [without_points(split) for split in kept]
        kept = [split for split, _ in reduced]
        messages += [line for _, lost in reduced for line in lost]
    return kept, messages


def _write(
    splits: Sequence[DatasetSplit],
    output: Path,
    format: Format,
    *,
    images: str,
    place: str | None,
    so_far: Sequence[str],
) -> list[str]:
    """Write to a folder beside ``output``, then rename it; return what was lost."""
    place = place or format.image_folder
    output.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=output.parent, prefix=f".{output.name}-") as scratch:
        folder = Path(scratch, "new")
        folder.mkdir()
        keep_names = images == "none" and format.any_image_paths
        flat = "{}" not in place
        renamed = (
            splits
            if keep_names
            else _with_file_names(splits, flat=flat, without=format.reserved_folders)
        )
        messages = WRITERS[format.name](renamed, folder)
        if images == "none":
            messages.append(f"no images are written; they are in {_folders(splits)}")
        else:
            messages += place_images(_pairs(splits, renamed, folder, place), images)
        if report := [*so_far, *messages]:
            text = "".join(f"{line}\n" for line in report)
            (folder / REPORT).write_text(text, encoding="utf-8", errors="backslashreplace")
        if output.exists():
            output.rmdir()
        folder.rename(output)
    return messages


def _folders(splits: Sequence[DatasetSplit]) -> str:
    return ", ".join(dict.fromkeys(str(split.images) for split in splits))


def _pairs(
    splits: Sequence[DatasetSplit], renamed: Sequence[DatasetSplit], folder: Path, place: str
) -> list[tuple[Path, Path]]:
    """Each image file, and its path in the new dataset."""
    return [
        (old.images / before["file_name"], folder / place.format(new.name) / after["file_name"])
        for old, new in zip(splits, renamed, strict=True)
        for before, after in zip(old.coco["images"], new.coco["images"], strict=True)
    ]


def _with_file_names(
    splits: Sequence[DatasetSplit], *, flat: bool, without: Sequence[str] = ()
) -> list[DatasetSplit]:
    """Make the names of images safe, and unique without their suffix.

    Args:
        splits: splits with the images to rename.
        flat: whether all images go to one folder.
        without: folders to leave out of the names.
    """
    renamed: list[DatasetSplit] = []
    taken: set[str] = set()
    for split in splits:
        if not flat:
            taken = set()
        entries = []
        for image in split.coco["images"]:
            path = PurePosixPath(_NOT_UTF8.sub("_", image["file_name"]))
            parts = [part for part in path.parts if part not in ("..", path.anchor)]
            parts = [*(part for part in parts[:-1] if part not in without), *parts[-1:]]
            choices = _flat_names(parts, split.name) if flat else _names(parts)
            name = next(n for n in choices if _stem(n) not in taken)
            taken.add(_stem(name))
            entries.append(image | {"file_name": name})
        renamed.append(replace(split, coco=split.coco | {"images": entries}))
    return renamed


def _stem(name: str) -> str:
    # Some file systems ignore case.
    return os.path.splitext(name)[0].casefold()


def _names(parts: Sequence[str]) -> Iterator[str]:
    """Candidate names, in order of preference."""
    name = "/".join(parts)
    yield name
    stem, suffix = os.path.splitext(name)
    for number in itertools.count(2):
        yield f"{stem}-{number}{suffix}"


def _flat_names(parts: Sequence[str], split: str) -> Iterator[str]:
    # Without spaces, which end a name in VOC's lists.
    for words in (parts[-1:], parts, (split, *parts)):
        name = "_".join("_".join(words).split())
        yield name
    yield from _names([name])
