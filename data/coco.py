"""Fetch COCO 2017, unpack it, and leave it as training expects it.

    python data/coco.py                        # some 20 GB to fetch, as much again to unpack

An interrupted download goes on where it stopped. Without a network: fetch train2017.zip,
val2017.zip and annotations_trainval2017.zip elsewhere, put them in data/downloads, and run this.
"""

from pathlib import Path

from centernet.cli import run_script
from centernet.data.downloads import Archive, fetch_all, unpacked

SITE = "http://images.cocodataset.org"
ARCHIVES = (
    Archive(
        f"{SITE}/annotations/annotations_trainval2017.zip", md5="f4bbac642086de4f52a3fdda2de5fa2c"
    ),
    Archive(f"{SITE}/zips/val2017.zip", md5="442b8da7639aecaf257c1dceb8ba8c80"),
    Archive(f"{SITE}/zips/train2017.zip", md5="cced6f7f71b7629ddf16f17bbcfab6b2"),
)


def prepare(downloads: Path, output: Path) -> str:
    """Leave train2017, val2017 and annotations/instances_*.json in ``output``."""
    archives = fetch_all(ARCHIVES, downloads)
    with unpacked(archives, output, wanted=_wanted) as folder:
        if output.exists():
            output.rmdir()
        folder.rename(output)
    counts = {part: len(list((output / part).iterdir())) for part in ("train2017", "val2017")}
    return (
        f"{output}: {counts['train2017']} images for training, {counts['val2017']} for validation"
    )


def _wanted(name: str) -> bool:
    return not name.startswith("annotations/") or "instances_" in name


if __name__ == "__main__":
    run_script(__doc__, "data/coco", prepare)
