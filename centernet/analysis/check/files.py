"""Findings about image files: reads all of them and compares them with their entries."""

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from centernet.analysis.check.split_arrays import SplitArrays
from centernet.data.formats.splits import images_in
from centernet.data.images import for_each_image, read_image
from centernet.data.similar_images import Fingerprint, fingerprint
from centernet.errors import InputError
from centernet.sizes import format_size

_OUTLIER_FACTOR = 2.5  # times the median, or the median divided by it


@dataclass(frozen=True)
class ImageFile:
    """The result of reading an image file.

    Attributes:
        error: ``missing``, ``broken`` or ``truncated``; None for a readable image.
        what: error message.
        size: (height, width) in pixels; None if there is an error.
        fingerprint: for comparison with other images; None if there is an error.
    """

    error: str | None = None
    what: str = ""
    size: tuple[int, int] | None = None
    fingerprint: Fingerprint | None = None


def read_image_files(
    splits: Sequence[SplitArrays], *, progress: bool = False
) -> dict[Path, ImageFile]:
    """Read every image of the splits once, in parallel."""
    paths = (path for arrays in splits for path in image_paths(arrays))
    return for_each_image(read_image_file, paths, progress=progress)


def image_paths(arrays: SplitArrays) -> list[Path]:
    """Paths of a split's image files."""
    return [arrays.split.images / file for file in arrays.files]


def read_image_file(path: Path) -> ImageFile:
    """Read an image file; an unreadable one is returned with its error."""
    if not path.is_file():
        return ImageFile("missing", f"there is no file {path}")
    try:
        image = read_image(path)
    except InputError as error:
        kind = "truncated" if "truncated" in str(error) else "broken"
        return ImageFile(kind, f"{path.stat().st_size} bytes")
    return ImageFile(size=image.shape[:2], fingerprint=fingerprint(image))


def check_files(splits: Sequence[SplitArrays], files: Mapping[Path, ImageFile]) -> None:
    """Add findings about image files, and set ``sizes`` to the sizes of the files."""
    for arrays in splits:
        for i, path in enumerate(image_paths(arrays)):
            file = files[path]
            if file.size is None:
                arrays.add(f"image-{file.error}", file.what, image=i)
            else:
                _compare_size(arrays, i, file.size)


def _compare_size(arrays: SplitArrays, image: int, size: tuple[int, int]) -> None:
    annotated = arrays.annotated_sizes[image]
    if np.isfinite(annotated).all() and tuple(annotated) != size:
        what = f"annotated as {format_size(annotated)}, file is {format_size(size)}"
        what += " (rotated by EXIF?)" if tuple(annotated[::-1]) == size else ""
        arrays.add("image-size", what, image=image)
    arrays.sizes[image] = size


def check_orphans(splits: Sequence[SplitArrays]) -> None:
    """Add findings about image files in the splits' folders that no split lists."""
    seen = {_normalized(path) for arrays in splits for path in image_paths(arrays)}
    for arrays in splits:
        folder = arrays.split.images
        if not folder.is_dir():
            continue
        for path in images_in(folder, deep=True):
            if _normalized(path) not in seen:
                seen.add(_normalized(path))
                arrays.add("image-orphan", str(path.relative_to(folder)))


def _normalized(path: Path) -> str:
    return os.path.normpath(os.path.abspath(path))


def check_sizes(arrays: SplitArrays) -> None:
    """Add findings about images whose area or aspect ratio is far from the median."""
    height, width = arrays.sizes.T
    for values, name in ((np.sqrt(height * width), "size"), (width / height, "aspect ratio")):
        known = np.flatnonzero(np.isfinite(values))
        if len(known) < 5:
            continue
        median = np.median(values[known])
        far = np.abs(np.log(values[known] / median)) > np.log(_OUTLIER_FACTOR)
        for i in known[far].tolist():
            times = values[i] / median
            what = f"{format_size(arrays.sizes[i])}, {times:.2g} times the median {name}"
            arrays.add("image-outlier", what, image=i)
