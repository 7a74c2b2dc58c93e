"""Dataset formats, each read as COCO content; COCO JSON, Pascal VOC and YOLO are also written."""

from centernet.data.annotations import DatasetSplit
from centernet.data.formats.convert import Conversion, convert_dataset
from centernet.data.formats.detect import read_dataset

__all__ = ["Conversion", "DatasetSplit", "convert_dataset", "read_dataset"]
