"""Names of the files that ``detect`` writes."""

import os
import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import accumulate
from pathlib import Path, PurePosixPath
from urllib.parse import unquote, urlsplit

from centernet.data.images import SUFFIXES
from centernet.errors import InputError
from centernet.inference.inputs import Video

# Formats that OpenCV writes and browsers show; images of other formats are saved as JPEG.
_KEPT_SUFFIXES = (".jpg", ".jpeg", ".png")
# In bytes. With a suffix, names then stay below the 255 bytes of most file systems.
_MAX_BYTES = 100


@dataclass(frozen=True)
class ResultName:
    """The name of an image or frame, and of the files that are written for it.

    Attributes:
        source: path of the image or video, camera number, or URL without password and query.
        picture: path of the picture with boxes; of a frame, that of the video with boxes.
        stem: beginning of the paths of other files.
        frame: number of the frame in its video, from 0; None for an image.
        time: time of the frame in seconds, in a file since its beginning, of a camera or stream
            since its first frame; None for an image.
    """

    source: str
    picture: Path
    stem: Path
    frame: int | None = None
    time: float | None = None


def image_names(paths: Sequence[Path], output: Path) -> list[ResultName]:
    """The files to write for each image.

    No two images share a file: if names without suffix collide (a.jpg and a.png, or a.jpg and
    a.heatmap.jpg), the suffix is kept.

    Raises:
        InputError: one of the images would be overwritten.
    """
    common = Path(os.path.commonpath([_real(path.parent) for path in paths]))
    # "a.b.jpg" claims "a" and "a.b".
    claims = Counter(
        (path.parent, stem)
        for path in paths
        for stem in accumulate(path.stem.split("."), "{}.{}".format)
    )
    names = []
    for path in paths:
        folder = output / _real(path.parent).relative_to(common)
        stem = path.stem if claims[path.parent, path.stem] == 1 else path.name
        names.append(ResultName(str(path), folder / _picture_name(path.name), folder / stem))
    require_other_folders((name.picture.parent for name in names), paths)
    return names


def remote_image_name(url: str, output: Path) -> ResultName:
    """The files to write for an image at a URL, named after the last part of its path."""
    parts = urlsplit(url)
    path = PurePosixPath(unquote(parts.path))
    known = path.suffix.lower() in SUFFIXES
    stem = re.sub(r"[^\w.-]+", "-", path.stem if known else path.name).strip(".-")
    stem = _truncate(stem or parts.hostname or "image")
    return ResultName(url, output / _picture_name(stem + path.suffix * known), output / stem)


def video_name(video: Video, output: Path) -> ResultName:
    """The files to write for a video, camera or stream.

    Raises:
        InputError: the video could be overwritten.
    """
    if video.kind == "camera":
        stem = f"camera-{video.name}"
    elif video.kind == "stream":
        stem = _truncate(re.sub(r"\W+", "-", video.name).strip("-"))
    else:
        stem = Path(video.name).stem
        require_other_folders([output], [Path(video.name)])
    return ResultName(video.name, output / f"{stem}.mp4", output / stem)


def class_word(class_names: Sequence[str], label: int) -> str:
    """A class name as part of a file name, with the label if two names become the same."""
    words = [_truncate(re.sub(r"[^\w-]+", "_", name)) for name in class_names]
    word = words[label]
    alike = [other.lower() for other in words].count(word.lower()) > 1
    return f"{word}-{label}" if alike else word


def require_other_folders(folders: Iterable[Path], sources: Iterable[Path]) -> None:
    """Raise InputError if a folder to write to contains a source, or the target of a link to it."""
    originals = {folder for path in sources for folder in (_real(path.parent), _real(path).parent)}
    for folder in folders:
        if _real(folder) in originals:
            raise InputError(
                f"output {folder} is a folder of the source, which could be overwritten: "
                "choose another"
            )


def _real(path: Path) -> Path:
    """The path without links. Unlike Path.resolve, it accepts a link to itself."""
    return Path(os.path.realpath(path))


def _picture_name(name: str) -> str:
    return name if Path(name).suffix.lower() in _KEPT_SUFFIXES else f"{name}.jpg"


def _truncate(name: str) -> str:
    return name.encode()[:_MAX_BYTES].decode(errors="ignore")
