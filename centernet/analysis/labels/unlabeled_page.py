"""The ranking of unlabeled images as a page and as CSV."""

import csv
from collections.abc import Sequence
from pathlib import Path

from centernet.analysis.html import render, write_html
from centernet.analysis.images import Outline, Picture
from centernet.analysis.labels.unlabeled import UnlabeledImage
from centernet.data.images import load_image
from centernet.files import atomic_write
from centernet.inference.data_uris import picture_uri
from centernet.inference.drawing import class_color

_SIDE = 560
_CERTAIN = 0.5  # minimum score of a box that is drawn solid


def write_unlabeled_page(
    path: Path, images: Sequence[UnlabeledImage], class_names: Sequence[str], *, total: int
) -> None:
    """Write a page with pictures of the first images.

    Raises:
        InputError: the file cannot be written, or an image cannot be read.
    """
    pictures = [_picture(rank, image, class_names) for rank, image in enumerate(images, 1)]
    pieces = render(
        "analysis/labels/unlabeled_page.html",
        name=path.parent.name,
        pictures=pictures,
        total=total,
        certain=_CERTAIN,
    )
    write_html(path, pieces)


def write_ranking(path: Path, images: Sequence[UnlabeledImage]) -> None:
    """Write one row for each image.

    Raises:
        InputError: the file cannot be written.
    """
    with (
        atomic_write(path) as unfinished,
        unfinished.open("w", newline="", encoding="utf-8", errors="backslashreplace") as file,
    ):
        writer = csv.writer(file)
        writer.writerow(["file", "gain", "detections", "uncertain", "unstable"])
        for image in images:
            sums = (image.gain, image.uncertain.sum(), image.unstable.sum())
            gain, uncertain, unstable = (round(float(value), 4) for value in sums)
            writer.writerow([image.path, gain, len(image.scores), uncertain, unstable])


def _picture(rank: int, image: UnlabeledImage, class_names: Sequence[str]) -> Picture:
    outlines = []
    rows = zip(image.boxes.tolist(), image.labels.tolist(), image.scores.tolist(), strict=True)
    for (x1, y1, x2, y2), label, score in rows:
        name = f"{class_names[label]} {score:.2f}"
        box = (x1, y1, x2 - x1, y2 - y1)
        outlines.append(Outline(box, name, class_color(label), is_dashed=score < _CERTAIN))
    caption = f"{rank}. {image.path.name}: gain {image.gain:.1f}, {len(image.scores)} detections"
    return Picture(picture_uri(load_image(image.path), _SIDE), image.size, outlines, caption)
