"""The columns of CSV files with one box or point a row, whatever their names and their order."""

import csv
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from centernet.data.formats.outlines import box_of_corners, text_number
from centernet.data.images import SUFFIXES
from centernet.files import open_regular

# Names of columns without case and punctuation, best first.
_IMAGE = (
    *("imageid", "filename", "imagepath", "imagename", "image", "path", "file", "frame", "img"),
    *("location", "filepath", "imagefile", "imgpath", "imgname", "url", "imageurl"),
)
_CLASS = ("labelname", "class", "classname", "label", "category", "classid", "labelid")
_SCORE = ("score", "confidence", "probability", "conf")
_SPLIT = ("split", "subset", "set")
_CORNERS = (
    ("xmin", "ymin", "xmax", "ymax"),
    ("x1", "y1", "x2", "y2"),
    ("left", "top", "right", "bottom"),
    ("xtl", "ytl", "xbr", "ybr"),
)
_SIZES = (
    ("x", "y", "width", "height"),
    ("x", "y", "w", "h"),
    ("xmin", "ymin", "width", "height"),
    ("left", "top", "width", "height"),
    ("bboxx", "bboxy", "bboxwidth", "bboxheight"),
)
_BOX = ("bbox", "box", "boundingbox")
_POINTS = (
    *(("x", "y"), ("cx", "cy"), ("xc", "yc"), ("px", "py"), ("xcenter", "ycenter")),
    *(("centerx", "centery"), ("xcoord", "ycoord"), ("pointx", "pointy"), ("xpx", "ypx")),
)
_START = 1 << 14  # bytes that contain the first line
_WITHOUT_BOX = ("", "[]", "nan", "none")


@dataclass(frozen=True)
class Columns:
    """The numbers of the columns.

    Attributes:
        image: name of the image.
        box: x, y, and width and height or the opposite corner; or the column of a text such as
            ``[x, y, width, height]``; or x and y of a point.
        has_corners: whether the box is given by corners.
        label: class; None if there is none.
        sides: width and height of the image; None if there are none.
        split: name of the split; None if there is none.
        group: flag of boxes that enclose a group (Open Images); None if there is none.
        is_open_images: whether coordinates are fractions of the image's sides, as in Open Images.
        delimiter: character between columns.
        has_header: whether the first line has the names of the columns.
    """

    image: int
    box: tuple[int, ...]
    has_corners: bool
    label: int | None = None
    sides: tuple[int | None, int | None] = (None, None)
    split: int | None = None
    group: int | None = None
    is_open_images: bool = False
    delimiter: str = ","
    has_header: bool = True

    @property
    def has_points(self) -> bool:
        """Whether each row is a point."""
        return len(self.box) == 2

    def read_box(self, row: Sequence[str]) -> list[float] | None:
        """The box of a row as xywh, of a point [x, y].

        Returns:
            Empty if the row has none, None if it is malformed.
        """
        texts = [row[number].strip() if number < len(row) else "" for number in self.box]
        if all(text.lower() in _WITHOUT_BOX for text in texts):
            return []
        if len(texts) == 1:
            texts = re.split(r"[,;\s]+", texts[0].strip("[](){} "))
        values = [value for text in texts if (value := text_number(text)) is not None]
        if len(values) < len(texts) or len(values) != (2 if self.has_points else 4):
            return None
        return box_of_corners(values) if self.has_corners else values

    def text(self, row: Sequence[str], column: int | None) -> str:
        """The text of a column of a row; empty if there is none."""
        return row[column].strip() if column is not None and column < len(row) else ""


def find_columns(path: Path) -> Columns | None:
    """The columns of a CSV file of boxes or points, from its first line; None for another file."""
    try:
        with open_regular(path) as file:
            text = file.read(_START).decode("utf-8-sig", "replace")
    except OSError:
        return None
    line = next((line for line in text.splitlines() if line.strip()), "")
    delimiter = max(",;\t", key=line.count)
    try:
        cells = next(csv.reader([line], delimiter=delimiter), [])
    except csv.Error:
        return None
    return _from_header(cells, delimiter) or _without_header(cells, delimiter)


def _from_header(cells: Sequence[str], delimiter: str) -> Columns | None:
    """The columns by their names."""
    names = [re.sub(r"[^a-z0-9]", "", cell.lower()) for cell in cells]
    number_of = {name: number for number, name in reversed(list(enumerate(names)))}

    def first(choices: Sequence[str]) -> int | None:
        return next((number_of[name] for name in choices if name in number_of), None)

    def all_of(choices: Sequence[Sequence[str]]) -> tuple[int, ...]:
        found = (c for c in choices if number_of.keys() >= set(c))
        return tuple(number_of[name] for name in next(found, ()))

    # A CSV file with scores, such as detections.csv, lists detections and not ground truth.
    is_open_images = {"imageid", "labelname", "xmin"} <= number_of.keys()
    if not is_open_images and first(_SCORE) is not None:
        return None
    image = first(_IMAGE)
    corners, one = all_of(_CORNERS), first(_BOX)
    box = corners or ((one,) if one is not None else all_of(_SIZES) or all_of(_POINTS))
    if image is None or not box:
        return None
    width, height = (first((f"image{side}", side)) for side in ("width", "height"))
    return Columns(
        image,
        box,
        has_corners=bool(corners),
        label=first(_CLASS),
        sides=(width, height) if {width, height}.isdisjoint(box) else (None, None),
        split=first(_SPLIT),
        group=first(("isgroupof",)),
        is_open_images=is_open_images,
        delimiter=delimiter,
    )


def _without_header(cells: Sequence[str], delimiter: str) -> Columns | None:
    """The columns of a file whose first line is a row.

    They are those of RetinaNet, ``path,x1,y1,x2,y2,class``, or ``path,x,y,class``.
    """
    if len(cells) not in (4, 6) or Path(cells[0].strip()).suffix.lower() not in SUFFIXES:
        return None
    label = len(cells) - 1
    box = tuple(range(1, label))
    columns = Columns(0, box, label == 5, label=label, delimiter=delimiter, has_header=False)
    return None if columns.read_box(cells) is None else columns
