"""OIDv4 ToolKit: Open Images as a folder for each class, with label files in pixels.

Specification: the source code of the tool, https://github.com/EscVM/OIDv4_ToolKit. Beside its
images, the folder of a class has a folder ``Label`` with a text file for each image. A line is a
class name, which may have blanks, and two corners in pixels. An image with objects of several
classes has a copy in the folder of each.
"""

from pathlib import Path

from tqdm import tqdm

from centernet.data.annotations import DatasetSplit
from centernet.data.formats.annotation_files import annotation_files, any_of
from centernet.data.formats.base import Format
from centernet.data.formats.collection import Collection
from centernet.data.formats.outlines import box_of_corners, text_number
from centernet.data.formats.split_collector import CollectedImage
from centernet.data.formats.splits import lines_of
from centernet.errors import InputError


def read(source: Path) -> list[DatasetSplit]:
    """Read the label files of a folder; folders name the splits.

    Raises:
        InputError: a label file is not text.
    """
    files = _label_files(source)
    collection = Collection("OIDv4 ToolKit", source, files, by_folder=True)
    images: dict[tuple[str, str], CollectedImage | None] = {}
    for path in tqdm(files, "reading", delay=1, disable=None, leave=False):
        split = collection.split(path)
        key = split.name, path.stem
        if key in images:
            split.remark("copies of an image, read as one", path)
        else:
            images[key] = split.image(path.stem, (None, None), path)
        image = images[key]
        for number, line in enumerate(lines_of(path), 1):
            if image is not None and line.strip():
                *name, x1, y1, x2, y2 = ["", "", "", "", *line.split()]
                corners = [value for w in (x1, y1, x2, y2) if (value := text_number(w)) is not None]
                box = box_of_corners(corners) if len(corners) == 4 else None
                split.add(image, " ".join(filter(None, name)), box, f"line {number} of {path}")
    return collection.results()


def _is_label_file(path: Path) -> bool:
    """Whether the first line is a class name and four numbers; other tools write only numbers."""
    try:
        words = next((line.split() for line in lines_of(path) if line.strip()), [])
    except InputError:
        return False
    values = [text_number(word) for word in words]
    return len(words) >= 5 and values[0] is None and None not in values[-4:]


def _label_files(source: Path) -> list[Path]:
    if not source.is_dir():
        return []
    return [p for p in annotation_files(source, ".txt") if p.parent.name.lower() == "label"]


FORMAT = Format(
    name="oidv4",
    files="label files of the OIDv4 ToolKit",
    detect=lambda source: any_of(_label_files(source), _is_label_file),
    read=read,
    is_tool=True,
)
