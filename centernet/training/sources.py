"""Find the training and validation images of the data options."""

import logging
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from functools import cached_property
from pathlib import Path

from centernet.data.annotations import DatasetSplit, check_coco, normalize
from centernet.data.formats.coco import read_file
from centernet.data.formats.detect import (
    choose_classes,
    detect_format,
    drop_outlines,
    read_dataset,
    why_unknown,
)
from centernet.data.formats.image_sizes import repair_sizes
from centernet.data.formats.prepare import merge
from centernet.data.formats.split_validation import split_folds, split_validation
from centernet.data.formats.splits import split_name
from centernet.errors import InputError
from centernet.files import require_existing

log = logging.getLogger(__name__)

_LOGGED_NOTES = 10  # notes on a dataset that are logged
# Fraction of the training images that becomes the validation split of a dataset without one.
HELD_OUT = 0.2


class DataSource:
    """The "train" and "val" images and annotations of a dataset folder.

    If an annotation file does not exist and ``root`` is a dataset in a format that
    :mod:`centernet.data.formats` reads, that dataset is read: the file name names the split. A
    dataset without validation images gets some, see :func:`.split_validation`.

    Attributes:
        root: folder of the dataset.
        paths: image folder and annotation file, by part.
        split_names: names of the splits that were found in ``root``; empty if it was not searched.
    """

    def __init__(
        self,
        root: Path,
        paths: Mapping[str, tuple[str, str]],
        *,
        classes: Sequence[str] | None = None,
        rename: Mapping[str, str] | None = None,
        folds: int | None = None,
        fold: int | None = None,
        seed: int = 0,
    ) -> None:
        """Describe a source; nothing is read yet.

        Args:
            root: folder of the dataset.
            paths: image folder and annotation file of "train" and "val", relative to ``root``.
            classes: classes to keep, by old or new name; by default all.
            rename: new class names by old ones.
            folds: divide all training and validation images into this number of folds.
            fold: the fold that is "val", from 1; the others are "train".
            seed: seed of the folds.
        """
        validate_folds(folds, fold)
        self.folds, self.fold, self._seed = folds, fold, seed
        self.root = root
        self.paths = {part: (root / images, root / file) for part, (images, file) in paths.items()}
        self._classes, self._rename = classes, dict(rename) if rename else None
        self.split_names: frozenset[str] = frozenset()
        self._splits: dict[str, DatasetSplit] = {}
        self._found: set[str] = set()

    def find(self, part: str) -> tuple[Path, DatasetSplit]:
        """The image folder of "train" or "val", and the annotations.

        Raises:
            InputError: the dataset, the split or a class does not exist, or a file cannot be read.
        """
        if part not in self._splits:
            self._splits[part] = normalize(self._read(part))
            self._found.add(part)
        if self._found == self.paths.keys():
            # Both parts are copies, and the dataset can take most of the memory.
            for name in ("_in_root", "_detected", "_folds"):
                self.__dict__.pop(name, None)
        return self._splits[part].images, self._splits[part]

    def release(self, part: str) -> None:
        """Free the annotations of a part; the next :meth:`find` reads them again."""
        self._splits.pop(part, None)

    def _read(self, part: str) -> DatasetSplit:
        if self.folds:
            return self._part_of_folds(part)
        return self._read_part(part)

    def _part_of_folds(self, part: str) -> DatasetSplit:
        """The held-out fold, or the other ones together."""
        splits = self.fold_splits()
        assert self.fold is not None
        held_out = splits.pop(self.fold - 1)
        if part == "val":
            return held_out
        content = held_out.coco | {
            key: [entry for split in splits for entry in split.coco[key]]
            for key in ("images", "annotations")
        }
        return replace(held_out, name="train", coco=content)

    def find_for_choices(self) -> tuple[Path, DatasetSplit]:
        """The images that automatic options go by: the training images, of all folds if any."""
        if self.folds is None or self.fold is None:
            return self.find("train")
        split = merge("train", self.fold_splits())
        return split.images, split

    def fold_splits(self) -> list[DatasetSplit]:
        """All folds of the training and validation images.

        Raises:
            InputError: as for :meth:`find`, or there are fewer images or groups than folds.
        """
        return list(self._folds)

    @cached_property
    def _folds(self) -> list[DatasetSplit]:
        assert self.folds is not None
        splits = [self._read_part("train")]
        if self._has_validation:
            splits.append(self._read_part("val"))
        for split in splits:
            check_coco(split.source, split.coco)
        counts = ", ".join(f"{len(s.coco['images'])} of {s.name}" for s in splits)
        folds = split_folds(
            merge("train", splits) if len(splits) > 1 else splits[0], self.folds, seed=self._seed
        )
        sizes = [len(fold.coco["images"]) for fold in folds]
        log.info("%d folds of %s images (%s)", self.folds, ", ".join(map(str, sizes)), counts)
        return folds

    @property
    def _has_validation(self) -> bool:
        """Whether there are validation images other than the training images."""
        train, val = (self.paths[part][1] for part in ("train", "val"))
        if train == val or val.is_file():
            return train != val
        names = {split_name(train.stem), split_name(val.stem)}
        return len(names) == 2 and split_name(val.stem) in self._in_root

    def _read_part(self, part: str) -> DatasetSplit:
        images, annotations = self.paths[part]
        if not annotations.is_file() or self._holds_out:
            return self._detected_split(part)
        root = self._root_of(annotations)
        split = read_file(annotations, images=images, root=root, outlines=False)
        split.notes.extend(repair_sizes(split, apply=False))
        (split,) = choose_classes([split], classes=self._classes, rename=self._rename)
        _log_notes([split])
        drop_outlines([split])
        return replace(split, name=annotations.stem)

    def _root_of(self, annotations: Path) -> Path | None:
        """The folder in which images are searched; None if the file is elsewhere."""
        return self.root if annotations.is_relative_to(self.root) else None

    @cached_property
    def _holds_out(self) -> bool:
        """Whether validation images are held out of the training images, because there are none."""
        if self.folds or self.paths["val"][1].is_file():
            return False
        names = self._in_root.keys()
        wanted = split_name(self.paths["val"][1].stem)
        return wanted == "val" and "train" in names and "val" not in names

    @cached_property
    def _in_root(self) -> dict[str, DatasetSplit]:
        """The splits of the dataset in ``root`` if it is in a known format, else an empty dict."""
        kinds = detect_format(self.root)
        if not kinds:
            return {}
        splits = read_dataset(self.root, classes=self._classes, rename=self._rename, outlines=False)
        counts = ", ".join(f"{name} {len(s.coco['images'])}" for name, s in splits.items())
        log.info("%s is a dataset in %s format: %s images", self.root, kinds[0], counts)
        _log_notes(splits.values())
        self.split_names = frozenset(splits)
        return splits

    @cached_property
    def _detected(self) -> dict[str, DatasetSplit]:
        """The splits in ``root``, with validation images held out if there are none."""
        if not self._holds_out:
            return self._in_root
        try:
            splits, messages = split_validation(list(self._in_root.values()), HELD_OUT)
        except InputError as error:
            raise InputError(
                f"{self.root} has no split 'val', only {', '.join(self._in_root)}, and {error}: "
                "name validation images with --data.val_annotations"
            ) from None
        found = {split.name: split for split in splits}
        log.info(
            "%s has no validation images: %d of its %d training images are held out, always the "
            "same ones",
            self.root,
            len(found["val"].coco["images"]),
            len(self._in_root["train"].coco["images"]),
        )
        for message in messages:
            log.info("  %s", message)
        return found

    def _detected_split(self, part: str) -> DatasetSplit:
        annotations = self.paths[part][1]
        name = split_name(annotations.stem)
        if name in self._detected:
            return self._detected[name]
        if not self._detected:
            raise _no_annotations(self.root, annotations)
        names = ", ".join(self._detected)
        raise InputError(
            f"{self.root} has no split {name!r}, only {names}: name another with "
            f"--data.{part}_annotations"
        )


