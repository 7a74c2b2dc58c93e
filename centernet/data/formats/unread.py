"""Annotations that are not read, so that an error can name them and the remedy."""

from itertools import islice
from pathlib import Path

from centernet.data.formats.annotation_files import annotation_files, has_json
from centernet.data.formats.text_rows import is_yolo, typical_rows
from centernet.files import open_regular

# Names of formats by keys of their JSON files.
_JSON = {
    "files of CreateML": ("annotations", "coordinates"),
    "files of VoTT": ("asset", "regions"),
    "files of Supervisely": ("classTitle", "exterior"),
    "files of V7 Darwin": ("item", "bounding_box"),
    "files of BDD100K or Scalabel": ("labels", "box2d"),
    "files of SuperAnnotate": ("metadata", "instances"),
}
_FOLDERS = {"labelTxt": "labels of DOTA", "label_2": "labels of KITTI"}
_SUFFIXES = {
    ".tfrecord": "TFRecord files",
    ".tfrecords": "TFRecord files",
    ".record": "TFRecord files",
    ".ndjson": "files of Labelbox",
    ".mat": "MATLAB files",
    ".parquet": "Parquet files",
}
_MAX_FILES = 1000  # of a suffix, that are searched
_MAX_HEADER = 1 << 12  # bytes
_AS_CSV = "write a CSV file with the columns filename,xmin,ymin,xmax,ymax,class in pixels"
_POINTS_AS_CSV = "write a CSV file with the columns filename,x,y,class in pixels"


def unread_content(source: Path) -> str | None:
    """What a file or folder contains that is known, but not read, and the remedy; None if unknown.

    To continue a sentence: "SOURCE contains ...".
    """
    if name := _dialect(source):
        return f"{name}, which are not read: export it as COCO, Pascal VOC or YOLO"
    return _rows(source) or _points(source)


def _dialect(source: Path) -> str | None:
    """The name of a format of files."""
    for name, keys in _JSON.items():
        if has_json(source, keys):
            return name
    for suffix, name in _SUFFIXES.items():
        if next(annotation_files(source, suffix), None):
            return name
    for path in islice(annotation_files(source, ".txt"), _MAX_FILES):
        if path.parent.name in _FOLDERS:
            return _FOLDERS[path.parent.name]
    return None


def _rows(source: Path) -> str | None:
    """Text files with rows of numbers."""
    found = typical_rows(annotation_files(source, ".txt"), _MAX_FILES)
    if found is None:
        return None
    path, rows = found
    row = " ".join(f"{value:g}" for value in rows[0])
    example = f"such as {row!r} in {path}"
    if is_yolo(rows):
        return f"YOLO labels, {example}, but no images of the same names: add the images"
    if len(rows[0]) in (2, 3):
        return f"points, {example}, which are not read from text files: {_POINTS_AS_CSV}"
    is_box = len(rows[0]) in (4, 5) and all(r[0] <= r[2] and r[1] <= r[3] for r in rows)
    meaning = "boxes as x1 y1 x2 y2" + " class" * (len(rows[0]) == 5) if is_box else "numbers"
    return f"text files with {meaning}, {example}, which are not read: {_AS_CSV}"


def _points(source: Path) -> str | None:
    """CSV files with the columns x and y, but without one that names the image."""
    for path in islice(annotation_files(source, ".csv"), _MAX_FILES):
        try:
            with open_regular(path) as file:
                header = file.readline(_MAX_HEADER).decode("utf-8-sig", "replace")
        except OSError:
            continue
        if {"x", "y"} <= {word.strip().lower() for word in header.split(",")}:
            return f"points, such as in {path}, without their images: {_POINTS_AS_CSV}"
    return None
