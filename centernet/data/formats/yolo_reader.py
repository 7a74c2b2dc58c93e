"""Read the lines of YOLO label files, also as other programs write them."""

import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from centernet.data.annotations import DatasetSplit
from centernet.data.formats.data_yaml import Description
from centernet.data.formats.pixel_labels import read_pixels
from centernet.data.formats.remarks import Remarks
from centernet.data.formats.yolo_labels import LabelFiles
from centernet.data.images import image_size
from centernet.errors import InputError
from centernet.files import read_text

_MAX_CLASSES = 10_000  # unnamed classes; larger numbers are errors


class LabelReader:
    """Reads the labels of one split.

    Attributes:
        unnamed: class numbers that no name has.
        has_zero: whether the class number 0 occurs.
        notes: what was guessed, left out or changed.
    """

    def __init__(self, split: str, description: Description, notes: list[str]) -> None:
        """Prepare to read.

        Args:
            split: name of the split.
            description: description of the dataset.
            notes: list to which omissions and changes are appended.
        """
        self.split, self.notes, self.source = split, notes, description.path
        self.names, self.has_keypoints = description.names, description.has_keypoints
        self.labels = LabelFiles(description.base)
        self.unnamed, self.has_zero = set[int](), False
        self._number_of = {name: i for i, name in (self.names or {}).items()}
        self._remarks = Remarks()

    def read(self, folder: Path, paths: Sequence[Path]) -> DatasetSplit:
        """Read the labels of image files in ``folder``."""
        images: list[dict[str, Any]] = []
        annotations: list[dict[str, Any]] = []
        unlabeled = []
        for path in tqdm(paths, f"reading {self.split}", delay=1, disable=None, leave=False):
            try:
                height, width = image_size(path)
            except InputError as error:
                self._remarks.add("images that cannot be read, left out", error)
                continue
            name = Path(os.path.relpath(path, folder)).as_posix()
            image = {"id": len(images) + 1, "file_name": name, "width": width, "height": height}
            images.append(image)
            label_file = self.labels.find(path)
            if label_file is None or not label_file.is_file():
                unlabeled.append(label_file)
                continue
            for label in self._labels(label_file, width, height):
                number = {"id": len(annotations) + 1, "image_id": image["id"]}
                annotations.append(number | label)
        if unlabeled:
            self.notes.append(
                f"{folder}: {len(unlabeled)} of {len(images)} images have no label file and so no "
                f"objects, such as {unlabeled[0]}"
            )
        sizes = {image["id"]: (image["width"], image["height"]) for image in images}
        if repaired := read_pixels(annotations, sizes):
            self.notes.append(f"{folder}: {repaired}")
        self.notes += self._remarks.lines(folder)
        categories = [{"id": i + 1, "name": name} for i, name in (self.names or {}).items()]
        content = {"images": images, "annotations": annotations, "categories": categories}
        return DatasetSplit(self.split, folder, content, self.source, self.notes)

    def _labels(self, path: Path, width: int, height: int) -> Iterator[dict[str, Any]]:
        """The labels of a file as COCO annotations without ids; note invalid lines."""
        try:
            text = read_text(path, errors="replace")
        except OSError as error:
            self._remarks.add("label files that cannot be read, left out", f"{path}: {error}")
            return
        for number, line in enumerate(text.splitlines(), 1):
            if not line.strip():
                continue
            where = f"{line.strip()[:60]!r} in {path}:{number}"
            try:
                with np.errstate(over="ignore", invalid="ignore"):
                    label = self._label(self._words(line, where), np.array([width, height]), where)
                yield label
            except ValueError as error:
                self._remarks.add(f"lines left out, {error}", where)

    def _words(self, line: str, where: str) -> list[str]:
        """The words of a line, with the number of a class in the place of its name."""
        words = line.split()
        is_separated = all(word[-1] in ",;" for word in words[:-1])
        if is_separated and line.count(",") + line.count(";") >= 4:
            self._remarks.add("lines with commas or semicolons, read as blanks", where)
            # Beside semicolons, commas are those of decimals.
            words = line.replace(",", "." if ";" in line else " ").replace(";", " ").split()
        # A name may have blanks; as another program writes names, there are boxes only.
        name = " ".join(words[:-4])
        if name in self._number_of and not _is_number(name):
            self._remarks.add("lines with the name of a class, read as its number", where)
            words = [str(self._number_of[name]), *words[-4:]]
        return words

    def _label(self, words: list[str], size: NDArray[np.int64], where: str) -> dict[str, Any]:
        """One line as a COCO annotation; ``size`` is (width, height) of the image."""
        if not all(map(_is_number, words)):
            raise ValueError("which have a word that is no number")
        numbers = np.array([float(word) for word in words])
        label, values = numbers[0], numbers[1:]
        is_number = not label % 1 and 0 <= label < _MAX_CLASSES
        self.has_zero |= label == 0
        if is_number and self.names is not None and label not in self.names:
            self.unnamed.add(int(label))
        if not (is_number if self.names is None else label in self.names):
            raise ValueError("whose class number has no name")
        is_polygon = len(values) >= 6 and len(values) % 2 == 0 and not self.has_keypoints
        if not (len(values) == 4 or is_polygon or (self.has_keypoints and len(values) > 4)):
            raise ValueError("which are neither a class and a box nor a class and a polygon")
        found: dict[str, Any] = {"category_id": int(label) + 1, "iscrowd": 0}
        if is_polygon:
            self._remarks.add("polygons are read as their boxes", where)
            points = values.reshape(-1, 2) * size
            low, extent = points.min(0), np.ptp(points, axis=0)
            x, y = points.T
            area = abs(np.dot(x, np.roll(y, 1)) - np.dot(y, np.roll(x, 1))) / 2
            found["segmentation"] = [points.ravel().tolist()]
        else:
            extent = values[2:4] * size
            low = values[:2] * size - extent / 2
            area = extent.prod()
        return found | {"bbox": [*low.tolist(), *extent.tolist()], "area": float(area)}


def _is_number(word: str) -> bool:
    try:
        float(word)
    except ValueError:
        return False
    return True
