"""Images and crops inside the page, with boxes to draw over them."""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from centernet.analysis.check.content import Content
from centernet.analysis.check.findings import Finding
from centernet.analysis.check.grid import Grid
from centernet.analysis.check.report import Report
from centernet.analysis.encode import picture_uri
from centernet.data.images import read_image
from centernet.errors import InputError
from centernet.inference.drawing import class_color

_SAMPLES_PER_CLASS, _MOST_SAMPLES, _MOST_OUTLINES = 2, 16, 1000
_SAMPLE_SIDE, _CROP_SIDE = 560, 240
# A crop shows so much around its box, times the box and at least in pixels.
_AROUND, _AROUND_PIXELS = 1.0, 24


@dataclass(frozen=True)
class Outline:
    """A box to draw: xywh in the picture's own pixels, its class and colour."""

    box: tuple[float, float, float, float]
    name: str
    color: str


@dataclass(frozen=True)
class Picture:
    """A picture in the page.

    Attributes:
        data: URI that holds it.
        size: (height, width) of what it shows, in which the boxes are given.
        outlines: the boxes.
        caption: below it.
    """

    data: str
    size: tuple[int, int]
    outlines: list[Outline]
    caption: str


def samples(report: Report) -> list[Picture]:
    """A few images of each class, rare classes first, of train before the other splits."""
    pictures: list[Picture] = []
    for content, image in _chosen(report):
        pixels = _pixels(content, image)
        if pixels is None:
            continue
        own = np.flatnonzero(content.usable & (content.image == image))[:_MOST_OUTLINES]
        caption = f"{content.split.name}: {content.files[image]}"
        pictures.append(
            Picture(
                picture_uri(pixels, _SAMPLE_SIDE),
                pixels.shape[:2],
                [_outline(content, a) for a in own],
                caption,
            )
        )
    return pictures


def crop(report: Report, finding: Finding) -> Picture | None:
    """What a finding is about; None where it has no image, or that cannot be read."""
    content = next(c for c in report.contents if c.split.name == finding.split)
    if finding.file is None or finding.file not in content.files:
        return None
    pixels = _pixels(content, content.files.index(finding.file))
    if pixels is None:
        return None
    height, width = pixels.shape[:2]
    outlines = []
    if finding.box:
        x, y, w, h = finding.box
        margin = max(_AROUND * max(w, h, 0), _AROUND_PIXELS)
        left, right = (int(np.clip(v, 0, width)) for v in (x - margin, x + max(w, 0) + margin))
        top, bottom = (int(np.clip(v, 0, height)) for v in (y - margin, y + max(h, 0) + margin))
        if right - left > 1 and bottom - top > 1:
            pixels = pixels[top:bottom, left:right]
            box = (x - left, y - top, max(w, 1), max(h, 1))
            outlines = [Outline(box, "", class_color(0))]
    return Picture(picture_uri(pixels, _CROP_SIDE), pixels.shape[:2], outlines, finding.what)


def _chosen(report: Report) -> Iterable[tuple[Content, int]]:
    """Images such that each class is seen in some, as far as there is room."""
    both = list(zip(report.contents, report.grids, strict=True))
    total = np.sum([np.bincount(_labels(c, g), minlength=len(report.names)) for c, g in both], 0)
    chosen: dict[tuple[int, int], None] = {}
    for label in np.argsort(total, kind="stable"):
        found = 0
        for number, (content, grid) in enumerate(both):
            images = content.image[grid.objects][_labels(content, grid) == label]
            for image in dict.fromkeys(images.tolist()):
                if found < _SAMPLES_PER_CLASS and len(chosen) < _MOST_SAMPLES:
                    found += 1
                    chosen[number, image] = None
    return [(report.contents[number], image) for number, image in chosen]


def _labels(content: Content, grid: Grid) -> NDArray[np.int64]:
    return content.label[grid.objects]


def _outline(content: Content, annotation: int) -> Outline:
    color = class_color(int(content.label[annotation]))
    name = content.name(annotation) + " (region)" * int(content.region[annotation])
    return Outline(tuple(content.boxes[annotation].tolist()), name, color)


def _pixels(content: Content, image: int) -> NDArray[np.uint8] | None:
    try:
        return read_image(Path(content.split.images) / content.files[image])
    except InputError:
        return None
