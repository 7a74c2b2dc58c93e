"""Fetch Pascal VOC 2007 and 2012, unpack and convert them: trainval of both to train, test of 2007.

    python data/voc.py                         # some 3 GB to fetch, as much again to unpack
    python train.py fit --config configs/voc_resdcn18.yaml

Objects marked difficult become ignore regions. An interrupted download goes on where it stopped.
Without a network: fetch VOCtrainval_06-Nov-2007.tar, VOCtest_06-Nov-2007.tar and
VOCtrainval_11-May-2012.tar elsewhere, put them in data/downloads, and run this.
"""

from pathlib import Path

from centernet.cli import run_script
from centernet.data.class_names import VOC
from centernet.data.downloads import Archive, fetch_all, unpacked
from centernet.data.formats import Conversion, convert, voc
from centernet.data.formats.prepare import join

SITE = "https://thor.robots.ox.ac.uk/pascal/VOC"
ARCHIVES = (
    Archive(f"{SITE}/voc2007/VOCtrainval_06-Nov-2007.tar", md5="c52e279531787c972589f7e41ab4ae64"),
    Archive(f"{SITE}/voc2007/VOCtest_06-Nov-2007.tar", md5="b6e924de25625d8de591ea690078ad9f"),
    Archive(f"{SITE}/voc2012/VOCtrainval_11-May-2012.tar", md5="6cd6e144f989b92b3379bac3b3de84fd"),
)
WANTED = ("/Annotations/", "/JPEGImages/", "/ImageSets/Main/")  # the rest is of other tasks


def prepare(downloads: Path, output: Path) -> Conversion:
    """Leave all images in ``output/images``, annotations for trainval and test beside them."""
    archives = fetch_all(ARCHIVES, downloads)
    with unpacked(archives, output, wanted=lambda name: any(w in name for w in WANTED)) as folder:
        old, new = folder / "VOCdevkit" / "VOC2007", folder / "VOCdevkit" / "VOC2012"
        trainval, test = voc.read(old, lists=("trainval", "test"), names=VOC)
        (more,) = voc.read(new, lists=("trainval",), names=VOC)
        return convert(
            [join("trainval", [trainval, more]), test], output, images="link", image_folder="images"
        )


if __name__ == "__main__":
    run_script(__doc__, "data/voc", prepare)
