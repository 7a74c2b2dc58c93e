"""Collect the splits of a dataset from the files of an annotation tool."""

import os
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from centernet.data.annotations import DatasetSplit
from centernet.data.entries import is_text
from centernet.data.formats.image_finder import ImageFinder, find_nearest, image_files
from centernet.data.formats.split_collector import SplitCollector
from centernet.data.formats.splits import USUAL_SPLITS, dataset_folder, split_name
from centernet.errors import InputError

# Folders of images beside annotation files; {} stands for the name of the split or of the file.
_IMAGE_FOLDERS = (".", "images", "data", "{}", "images/{}", "{}/images")


class Collection:
    """The splits of a dataset while its files are read.

    Attributes:
        root: folder of the dataset, in which images are searched.
    """

    def __init__(
        self,
        dialect: str,
        source: Path,
        files: Iterable[Path],
        *,
        by_folder: bool = False,
        how_to_list: str = "without an object",
    ) -> None:
        """Name the splits by the names of annotation files and folders.

        Args:
            dialect: what the files are, for messages.
            source: the dataset.
            files: its annotation files.
            by_folder: whether only folders name splits, because each file is that of an image.
            how_to_list: how the files list an image without objects, for a note.
        """
        self.root = dataset_folder(source)
        self._dialect, self._source = dialect, source
        self._collectors: dict[str, SplitCollector] = {}
        self._finders: dict[tuple[Path, str], ImageFinder] = {}
        self._folders: dict[tuple[Path, tuple[str, ...]], list[Path]] = {}
        self._by_folder = by_folder
        self._how_to_list = how_to_list
        places = {path: path.parent if by_folder else path for path in files}
        names = {path: _usual_split(place, self.root) for path, place in places.items()}
        self._is_guess = not any(names.values())
        # Beside train or val, a file of another name is a split of that name.
        self._split_of = {
            path: "train" if self._is_guess else name or split_name(places[path].stem) or "other"
            for path, name in names.items()
        }

    def split(self, path: Path, subset: Any = None) -> SplitCollector:
        """The split of an annotation file, or of the subset that it names for an image."""
        named = split_name(subset) if is_text(subset) else ""
        name = named or self._split_of[path]
        if name not in self._collectors:
            source = path if len(self._split_of) == 1 else self._source
            self._collectors[name] = SplitCollector(name, source, partial(self._find, name))
            if self._is_guess and not named:
                self._collectors[name].notes.append(
                    f"{self._source}: there are no splits, so all images are read as 'train'"
                )
        return self._collectors[name]

    def _find(self, split: str, name: str, path: Path) -> Path | None:
        """The image file of a name in an annotation file.

        Raises:
            InputError: several files match equally well.
        """
        folders = self._folders_beside(path, _ancestors(path, self.root), split)
        return find_nearest(self._finder(self.root, split), name, path.parent, folders)

    def _finder(self, folder: Path, split: str) -> ImageFinder:
        """The images of a split below a folder; of any split if none is named."""
        key = folder, "" if self._is_guess else split
        return self._finders.setdefault(key, ImageFinder(*key))

    def _folders_beside(self, path: Path, ancestors: Sequence[Path], split: str) -> list[Path]:
        """The usual folders of images that exist beside an annotation file or further up."""
        names = (split,) if self._by_folder else (split, path.stem)
        key = path.parent, names
        if key not in self._folders:
            places = (pattern.format(name) for pattern in _IMAGE_FOLDERS for name in names)
            unique = list(dict.fromkeys(places))
            found = (folder / place for folder in ancestors for place in unique)
            self._folders[key] = [folder for folder in found if folder.is_dir()]
        return self._folders[key]

    def results(self, names: Iterable[str] = ()) -> list[DatasetSplit]:
        """The splits that have images.

        Args:
            names: the first classes, in the order of their ids; others follow, sorted.

        Raises:
            InputError: there are no images.
        """
        collectors = list(self._collectors.values())
        used = [c for c in collectors if c.images]
        if not used:
            remarks = [remark for c in collectors for remark in c.remarks()]
            empty = f"there are no entries in {collectors[0].source if collectors else 'it'}"
            raise InputError(
                f"{self._source} ({self._dialect}) has no usable annotations: "
                + (remarks[0] if remarks else empty)
            )
        found = {one.label for c in used for image in c.images for one in image.objects}
        first = list(dict.fromkeys(names))
        names = [*first, *sorted(found.difference(first))]
        number_of = {name: number for number, name in enumerate(names, 1)}
        splits = [c.result(number_of, self._folder_of(c)) for c in used]
        for finder in self._finders.values():
            splits[0].notes.extend(finder.note(self._source))
        splits[0].notes.extend(self._without_annotations())
        return splits

    def _folder_of(self, collector: SplitCollector) -> Path:
        """The folder that contains all images of a split."""
        folders = {image.file.parent for image in collector.images if image.file}
        return Path(os.path.commonpath(folders)) if folders else self.root

    def _unlisted(self) -> list[Path]:
        """The image files that no annotation names."""
        listed = {image.file for c in self._collectors.values() for image in c.images}
        return [path for path in image_files(self.root) if path not in listed]

    def add_unlisted(self, is_empty: Callable[[Path], Path | None]) -> None:
        """Add images that no annotation names, as images without objects.

        Args:
            is_empty: returns the annotation file that lists all objects of an image, so that an
                image that it does not list has none; None if that is not certain.
        """
        for image in self._unlisted() if self._source.is_dir() else ():
            if source := is_empty(image):
                split = self.split(source)
                split.remark("images that the file does not list, read as without objects", image)
                split.image(image.relative_to(self.root).as_posix(), (None, None), source)

    def _without_annotations(self) -> Iterator[str]:
        """One line about the image files that no annotation names, if any."""
        files = self._unlisted()
        if files and self._source.is_dir():
            yield (
                f"{self._source}: left out {len(files)} images without annotations; the first is "
                f"{files[0].relative_to(self.root)}; to train on those without objects as "
                f"background, list them {self._how_to_list}"
            )


def _ancestors(path: Path, root: Path) -> list[Path]:
    """The folders from that of a file up to the root."""
    folders = [path.parent, *path.parent.parents]
    return folders[: folders.index(root) + 1]


def _usual_split(path: Path, root: Path) -> str:
    """The usual split that the name of a file or of its nearest folder contains; else empty."""
    for part in reversed(path.relative_to(root).parts):
        words = [part, *re.split(r"[^A-Za-z0-9]+", os.path.splitext(part)[0])]
        found = {split_name(word) for word in words} & set(USUAL_SPLITS)
        if len(found) == 1:
            return found.pop()
    return ""
