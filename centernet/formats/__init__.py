"""Datasets of any common format, read as COCO content and written: COCO, Pascal VOC, YOLO."""

from centernet.annotations import Split
from centernet.formats.convert import Conversion, convert
from centernet.formats.reading import read_dataset

__all__ = ["Conversion", "Split", "convert", "read_dataset"]
