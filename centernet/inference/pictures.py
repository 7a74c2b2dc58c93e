"""The inputs of ``detect``: image files, a downloaded image, or the frames of a video."""

from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from centernet.data.images import load_image, read_image
from centernet.errors import InputError
from centernet.inference.inputs import Video, find_images, url_name
from centernet.inference.output_paths import (
    ResultName,
    image_names,
    remote_image_name,
    video_name,
)
from centernet.inference.remote_images import fetch_image


@dataclass(frozen=True)
class Picture:
    """An image or a video frame.

    Attributes:
        name: name of the picture, and of the files for it.
        read: returns its pixels, (H, W, 3) uint8 RGB; raises InputError if that fails.
    """

    name: ResultName
    read: Callable[[], NDArray[np.uint8]]


@dataclass(frozen=True)
class PictureSource:
    """The pictures of a source.

    Attributes:
        name: name for messages; a URL without password and query.
        pictures: the pictures; can be iterated once.
        total: number of pictures; None if it is not known.
        video: the video, camera or stream that they are frames of; None for images.
        stem: beginning of the paths of a video's files; None for images.
    """

    name: str
    pictures: Generator[Picture, None, None]
    total: int | None
    video: Video | None = None
    stem: Path | None = None


def open_source(source: str | Sequence[str], output: Path | None) -> PictureSource:
    """Open an image, folder, glob, video, camera number or URL, or several images and folders.

    Args:
        source: as the command line takes it.
        output: folder of the results; None if nothing is written.

    Raises:
        InputError: the source does not exist or cannot be opened, or would be overwritten.
    """
    if not isinstance(source, str):
        return _open_images(source, output) if len(source) > 1 else open_source(source[0], output)
    paths = find_images(source)
    if paths is not None:
        names = _names(paths, output)
        return PictureSource(source, _image_files(paths, names), len(paths))
    remote = fetch_image(source)
    if remote is not None:
        name = remote_image_name(remote.name, output) if output else _plain_name(remote.name)
        pictures = (Picture(name, lambda: remote.pixels) for _ in range(1))
        return PictureSource(remote.name, pictures, 1)
    video = Video(source)
    name = video_name(video, output) if output else _plain_name(video.name)
    return PictureSource(video.name, _frames(video, name), video.length, video, name.stem)


def _open_images(sources: Sequence[str], output: Path | None) -> PictureSource:
    """The images of several sources, each image once."""
    paths: list[Path] = []
    for source in sources:
        found = find_images(source)
        if found is None:
            raise InputError(f"several sources must be images and folders, got {url_name(source)}")
        paths += found
    paths = list(dict.fromkeys(paths))
    names = _names(paths, output)
    title = f"{sources[0]} and {len(sources) - 1} more"
    return PictureSource(title, _image_files(paths, names), len(paths))


def _names(paths: Sequence[Path], output: Path | None) -> list[ResultName]:
    if output:
        return image_names(paths, output)
    return [_plain_name(str(path)) for path in paths]


def _plain_name(source: str) -> ResultName:
    """The name of a picture for which no file is written."""
    return ResultName(source, Path(), Path())


def _image_files(
    paths: Sequence[Path], names: Sequence[ResultName]
) -> Generator[Picture, None, None]:
    for path, name in zip(paths, names, strict=True):
        yield Picture(name, partial(read_image, path))


def _frames(video: Video, name: ResultName) -> Generator[Picture, None, None]:
    for number, frame in enumerate(video):
        pixels = partial(load_image, frame, bgr=True)
        yield Picture(replace(name, frame=number, time=video.time), pixels)
