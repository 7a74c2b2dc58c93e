"""CSV files with one box or one point a row.

Sources of the dialects:

- TensorFlow, ``filename,width,height,class,xmin,ymin,xmax,ymax``:
  https://roboflow.com/formats/tensorflow-object-detection-csv
- Kaggle, ``image_id,width,height,bbox`` with ``[x, y, width, height]`` and names without suffix:
  https://www.kaggle.com/competitions/global-wheat-detection/data
- RetinaNet, ``path,x1,y1,x2,y2,class`` without header; a row without values is an image without
  objects: https://github.com/fizyr/keras-retinanet#csv-datasets
- Open Images, fractions of the image's sides, with the names of classes in another file:
  https://storage.googleapis.com/openimages/web/download_v7.html
- points, ``filename,x,y,class``, with or without a header
"""

import csv
import io
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path

from tqdm import tqdm

from centernet.data.annotations import DatasetSplit
from centernet.data.formats.annotation_files import annotation_files, any_of
from centernet.data.formats.base import Format, counted, objects_by_image
from centernet.data.formats.collection import Collection
from centernet.data.formats.csv_columns import Columns, find_columns
from centernet.data.formats.outlines import text_number
from centernet.data.formats.split_collector import CollectedImage, SplitCollector
from centernet.data.formats.splits import USUAL_SPLITS, split_name
from centernet.errors import InputError
from centernet.files import open_regular

_HEADER = ("filename", "width", "height", "class", "xmin", "ymin", "xmax", "ymax")
_POINT_HEADER = ("filename", "x", "y", "class")
_EMPTY_ROW = "as a row with empty cells after the file name"
_ROBOFLOW_CSV, _ROBOFLOW_README = "_annotations.csv", "README.roboflow.txt"
_ONE_CLASS = "object"  # if there is no column of classes
_MAX_BYTES = 2**32  # the largest file of Open Images has 2.3 GB
_DESCRIPTIONS = re.compile(r"class[-_]descriptions.*\.csv$")


def read(source: Path) -> list[DatasetSplit]:
    """Read the CSV files of boxes and points in a folder, or one file.

    A column ``split``, or else the names of files and folders, name the splits.

    Raises:
        InputError: a file is not CSV in UTF-8, or an image matches several files.
    """
    found = list(annotation_files(source, ".csv"))
    columns_of = {path: columns for path in found if (columns := find_columns(path))}
    is_open_images = any(columns.is_open_images for columns in columns_of.values())
    dialect = "Open Images CSV" if is_open_images else "CSV"
    collection = Collection(dialect, source, columns_of, how_to_list=_EMPTY_ROW)
    names = _descriptions(annotation_files(collection.root, ".csv")) if is_open_images else {}
    for path, columns in columns_of.items():
        reader = _Reader(path, columns, collection, names)
        rows = _read_rows(path, columns)
        for line, row in tqdm(rows, path.name, delay=1, disable=None, leave=False):
            reader.read(line, row)
    collection.add_unlisted(_roboflow_file)
    return collection.results()


def _roboflow_file(image: Path) -> Path | None:
    """The CSV file of Roboflow beside an image; it lists no images without objects.

    Other programs list only what has been annotated, so that an unlisted image is not certain to
    have no objects.
    """
    file = image.parent / _ROBOFLOW_CSV
    readme = (folder / _ROBOFLOW_README for folder in (image.parent, image.parent.parent))
    return file if file.is_file() and any(path.is_file() for path in readme) else None


