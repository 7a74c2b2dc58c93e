"""Fetch BCCD, 364 images of blood cells (MIT), unpack and convert it.

    python data/bccd.py                        # 8 MB
    python train.py fit --config configs/bccd_resnet18.yaml

No checksum of the archive is published: the sums inside it are checked, and how many images there
are. Without a network: fetch https://github.com/Shenggan/BCCD_Dataset/archive/refs/heads/master.zip
elsewhere, put it at data/downloads/bccd.zip, and run this.
"""

from collections import defaultdict
from pathlib import Path

from pycocotools import mask as coco_mask

from centernet.cli import run_script
from centernet.data.annotations import DatasetSplit
from centernet.data.downloads import Archive, fetch, unpacked
from centernet.data.formats import Conversion, convert, voc
from centernet.errors import InputError

ARCHIVE = Archive(
    "https://github.com/Shenggan/BCCD_Dataset/archive/refs/heads/master.zip", name="bccd.zip"
)
CLASSES = ("RBC", "WBC", "Platelets")
IMAGES = {"train": 205, "val": 87, "test": 72}
DOUBLE = 0.8  # IoU from which two boxes of a class are one cell, labelled twice


def prepare(downloads: Path, output: Path) -> Conversion:
    """Leave all images in ``output/images``, annotations for train, val and test beside them."""
    with unpacked([fetch(ARCHIVE, downloads)], output) as folder:
        splits = voc.read(folder, lists=tuple(IMAGES), names=CLASSES)
        found = {split.name: len(split.coco["images"]) for split in splits}
        if found != IMAGES:
            raise InputError(f"{ARCHIVE.url} has changed: it holds {found} images, not {IMAGES}")
        return convert(
            [without_doubles(s) for s in splits], output, images="link", image_folder="images"
        )


def without_doubles(split: DatasetSplit) -> DatasetSplit:
    """Leave out the second of two boxes of the same cell; eight cells are labelled twice."""
    file = {image["id"]: image["file_name"] for image in split.coco["images"]}
    kept, boxes_of = [], defaultdict(list)
    for annotation in split.coco["annotations"]:
        boxes = boxes_of[annotation["image_id"], annotation["category_id"]]
        box = annotation["bbox"]
        if boxes and coco_mask.iou([box], boxes, [0] * len(boxes)).max() > DOUBLE:
            split.notes.append(f"{file[annotation['image_id']]}: left out a cell labelled twice")
            continue
        boxes.append(box)
        kept.append(annotation)
    content = split.coco | {"annotations": kept}
    return DatasetSplit(split.name, split.images, content, split.source, split.notes)


if __name__ == "__main__":
    run_script(__doc__, "data/bccd", prepare)
