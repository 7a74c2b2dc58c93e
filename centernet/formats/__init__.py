"""Datasets of any common format, read as COCO content: COCO, Pascal VOC, YOLO."""

from centernet.annotations import Split
from centernet.formats.reading import read_dataset

__all__ = ["Split", "read_dataset"]
