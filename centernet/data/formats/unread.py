"""Formats that are not read, so that an error can name them."""

from itertools import islice
from pathlib import Path

from centernet.data.formats.annotation_files import annotation_files, has_json

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
_MAX_FILES = 1000  # of a suffix, that are searched for a folder


def unread_dialect(source: Path) -> str | None:
    """What a file or folder contains, in a format that is known, but not read; None if unknown."""
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
