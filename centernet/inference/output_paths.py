"""Names of the files that ``detect`` writes."""

import os
import re
from collections import Counter
from collections.abc import Iterable, Sequence
from itertools import accumulate
from pathlib import Path, PurePosixPath
from urllib.parse import unquote, urlsplit

from centernet.data.images import SUFFIXES
from centernet.errors import InputError
from centernet.inference.inputs import Video

# Formats that OpenCV writes and browsers show; pictures of others are saved as JPEG.
_KEPT_SUFFIXES = (".jpg", ".jpeg", ".png")
# In bytes, so that names with a suffix stay under the 255 of most file systems.
_MOST_BYTES = 100

# Of one image: where its drawn picture goes, and what the names of its other files begin with.
Files = tuple[Path, Path]


def image_files(paths: Sequence[Path], output: Path) -> dict[Path, Files]:
    """The files to write, by image.

    No two images share a file: where the names without suffix would meet (a.jpg and a.png, or
    a.jpg and a.heatmap.jpg), they keep the suffix.

    Raises:
        InputError: one of the images would be overwritten.
    """
    common = Path(os.path.commonpath([_real(path.parent) for path in paths]))
    # "a.b.jpg" lays claim to "a" and "a.b".
    claims = Counter(
        (path.parent, stem)
        for path in paths
        for stem in accumulate(path.stem.split("."), "{}.{}".format)
    )
    files = {}
    for path in paths:
        folder = output / _real(path.parent).relative_to(common)
        stem = path.stem if claims[path.parent, path.stem] == 1 else path.name
        files[path] = folder / _picture_name(path.name), folder / stem
    keep_off_originals((picture.parent for picture, _ in files.values()), paths)
    return files


def remote_image_files(url: str, output: Path) -> Files:
    """The files to write for an image behind a URL; the last part of its path names them."""
    parts = urlsplit(url)
    path = PurePosixPath(unquote(parts.path))
    known = path.suffix.lower() in SUFFIXES
    stem = re.sub(r"[^\w.-]+", "-", path.stem if known else path.name).strip(".-")
    stem = _truncate_list(stem or parts.hostname or "image")
    return output / _picture_name(stem + path.suffix * known), output / stem


def video_stem(video: Video) -> str:
    """What the names of a video's files begin with."""
    if video.kind == "camera":
        return f"camera-{video.name}"
    if video.kind == "stream":
        return _truncate_list(re.sub(r"\W+", "-", video.name).strip("-"))
    return Path(video.name).stem


def class_word(class_names: Sequence[str], label: int) -> str:
    """A class name as part of a file name, with the label where names look alike."""
    words = [_truncate_list(re.sub(r"[^\w-]+", "_", name)) for name in class_names]
    word = words[label]
    alike = [other.lower() for other in words].count(word.lower()) > 1
    return f"{word}-{label}" if alike else word


def keep_off_originals(folders: Iterable[Path], sources: Iterable[Path]) -> None:
    """Raise InputError if one of the folders to write to holds a source, or what it links to."""
    originals = {folder for path in sources for folder in (_real(path.parent), _real(path).parent)}
    for folder in folders:
        if _real(folder) in originals:
            raise InputError(
                f"output {folder} is a folder of the source, which would be lost: choose another"
            )


def _real(path: Path) -> Path:
    """Without links; unlike Path.resolve, not an error for a link to itself."""
    return Path(os.path.realpath(path))


def _picture_name(name: str) -> str:
    return name if Path(name).suffix.lower() in _KEPT_SUFFIXES else f"{name}.jpg"


def _truncate_list(name: str) -> str:
    return name.encode()[:_MOST_BYTES].decode(errors="ignore")
