"""Download Pascal VOC 2007 and 2012 and convert them: trainval of both for training, test of 2007.

    python data/voc.py                         # downloads about 3 GB, unpacks as much again
    python train.py fit --config configs/voc_resdcn18.yaml

Objects marked difficult become ignore regions. An interrupted download resumes. Without internet
connection: download VOCtrainval_06-Nov-2007.tar, VOCtest_06-Nov-2007.tar and
VOCtrainval_11-May-2012.tar by other means, put them in data/downloads, and run this.
"""

from pathlib import Path

from centernet.cli import run_script
from centernet.data.archives import unpacked
from centernet.data.class_names import VOC
from centernet.data.downloads import Download, fetch
from centernet.data.formats import Conversion, convert_dataset, voc
from centernet.data.formats.prepare import merge

SITE = "https://thor.robots.ox.ac.uk/pascal/VOC"
MD5 = {
    "voc2007/VOCtrainval_06-Nov-2007.tar": "c52e279531787c972589f7e41ab4ae64",
    "voc2007/VOCtest_06-Nov-2007.tar": "b6e924de25625d8de591ea690078ad9f",
    "voc2012/VOCtrainval_11-May-2012.tar": "6cd6e144f989b92b3379bac3b3de84fd",
}
ARCHIVES = [Download(f"{SITE}/{path}", Path(path).name, md5) for path, md5 in MD5.items()]
WANTED = ("/Annotations/", "/JPEGImages/", "/ImageSets/Main/")  # the rest is for other tasks


def prepare(downloads: Path, output: Path) -> Conversion:
    """Write all images to ``output/images``, and the annotations of trainval and test."""
    archives = fetch(ARCHIVES, downloads)
    with unpacked(archives, output, wanted=lambda name: any(w in name for w in WANTED)) as folder:
        old, new = folder / "VOCdevkit" / "VOC2007", folder / "VOCdevkit" / "VOC2012"
        trainval, test = voc.read(old, lists=("trainval", "test"), names=VOC)
        (more,) = voc.read(new, lists=("trainval",), names=VOC)
        splits = [merge("trainval", [trainval, more]), test]
        return convert_dataset(splits, output, images="link", image_folder="images")


if __name__ == "__main__":
    run_script(__doc__, "data/voc", prepare)
