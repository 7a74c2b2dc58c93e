"""Find the image files that annotations name, also under names of another machine.

Tools write absolute paths, drive letters, backslashes, prefixes such as ``../../upload/1/``, URLs,
or another suffix. The image with the longest common tail below the dataset's folder is meant.
"""

import os
import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from functools import cached_property
from pathlib import Path
from urllib.parse import unquote

from centernet.data.formats.splits import USUAL_SPLITS, is_hidden, split_name
from centernet.data.images import SUFFIXES
from centernet.errors import InputError

_QUERY = re.compile(r"^.*\?d=")  # /data/local-files/?d=folder/image.jpg


class ImageFinder:
    """The image files below a folder, by their names.

    Attributes:
        root: the folder of the dataset. No file outside of it is found, unless a link leads there.
        resolved: number of names that are not the path of a file.
        example: such a name and its file, for a note.
    """

    def __init__(self, root: Path, split: str = "") -> None:
        """Prepare a search; the folder is only listed when a name is not the path of a file.

        Args:
            root: the folder of the dataset.
            split: name of the split; images in folders of other splits are not found by the end of
                their names, because splits may number their images alike.
        """
        self.root, self.split = root, split
        self.resolved = 0
        self.example: tuple[str, Path] | None = None
        self._below: dict[Path, ImageFinder] = {}

    def find(self, name: str, folders: Iterable[Path] = ()) -> Path | None:
        """The file of a name; None if there is none.

        Args:
            name: name or path in the annotations.
            folders: folders that the name may be relative to.

        Raises:
            InputError: several files match equally well.
        """
        if "\0" in name:
            return None
        if not _leads_outside(name):
            for folder in folders:
                if _is_file(folder / name):
                    return folder / name
        path = self._by_tail(name)
        if path is not None:
            self.resolved += 1
            self.example = self.example or (name, path)
        return path

    def below(self, folder: Path) -> "ImageFinder":
        """The finder of a folder inside the root."""
        if folder not in self._below:
            self._below[folder] = ImageFinder(folder, self.split)
        return self._below[folder]

    def note(self, source: Path) -> list[str]:
        """One line about the names that were resolved, if any."""
        if not self.example:
            return []
        name, path = self.example
        return [
            f"{source}: {self.resolved} images are found by the end of their names, such as {name} "
            f"as {path.relative_to(self.root).as_posix()}"
        ]

    def _by_tail(self, name: str) -> Path | None:
        """The file with the longest common tail, ignoring case and the suffix of images."""
        for spelling in dict.fromkeys((name, unquote(name))):
            parts = _parts(spelling)
            if not parts:
                continue
            for candidates in (self._by_name[parts[-1]], self._by_stem[_stem(parts[-1])]):
                if found := _longest_tail(parts, candidates):
                    if len(found) > 1:
                        first, second = (path.relative_to(self.root) for path in found[:2])
                        raise InputError(
                            f"image {name} can be {first} or {second} in {self.root}: rename one"
                        )
                    return found[0]
        return None

    @cached_property
    def _by_name(self) -> dict[str, list[Path]]:
        found: defaultdict[str, list[Path]] = defaultdict(list)
        for path in image_files(self.root):
            splits = {split_name(part) for part in path.relative_to(self.root).parts[:-1]}
            if not self.split or not splits & set(USUAL_SPLITS) - {self.split}:
                found[path.name.lower()].append(path)
        return found

    @cached_property
    def _by_stem(self) -> dict[str, list[Path]]:
        found: defaultdict[str, list[Path]] = defaultdict(list)
        for name, paths in self._by_name.items():
            found[_stem(name)] += paths
        return found


def find_nearest(
    finder: ImageFinder, name: str, folder: Path, folders: Iterable[Path] = ()
) -> Path | None:
    """The file of a name; of several that match equally well, the nearest to a folder.

    Args:
        finder: the images of the dataset.
        name: name or path in the annotations.
        folder: folder of the annotations, inside the dataset.
        folders: folders that the name may be relative to.

    Raises:
        InputError: several files are equally near.
    """
    try:
        return finder.find(name, folders)
    except InputError:
        ancestors = [folder, *folder.parents]
        for inner in ancestors[: ancestors.index(finder.root)]:
            with suppress(InputError):
                if found := finder.below(inner).find(name):
                    finder.resolved += 1
                    finder.example = finder.example or (name, found)
                    return found
        raise


def image_files(root: Path) -> Iterator[Path]:
    """All image files below a folder, sorted; linked folders are followed once.

    Hidden files and folders, and those that macOS adds to archives, are left out.
    """
    seen: set[tuple[int, int]] = set()
    for folder, subfolders, files in os.walk(root, followlinks=True):
        status = os.stat(folder)
        if (status.st_dev, status.st_ino) in seen:
            subfolders.clear()
            continue
        seen.add((status.st_dev, status.st_ino))
        subfolders[:] = sorted(name for name in subfolders if not is_hidden(Path(name)))
        for path in (Path(folder, name) for name in sorted(files)):
            if path.suffix.lower() in SUFFIXES and not is_hidden(path):
                yield path


def path_parts(name: str) -> list[str]:
    """The parts of a path of any machine, without those that lead upward or home."""
    name = _QUERY.sub("", name).replace("\\", "/")
    return [part for part in name.split("/") if part not in ("", ".", "..", "~")]


def _parts(name: str) -> list[str]:
    return path_parts(name.lower())


def _stem(name: str) -> str:
    stem, suffix = os.path.splitext(name)
    return stem if suffix.lower() in SUFFIXES else name


def _longest_tail(parts: Sequence[str], candidates: Sequence[Path]) -> list[Path]:
    """The candidates whose last parts agree the most with those of a name."""
    lengths = [_common_tail(parts[:-1], _parts(str(path.parent))) for path in candidates]
    longest = max(lengths, default=0)
    return [path for path, n in zip(candidates, lengths, strict=True) if n == longest]


def _common_tail(first: Sequence[str], second: Sequence[str]) -> int:
    pairs = zip(reversed(first), reversed(second), strict=False)
    return next((n for n, (a, b) in enumerate(pairs) if a != b), min(len(first), len(second)))


def _is_file(path: Path) -> bool:
    try:
        return path.is_file()
    except OSError:  # a name that is too long
        return False


def _leads_outside(name: str) -> bool:
    """Whether a path is absolute or begins with ``..``."""
    return os.path.isabs(name) or os.path.normpath(name).split(os.sep)[0] == ".."