def require_dataset(root: Path, annotations: str) -> None:
    """Raise InputError if there is no annotation file, and ``root`` has no known format.

    Args:
        root: folder of the dataset.
        annotations: annotation file, relative to ``root``.
    """
    if (root / annotations).is_file():
        return
    require_existing(root, "--data.root")
    if not detect_format(root):
        raise _no_annotations(root, root / annotations)


def _no_annotations(root: Path, annotations: Path) -> InputError:
    return InputError(
        f"cannot read annotation file {annotations}: it does not exist, and {why_unknown(root)}"
    )


def validate_folds(folds: int | None, fold: int | None) -> None:
    """Raise InputError if the options of a fold are out of range or incomplete."""
    if folds is None and fold is not None:
        raise InputError(f"--data.fold {fold} needs --data.folds, the number of folds")
    if folds is not None and folds < 2:
        raise InputError(f"--data.folds must be at least 2, got {folds}")
    if folds is not None and not (fold is not None and 1 <= fold <= folds):
        given = "is missing" if fold is None else f"{fold} is out of range"
        raise InputError(f"--data.fold {given}: give 1 to {folds}, one of --data.folds {folds}")


def _log_notes(splits: Iterable[DatasetSplit]) -> None:
    for note in [note for split in splits for note in split.notes][:_LOGGED_NOTES]:
        log.info("  %s", note)
