"""The image files: all of them read, and compared with their entries."""

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from centernet.analysis.check.content import Content
from centernet.data.formats.splits import images_in
from centernet.data.images import for_each_image, read_image
from centernet.data.similar_images import Fingerprint, fingerprint
from centernet.errors import InputError


@dataclass(frozen=True)
class ImageFile:
    """What a file turned out to be.

    Attributes:
        fault: ``missing``, ``broken`` or ``truncated``; None for an image.
        what: the fault in words.
        size: (height, width).
        picture: what it is compared with others by; None where there is a fault.
    """

    fault: str | None = None
    what: str = ""
    size: tuple[int, int] | None = None
    picture: Fingerprint | None = None


def read_files(contents: Sequence[Content], *, progress: bool = False) -> dict[Path, ImageFile]:
    """Read every image of the splits once, several at a time."""
    paths = (path for content in contents for path in paths_of(content))
    return for_each_image(read_file, paths, progress=progress)


def paths_of(content: Content) -> list[Path]:
    """The image files of a split."""
    return [content.split.images / file for file in content.files]


def read_file(path: Path) -> ImageFile:
    """Read an image file, and say what is wrong with it if it is none."""
    if not path.is_file():
        return ImageFile("missing", f"there is no file {path}")
    try:
        image = read_image(path)
    except InputError as error:
        kind = "truncated" if "truncated" in str(error) else "broken"
        return ImageFile(kind, f"{path.stat().st_size} bytes")
    return ImageFile(size=image.shape[:2], picture=fingerprint(image))


def check_files(contents: Sequence[Content], files: Mapping[Path, ImageFile]) -> None:
    """Note what is wrong with the files; known sizes of images become those of their files."""
    for content in contents:
        for i, path in enumerate(paths_of(content)):
            file = files[path]
            if file.fault:
                content.add(f"image-{file.fault}", file.what, image=i)
            else:
                _compare_size(content, i, file.size)


def _compare_size(content: Content, image: int, size: tuple[int, int]) -> None:
    annotated = content.sizes[image]
    if np.isfinite(annotated).all() and tuple(annotated) != size:
        what = (
            f"annotated as {annotated[1]:.0f}x{annotated[0]:.0f}, the file is {size[1]}x{size[0]}"
        )
        what += " (turned by EXIF?)" if tuple(annotated[::-1]) == size else ""
        content.add("image-size", what, image=image)
    content.sizes[image] = size


def check_orphans(contents: Sequence[Content]) -> None:
    """Note image files in the splits' folders that none of them lists."""
    seen = {_plain(path) for content in contents for path in paths_of(content)}
    for content in contents:
        if not content.split.images.is_dir():
            continue
        for path in images_in(content.split.images, deep=True):
            if _plain(path) not in seen:
                seen.add(_plain(path))
                content.add("image-orphan", str(path.relative_to(content.split.images)))


def _plain(path: Path) -> str:
    return os.path.normpath(os.path.abspath(path))


def check_sizes(content: Content) -> None:
    """Note images whose area or shape is far from the median's."""
    height, width = content.sizes.T
    for values, name in ((np.sqrt(height * width), "size"), (width / height, "shape")):
        known = np.flatnonzero(np.isfinite(values))
        if len(known) < 5:
            continue
        middle = np.median(values[known])
        for i in known[np.abs(np.log(values[known] / middle)) > np.log(2.5)]:
            what = (
                f"{width[i]:.0f}x{height[i]:.0f}, {values[i] / middle:.2g} times the usual {name}"
            )
            content.add("image-outlier", what, image=int(i))
