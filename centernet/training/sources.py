"""Find the training and validation images of the data options."""

import logging
from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path

from centernet.data.annotations import DatasetSplit
from centernet.data.entries import is_ignore_region
from centernet.data.formats.coco import read_file
from centernet.data.formats.detect import choose_classes, detect_format, read_dataset
from centernet.data.formats.splits import split_name
from centernet.errors import InputError

log = logging.getLogger(__name__)

_LOGGED_NOTES = 10  # notes on a dataset that are logged


class DataSource:
    """The "train" and "val" images and annotations of a dataset folder.

    If an annotation file does not exist and ``root`` is a dataset in a format that
    :mod:`centernet.data.formats` reads, that dataset is read: the file name names the split.

    Attributes:
        root: folder of the dataset.
        paths: image folder and annotation file, by part.
    """

    def __init__(
        self,
        root: Path,
        paths: Mapping[str, tuple[str, str]],
        *,
        classes: Sequence[str] | None = None,
        rename: Mapping[str, str] | None = None,
    ) -> None:
        """Describe a source; nothing is read yet.

        Args:
            root: folder of the dataset.
            paths: image folder and annotation file of "train" and "val", relative to ``root``.
            classes: classes to keep, by old or new name; by default all.
            rename: new class names by old ones.
        """
        self.root = root
        self.paths = {part: (root / images, root / file) for part, (images, file) in paths.items()}
        self._classes, self._rename = classes, dict(rename) if rename else None

    def find(self, part: str) -> tuple[Path, Path | DatasetSplit]:
        """The image folder of "train" or "val", and the annotations.

        Raises:
            InputError: the dataset, the split or a class does not exist, or a file cannot be read.
        """
        images, annotations = self.paths[part]
        if not annotations.is_file():
            split = self._detected_split(part)
        elif self._classes or self._rename:
            split = read_file(annotations, images=images)
            (split,) = choose_classes([split], classes=self._classes, rename=self._rename)
        else:
            return images, annotations
        return split.images, split

    @cached_property
    def _detected(self) -> dict[str, DatasetSplit]:
        """The splits of the dataset in ``root`` if it is in a known format, else an empty dict."""
        kinds = detect_format(self.root)
        if not kinds:
            return {}
        splits = read_dataset(self.root, classes=self._classes, rename=self._rename)
        counts = ", ".join(f"{name} {len(s.coco['images'])}" for name, s in splits.items())
        log.info("%s is a dataset in %s format: %s images", self.root, kinds[0], counts)
        for note in [note for split in splits.values() for note in split.notes][:_LOGGED_NOTES]:
            log.info("  %s", note)
        # Training does not use the outlines of objects, and they take much memory.
        for annotation in (a for split in splits.values() for a in split.coco["annotations"]):
            if isinstance(annotation, dict) and not is_ignore_region(annotation):
                annotation.pop("segmentation", None)
        return splits

    def _detected_split(self, part: str) -> DatasetSplit:
        annotations = self.paths[part][1]
        name = split_name(annotations.stem)
        if name in self._detected:
            return self._detected[name]
        if not self._detected:
            raise InputError(
                f"cannot read annotation file {annotations}: it does not exist, "
                f"and {self.root} is not a dataset in another known format (docs/data.md)"
            )
        remedy = f"name another with --data.{part}_annotations"
        if part == "val":
            remedy += (
                ", or split validation images off with "
                f"centernet convert {self.root} OUT --val-fraction 0.2"
            )
        names = ", ".join(self._detected)
        raise InputError(f"{self.root} has no split {name!r}, only {names}: {remedy}")
