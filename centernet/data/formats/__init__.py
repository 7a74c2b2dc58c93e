"""Datasets of any common format, read as COCO content and written: COCO, Pascal VOC, YOLO."""

from centernet.data.annotations import DatasetSplit
from centernet.data.formats.convert import Conversion, convert
from centernet.data.formats.detect import read_dataset

__all__ = ["Conversion", "DatasetSplit", "convert", "read_dataset"]
