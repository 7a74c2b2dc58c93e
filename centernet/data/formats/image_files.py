"""Check the image files of a dataset, and copy or link them into another."""

import os
import shutil
from collections.abc import Sequence
from pathlib import Path

from tqdm import tqdm

from centernet.data.annotations import DatasetSplit
from centernet.data.images import for_each_image, image_size
from centernet.errors import InputError
from centernet.files import open_regular

IMAGES = ("copy", "link", "none")


def check_images(
    splits: Sequence[DatasetSplit], source: Path | None, *, follow_links: bool
) -> None:
    """Refuse files that are missing, that are not images, or that links lead to from elsewhere.

    Args:
        splits: whose images are checked.
        source: folder that the dataset was read from. A link must not lead out of it, nor out of
            the split's folder of images, which itself may be a link; None for the latter alone.
        follow_links: allow all links.

    Raises:
        InputError: there is such a file.
    """
    files = [
        (split, split.images / image["file_name"])
        for split in splits
        for image in split.coco["images"]
    ]
    missing = [file for _, file in files if not file.is_file()]
    if missing:
        raise InputError(
            f"{len(missing)} of {len(files)} images are missing, the first is {missing[0]}: "
            "put them there, or convert the annotations alone (--images none)"
        )
    if not follow_links:
        tops = {split.images: [split.images.resolve()] for split in splits}
        for own in tops.values():
            own.extend([source.resolve()] if source else [])
        for split, file in files:
            _check_link(file, tops[split.images])
    for_each_image(image_size, [file for _, file in files])


def place_images(pairs: Sequence[tuple[Path, Path]], how: str) -> list[str]:
    """Copy or link image files.

    Args:
        pairs: the file and where it goes; folders are made.
        how: ``link`` or ``copy``.

    Returns:
        How many were copied because they could not be linked, if any, as a line.
    """
    copied = 0
    for source, target in tqdm(pairs, "images", unit="image", disable=None):
        target.parent.mkdir(parents=True, exist_ok=True)
        try:
            if how == "copy":
                raise OSError
            os.link(source.resolve(), target)
        except OSError:
            copy_file(source, target)
            copied += 1
    if copied and how == "link":
        return [f"{copied} images copied, for they could not be linked from here"]
    return []


def copy_file(source: Path, target: Path) -> None:
    """Copy a regular file's content; file systems that can share the blocks take no space."""
    with open_regular(source) as old, target.open("xb") as new:
        try:
            while os.copy_file_range(old.fileno(), new.fileno(), 1 << 30):
                pass
        except (AttributeError, OSError):  # not on every system, nor across all file systems
            old.seek(0)
            new.seek(0)
            shutil.copyfileobj(old, new, 1 << 20)


def _check_link(file: Path, tops: Sequence[Path]) -> None:
    real = file.resolve()
    if not any(real.is_relative_to(top) for top in tops):
        raise InputError(
            f"{file} is a link to {real}, outside of the dataset's folder: put the file there, "
            "or allow such links with --follow-links"
        )