class _Reader:
    """Reads the rows of one file; ``names`` are those of Open Images' classes by their code."""

    def __init__(
        self, path: Path, columns: Columns, collection: Collection, names: Mapping[str, str]
    ) -> None:
        self._path, self._columns, self._names = path, columns, names
        self._collection = collection
        self._images: dict[str, tuple[SplitCollector, CollectedImage | None]] = {}
        collection.split(path)

    def read(self, line: int, row: Sequence[str]) -> None:
        """Add the image and the box or point of a row."""
        columns = self._columns
        split, image = self._image(row)
        if image is None or (box := columns.read_box(row)) == []:
            return
        where = f"line {line} of {self._path}"
        if box and columns.is_open_images:
            if image.sides is None:
                split.remark("objects of images of unknown size, left out", where)
                return
            box = [value * side for value, side in zip(box, image.sides * 2, strict=True)]
        label = columns.text(row, columns.label)
        if columns.label is None:
            split.remark(f"objects without a column of classes, read as {_ONE_CLASS!r}", where)
            label = _ONE_CLASS
        if columns.is_open_images and label and label not in self._names:
            split.remark("objects whose class has no name in a class-descriptions.csv", where)
        if columns.has_points:
            split.add_point(image, label, box, where)
            return
        is_group = columns.text(row, columns.group) == "1"
        split.add(image, self._names.get(label, label), box, where, ignore=is_group)

    def _image(self, row: Sequence[str]) -> tuple[SplitCollector, CollectedImage | None]:
        """The image of a row, and its split."""
        columns = self._columns
        name = columns.text(row, columns.image)
        if name not in self._images:
            subset = split_name(columns.text(row, columns.split))
            split = self._collection.split(self._path, subset if subset in USUAL_SPLITS else None)
            width, height = (text_number(columns.text(row, side)) for side in columns.sides)
            # Open Images lists two million images; most users have a part of them.
            image = split.image(
                name, (width, height), self._path, is_optional=columns.is_open_images
            )
            self._images[name] = split, image
        return self._images[name]


def _descriptions(files: Iterable[Path]) -> dict[str, str]:
    """The names of Open Images' classes by their codes."""
    plain = Columns(0, (), False, has_header=False)
    return {
        row[0].strip(): row[1].strip()
        for path in files
        if _DESCRIPTIONS.search(path.name.lower())
        for _, row in _read_rows(path, plain)
        if len(row) == 2
    }


def _read_rows(path: Path, columns: Columns) -> Iterator[tuple[int, list[str]]]:
    """Line numbers and cells of the rows of a file, one at a time.

    Raises:
        InputError: the file cannot be read, is too large, or is not CSV in UTF-8.
    """
    try:
        with open_regular(path) as file:
            if (size := file.seek(0, io.SEEK_END)) > _MAX_BYTES:
                raise InputError(f"{path} has {size:,} bytes, more than {_MAX_BYTES:,}: split it")
            file.seek(0)
            text = io.TextIOWrapper(file, encoding="utf-8-sig", newline="")
            reader = csv.reader(text, delimiter=columns.delimiter)
            is_header = columns.has_header
            for row in reader:
                if any(cell.strip() for cell in row):
                    if not is_header:
                        yield reader.line_num, row
                    is_header = False
    except OSError as error:
        raise InputError(f"cannot read {path}: {error.strerror or error}") from None
    except (UnicodeDecodeError, csv.Error) as error:
        raise InputError(f"{path} is not CSV in UTF-8: {error}") from None


def write(splits: Sequence[DatasetSplit], folder: Path) -> list[str]:
    """Write ``SPLIT.csv`` in TensorFlow's dialect; an image without boxes has an empty row.

    Points are written to ``SPLIT_points.csv``.

    Returns:
        What the format cannot represent, one line each.
    """
    lost = Counter[str]()
    for split in splits:
        points: list[tuple[object, ...]] = []
        with (folder / f"{split.name}.csv").open("w", encoding="utf-8", newline="") as file:
            rows = csv.writer(file)
            rows.writerow(_HEADER)
            for image, objects in objects_by_image(split, lost):
                start = image["file_name"], image["width"], image["height"]
                boxes = [found for found in objects if not found.is_point]
                if not boxes:
                    rows.writerow([*start, *[""] * 5])
                for found in boxes:
                    rows.writerow([*start, found.name, *_texts(found.corners)])
                points += [
                    (start[0], *_texts(found.corners[:2]), found.name)
                    for found in objects
                    if found.is_point
                ]
        if points:
            path = folder / f"{split.name}_points.csv"
            with path.open("w", encoding="utf-8", newline="") as file:
                csv.writer(file).writerows([_POINT_HEADER, *points])
    return counted(lost)


def _texts(numbers: Iterable[float]) -> list[str]:
    return [f"{number:.10g}" for number in numbers]


FORMAT = Format(
    name="csv",
    files="CSV files of boxes or points",
    detect=lambda source: any_of(annotation_files(source, ".csv"), find_columns),
    read=read,
    write=write,
    image_folder="{}",
    has_ignore_regions=False,
    has_points=True,
    is_tool=True,
)
