"""Apply corrections to a dataset, and write the corrected dataset in its own format."""

import csv
import shutil
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from centernet.analysis.labels.corrections import Corrections, ImageCorrections
from centernet.analysis.labels.split_editor import ADDED, CHANGED, REMOVED, Change, SplitEditor
from centernet.data.annotations import DatasetSplit, check_coco, truncate_list
from centernet.data.formats.convert import convert_dataset
from centernet.data.formats.detect import WRITERS, detect_format, read_dataset
from centernet.errors import InputError
from centernet.files import atomic_write

CHANGE_LOG = "changes.csv"
_CORNERS = ("x1", "y1", "x2", "y2")


@dataclass(frozen=True)
class AppliedCorrections:
    """Result of :func:`apply_corrections`.

    Attributes:
        output: folder of the corrected dataset.
        format: its format.
        images: number of images that were changed.
        added: number of boxes.
        removed: number of boxes.
        changed: number of boxes.
        messages: what the format cannot represent, what was left out and where the images are, one
            line each.
    """

    output: Path
    format: str
    images: int
    added: int
    removed: int
    changed: int
    messages: Sequence[str]


def apply_corrections(
    corrections: Corrections,
    dataset: str | Path,
    output: str | Path,
    *,
    images: str = "copy",
    follow_links: bool = False,
) -> AppliedCorrections:
    """Write a corrected copy of a dataset; the dataset itself does not change.

    The copy has the format of the dataset, or COCO's if that format cannot be written. Its
    ``changes.csv`` lists every change. Annotations without corrections keep all fields that the
    format has. A box that changes loses its segmentation, which no longer fits.

    Args:
        corrections: the corrections.
        dataset: folder or file of the dataset that they belong to.
        output: a new or empty folder.
        images: as for :func:`centernet.data.formats.convert_dataset`.
        follow_links: as for :func:`centernet.data.formats.convert_dataset`.

    Raises:
        InputError: the dataset cannot be read, it lacks an image or a box of the corrections, a
            new box is outside of its image, or the output exists or cannot be written.
    """
    dataset, output = Path(dataset), Path(output)
    if dataset.is_dir() and output.resolve().is_relative_to(dataset.resolve()):
        raise InputError(f"{output} lies in the dataset {dataset}: choose a folder outside of it")
    splits = read_dataset(dataset)
    corrected = _Corrector(dataset, corrections, splits)
    corrected.apply()
    found = detect_format(dataset)[0]
    format = found if found in WRITERS else "coco"
    messages = []
    if format != found:
        messages.append(f"{dataset}: {found} cannot be written, so the result is in COCO's format")
    conversion = convert_dataset(
        list(corrected.splits.values()),
        output,
        format=format,
        images=images,
        follow_links=follow_links,
    )
    try:
        _write_log(output / CHANGE_LOG, corrected.log)
    except BaseException:
        shutil.rmtree(output, ignore_errors=True)
        raise
    kinds = [change.kind for change in corrected.log]
    return AppliedCorrections(
        output,
        format,
        len({(change.split, change.file_name) for change in corrected.log}),
        kinds.count(ADDED),
        kinds.count(REMOVED),
        kinds.count(CHANGED),
        [*messages, *corrected.messages, *conversion.messages],
    )


def _write_log(path: Path, changes: Sequence[Change]) -> None:
    header = ["split", "image", "change"]
    header += [f"{name}_{when}" for when in ("before", "after") for name in ("class", *_CORNERS)]
    with (
        atomic_write(path) as unfinished,
        unfinished.open("w", encoding="utf-8", errors="backslashreplace", newline="") as file,
    ):
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow([*header, "note"])
        writer.writerows(change.cells() for change in changes)


class _Corrector:
    """Applies corrections to splits.

    Attributes:
        splits: the splits by name; corrected ones are copies.
        log: all changes.
        messages: classes that are new.
    """

    def __init__(
        self, dataset: Path, corrections: Corrections, splits: dict[str, DatasetSplit]
    ) -> None:
        self.dataset, self.corrections = dataset, corrections
        self.splits = dict(splits)
        self.log: list[Change] = []
        self.messages: list[str] = []

    def apply(self) -> None:
        """Apply all corrections."""
        for name in dict.fromkeys(image.split for image in self.corrections.images):
            if name not in self.splits:
                names = truncate_list(list(self.splits))
                raise InputError(f"{self.dataset} has no split {name!r}, only {names}")
            own = [image for image in self.corrections.images if image.split == name]
            self.splits[name] = self._apply_to(self.splits[name], own)

    def _apply_to(
        self, split: DatasetSplit, corrections: Sequence[ImageCorrections]
    ) -> DatasetSplit:
        """A split with the corrections of its images."""
        check_coco(split.source, split.coco)
        categories = self._categories(split, corrections)
        editor = SplitEditor(replace(split, coco=split.coco | {"categories": categories}))
        for image in corrections:
            self.log += editor.apply(image)
        return editor.result()

    def _categories(
        self, split: DatasetSplit, corrections: Sequence[ImageCorrections]
    ) -> list[dict[str, Any]]:
        """The classes of a split, and those that corrections add to it."""
        categories = list(split.coco["categories"])
        used = [b for i in corrections for b in (*i.add, *(c.after for c in i.change))]
        known = {str(category["name"]) for category in categories}
        for name in dict.fromkeys(b.class_name for b in used if b.class_name not in known):
            taken = {category["id"] for category in categories}
            others = [c for s in self.splits.values() for c in s.coco["categories"]]
            same = [c["id"] for c in others if str(c["name"]) == name and c["id"] not in taken]
            categories.append({"id": same[0] if same else max(taken) + 1, "name": name})
            self.messages.append(f"{split.name}: class {name!r} is new")
        return categories
