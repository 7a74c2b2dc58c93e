"""Download COCO 2017 and unpack it into the layout that training expects.

    python data/coco.py                        # downloads about 20 GB, unpacks as much again

An interrupted download resumes. Without internet connection: download train2017.zip, val2017.zip
and annotations_trainval2017.zip by other means, put them in data/downloads, and run this.
"""

from pathlib import Path

from centernet.cli import run_script
from centernet.data.archives import unpacked
from centernet.data.downloads import Download, fetch

SITE = "http://images.cocodataset.org"
ARCHIVES = (
    Download(
        f"{SITE}/annotations/annotations_trainval2017.zip",
        "annotations_trainval2017.zip",
        md5="f4bbac642086de4f52a3fdda2de5fa2c",
    ),
    Download(f"{SITE}/zips/val2017.zip", "val2017.zip", md5="442b8da7639aecaf257c1dceb8ba8c80"),
    Download(f"{SITE}/zips/train2017.zip", "train2017.zip", md5="cced6f7f71b7629ddf16f17bbcfab6b2"),
)


def prepare(downloads: Path, output: Path) -> str:
    """Write train2017, val2017 and annotations/instances_*.json to ``output``."""
    archives = fetch(ARCHIVES, downloads)
    with unpacked(archives, output, wanted=_is_wanted) as folder:
        if output.exists():
            output.rmdir()
        folder.rename(output)
    counts = {part: len(list((output / part).iterdir())) for part in ("train2017", "val2017")}
    return f"{output}: {counts['train2017']} training images, {counts['val2017']} validation images"


def _is_wanted(name: str) -> bool:
    return not name.startswith("annotations/") or "instances_" in name


if __name__ == "__main__":
    run_script(__doc__, "data/coco", prepare)
