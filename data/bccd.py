"""Download BCCD, 364 images of blood cells (MIT), and convert it.

    python data/bccd.py                        # downloads 8 MB
    python train.py fit --config configs/bccd_resnet18.yaml

No checksum of the archive is published: the checksums inside it and the number of images are
checked. Without internet connection: download
https://github.com/Shenggan/BCCD_Dataset/archive/refs/heads/master.zip by other means, put it at
data/downloads/bccd.zip, and run this.
"""

from collections import defaultdict
from dataclasses import replace
from pathlib import Path

from pycocotools import mask as coco_mask

from centernet.cli import run_script
from centernet.data.annotations import DatasetSplit
from centernet.data.archives import unpacked
from centernet.data.downloads import Download, fetch
from centernet.data.formats import Conversion, convert_dataset, voc
from centernet.errors import InputError

ARCHIVE = Download(
    "https://github.com/Shenggan/BCCD_Dataset/archive/refs/heads/master.zip", "bccd.zip"
)
CLASSES = ("RBC", "WBC", "Platelets")
IMAGES = {"train": 205, "val": 87, "test": 72}
DUPLICATE_IOU = 0.8  # two boxes of a class with a higher IoU are one cell, annotated twice


def prepare(downloads: Path, output: Path) -> Conversion:
    """Write all images to ``output/images``, and the annotations of train, val and test."""
    with unpacked(fetch([ARCHIVE], downloads), output) as folder:
        splits = voc.read(folder, lists=tuple(IMAGES), names=CLASSES)
        found = {split.name: len(split.coco["images"]) for split in splits}
        if found != IMAGES:
            raise InputError(f"{ARCHIVE.url} has changed: it has {found} images, not {IMAGES}")
        splits = [without_duplicates(split) for split in splits]
        return convert_dataset(splits, output, images="link", image_folder="images")


def without_duplicates(split: DatasetSplit) -> DatasetSplit:
    """Remove the second of two boxes of one cell; eight cells are annotated twice."""
    file = {image["id"]: image["file_name"] for image in split.coco["images"]}
    kept, boxes_of = [], defaultdict(list)
    for annotation in split.coco["annotations"]:
        boxes = boxes_of[annotation["image_id"], annotation["category_id"]]
        box = annotation["bbox"]
        if boxes and coco_mask.iou([box], boxes, [0] * len(boxes)).max() > DUPLICATE_IOU:
            split.notes.append(f"{file[annotation['image_id']]}: left out a cell annotated twice")
            continue
        boxes.append(box)
        kept.append(annotation)
    return replace(split, coco=split.coco | {"annotations": kept})


if __name__ == "__main__":
    run_script(__doc__, "data/bccd", prepare)
