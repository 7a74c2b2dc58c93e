"""Check the image files of a dataset, and copy or link them to another one."""

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
    """Reject image files that are missing, damaged or outside of the dataset's folder.

    Args:
        splits: splits with the images to check.
        source: folder of the dataset. Images have to be in it, also after following links; only a
            split's folder of images inside it may itself be a link. If None, images have to be in
            their split's folder of images.
        follow_links: allow images anywhere.

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
            "add them, or convert the annotations alone (--images none)"
        )
    if not follow_links:
        allowed = {split.images: _allowed_folders(split.images, source) for split in splits}
        for split, file in files:
            _check_inside(file, allowed[split.images])
    for_each_image(image_size, [file for _, file in files])


def _allowed_folders(images: Path, source: Path | None) -> list[Path]:
    if source is None:
        return [images.resolve()]
    is_inside = Path(os.path.abspath(images)).is_relative_to(os.path.abspath(source))
    return [source.resolve(), *([images.resolve()] if is_inside else [])]


def _check_inside(file: Path, folders: Sequence[Path]) -> None:
    """Raise InputError if a file, after following links, is in none of the folders."""
    real = file.resolve()
    if not any(real.is_relative_to(folder) for folder in folders):
        target = "" if real == Path(os.path.abspath(file)) else f", a link to {real},"
        raise InputError(
            f"image {file}{target} lies outside of the dataset's folder {folders[0]}: move it "
            "there, or allow such images with --follow-links"
        )


def place_images(pairs: Sequence[tuple[Path, Path]], how: str) -> list[str]:
    """Copy or link image files.

    Args:
        pairs: each file and its new path; folders are created.
        how: ``link`` or ``copy``.

    Returns:
        One line about files that were copied because linking is not possible, if any.
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
        return [f"{copied} images copied, because they cannot be linked from here"]
    return []


def copy_file(source: Path, target: Path) -> None:
    """Copy a regular file's content; file systems that can share blocks need no space."""
    with open_regular(source) as old, target.open("xb") as new:
        try:
            while os.copy_file_range(old.fileno(), new.fileno(), 1 << 30):
                pass
        except (
            AttributeError,
            OSError,
        ):  # not supported by this system, or between these file systems
            old.seek(0)
            new.seek(0)
            shutil.copyfileobj(old, new, 1 << 20)
