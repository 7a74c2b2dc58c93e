"""Text files with a line for each image: its name, then its boxes.

Specification: https://github.com/qqwweee/keras-yolo3#training. A box is ``x1,y1,x2,y2,class`` in
pixels, without blanks; a file of class names lies beside. Roboflow writes this as "YOLO Keras TXT":
``_annotations.txt`` and ``_classes.txt`` in the folder of each split.
"""

from collections.abc import Iterator
from itertools import islice
from pathlib import Path

from tqdm import tqdm

from centernet.data.annotations import DatasetSplit
from centernet.data.formats.base import Format
from centernet.data.formats.collection import Collection
from centernet.data.formats.outlines import box_of_corners, text_number
from centernet.data.formats.splits import is_hidden, lines_of
from centernet.data.images import SUFFIXES
from centernet.files import open_regular

_FILES = ("*annotation*.txt", "train.txt", "val.txt", "valid.txt", "test.txt")
_CLASSES = "*classes*.txt"
_START = 1 << 16  # bytes that decide about a file


def read(source: Path) -> list[DatasetSplit]:
    """Read the files of a folder, or one file; names of files and folders name the splits.

    Raises:
        InputError: a file is not text.
    """
    files = list(_files(source))
    collection = Collection("Keras TXT", source, files, how_to_list="as a line of the file name")
    names: list[str] = []
    for path in files:
        split, own = collection.split(path), _class_names(path)
        names = own if len(own) > len(names) else names
        lines = tqdm(lines_of(path), path.name, delay=1, disable=None, leave=False)
        for number, (name, boxes) in enumerate(map(_parse, lines), 1):
            image = split.image(name, (None, None), path) if name else None
            if image is None:
                continue
            for *corners, label in boxes:
                is_named = label.is_integer() and 0 <= label < len(own)
                label_name = own[int(label)] if is_named else f"{label:g}"
                box = box_of_corners(corners)
                split.add(image, label_name, box, f"line {number} of {path}")
    return collection.results(names)


def _files(source: Path) -> Iterator[Path]:
    """The files of the format: the source, or those in a folder and its subfolders."""
    if source.is_file():
        candidates = [source] if source.suffix.lower() == ".txt" else []
    else:
        patterns = (f"{folder}{name}" for folder in ("", "*/") for name in _FILES)
        candidates = sorted({path for pattern in patterns for path in source.glob(pattern)})
    yield from (path for path in candidates if not is_hidden(path) and _is_of_format(path))


def _is_of_format(path: Path) -> bool:
    """Whether one of the first lines is the name of an image with boxes."""
    try:
        with open_regular(path) as file:
            lines = file.read(_START).decode("utf-8-sig", "replace").splitlines()
    except OSError:
        return False
    parsed = map(_parse, islice(lines, 20))
    return any(boxes and Path(name).suffix.lower() in SUFFIXES for name, boxes in parsed)


def _parse(line: str) -> tuple[str, list[list[float]]]:
    """The name in a line, which may contain blanks, and the five numbers of each box."""
    words = line.split()
    boxes: list[list[float]] = []
    while words:
        values = [text_number(value) for value in words[-1].split(",")]
        numbers = [value for value in values if value is not None]
        if len(numbers) != 5 or len(values) != 5:
            break
        boxes.append(numbers)
        words.pop()
    return " ".join(words), boxes[::-1]


def _class_names(path: Path) -> list[str]:
    """The lines of the file of class names beside a file, or in the folder above."""
    for folder in (path.parent, path.parent.parent):
        if file := next(iter(sorted(folder.glob(_CLASSES))), None):
            return [name for line in lines_of(file) if (name := line.strip())]
    return []


FORMAT = Format(
    name="keras_txt",
    files="Keras TXT files",
    detect=lambda source: next(_files(source), None) is not None,
    read=read,
)
