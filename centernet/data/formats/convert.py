"""A dataset of any format into one of another, whole or not at all."""

import itertools
import os
import re
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath

from centernet.data.annotations import DatasetSplit, is_ignore_region, truncate_list
from centernet.data.formats.detect import read_dataset
from centernet.data.formats.image_files import IMAGES, check_images, place_images
from centernet.data.formats.prepare import clean
from centernet.data.formats.split_validation import split_validation
from centernet.data.formats.writers import IMAGE_FOLDERS, WRITERS, class_names
from centernet.errors import InputError

REPORT = "conversion.txt"
# Bytes of a file's name, as Python decodes them.
_NOT_UTF8 = re.compile("[\udc80-\udcff]")


@dataclass(frozen=True)
class Conversion:
    """What was written, and what became of the rest.

    Attributes:
        output: the new dataset's folder.
        format: its format.
        splits: as written, images of their old names.
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
            boxes = len(split.coco["annotations"]) - regions
            line = f"{split.name:>8} {len(split.coco['images']):7} images {boxes:8} boxes"
            # YOLO has none of them.
            shown = regions if self.format != "yolo" else 0
            lines.append(line + (f" {shown:6} ignore regions" if shown else ""))
        return "\n".join(lines)


def convert(
    source: str | Path | Sequence[DatasetSplit],
    output: str | Path,
    *,
    format: str = "coco",
    only: Sequence[str] | None = None,
    rename: Mapping[str, str] | None = None,
    images: str = "copy",
    follow_links: bool = False,
    val_fraction: float | None = None,
    group_by: str | None = None,
    image_folder: str | None = None,
) -> Conversion:
    """Write a dataset in another format, or in the same one made tidy.

    The folder appears when it is complete; what was changed on the way stands in its
    ``conversion.txt``.

    Args:
        source: a dataset of any known format (see
            :func:`centernet.data.formats.read_dataset`), or its splits.
        output: a new or empty folder.
        format: ``coco``, ``yolo`` or ``voc``.
        only: the classes to keep, by their old or new names.
        rename: new names of classes by old ones.
        images: ``copy``, which takes no space where the file system can share blocks; ``link``
            makes hard links, through which changing a file in place changes the source's too, and
            copies where the file system has none; ``none`` writes the annotations alone.
        follow_links: also take images that are links to files outside of the source's folder.
        val_fraction: part of the training images to hold out for validation, always the same ones;
            images of one photograph stay together, see
            :func:`centernet.data.formats.split_validation.split_validation`.
        group_by: regular expression; training images in whose file names it finds the same stay
            together too.
        image_folder: where the images go, in place of what the format has; one name for all splits.

    Raises:
        InputError: the source cannot be used, images are missing, are no images or are links to
            the outside, or the output is in the way or cannot be written.
    """
    output = Path(output)
    for name, value, known in (("format", format, tuple(WRITERS)), ("images", images, IMAGES)):
        if value not in known:
            raise InputError(f"{name} must be one of {', '.join(known)}, got {value!r}")
    if group_by is not None and val_fraction is None:
        raise InputError(f"--group-by {group_by!r} has no effect without --val-fraction: give both")
    if output.exists() and not (output.is_dir() and not any(output.iterdir())):
        raise InputError(f"{output} exists and is not empty: choose another folder or remove it")
    root = None
    if isinstance(source, str | Path):
        root = Path(source) if Path(source).is_dir() else None
        splits = list(read_dataset(source, only=only, rename=rename).values())
    else:
        splits = list(source)
    tidied = [clean(split) for split in splits]
    splits = [split for split, _ in tidied]
    messages = [note for split in splits for note in split.notes]
    messages += [f"{split.name}: {line}" for split, lines in tidied for line in lines]
    if images != "none":
        check_images(splits, root, follow_links=follow_links)
    if val_fraction is not None:
        splits, about = split_validation(splits, val_fraction, group_by=group_by)
        messages += about
    try:
        place = image_folder or IMAGE_FOLDERS[format]
        messages += _write(splits, output, format, images, place, messages)
    except OSError as error:
        raise InputError(f"cannot write {output}: {error.strerror or error}") from None
    return Conversion(output, format, splits, messages)


def _write(
    splits: Sequence[DatasetSplit],
    output: Path,
    format: str,
    images: str,
    place: str,
    so_far: Sequence[str],
) -> list[str]:
    """Write everything beside ``output``, then move it there; returns what was lost."""
    output.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=output.parent, prefix=f".{output.name}-") as scratch:
        folder = Path(scratch, "new")
        folder.mkdir()
        keep_names = images == "none" and format == "coco"
        flat = "{}" not in place
        without = ("images",) if format == "yolo" else ()
        renamed = splits if keep_names else _with_file_names(splits, flat=flat, without=without)
        messages = WRITERS[format](renamed, folder)
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
    """Every image file, and where it goes."""
    return [
        (old.images / before["file_name"], folder / place.format(new.name) / after["file_name"])
        for old, new in zip(splits, renamed, strict=True)
        for before, after in zip(old.coco["images"], new.coco["images"], strict=True)
    ]


def _with_file_names(
    splits: Sequence[DatasetSplit], *, flat: bool, without: Sequence[str] = ()
) -> list[DatasetSplit]:
    """The splits with names of images that are safe, and unique without their suffix.

    Args:
        splits: to rename in.
        flat: whether all images go to one folder.
        without: folders to leave out of the names; YOLO finds the labels of an image by replacing
            the last ``images`` of its path.
    """
    renamed, taken = [], set()
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
    # Some file systems do not tell A from a.
    return os.path.splitext(name)[0].casefold()


def _names(parts: Sequence[str]) -> Iterator[str]:
    """Names to choose from, the likeliest first."""
    name = "/".join(parts)
    yield name
    stem, suffix = os.path.splitext(name)
    for number in itertools.count(2):
        yield f"{stem}-{number}{suffix}"


def _flat_names(parts: Sequence[str], split: str) -> Iterator[str]:
    # Spaces end a name in VOC's lists.
    for words in (parts[-1:], parts, (split, *parts)):
        name = "_".join("_".join(words).split())
        yield name
    yield from _names([name])
