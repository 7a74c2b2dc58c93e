"""Images and crops for the check page, with boxes to draw over them."""

from collections.abc import Iterable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from centernet.analysis.check.cells import CellAssignment
from centernet.analysis.check.check_report import CheckReport
from centernet.analysis.check.findings import Finding
from centernet.analysis.check.split_arrays import SplitArrays
from centernet.analysis.images import Outline, Picture
from centernet.data.images import read_image
from centernet.errors import InputError
from centernet.inference.data_uris import picture_uri
from centernet.inference.drawing import class_color

_SAMPLES_PER_CLASS, _MAX_SAMPLES, _MAX_OUTLINES = 2, 16, 1500
_SAMPLE_SIDE, _CROP_SIDE = 560, 240
# Margin of a crop around its box, relative to the box and in pixels; the larger one counts.
_MARGIN, _MARGIN_PIXELS = 1.0, 24


def sample_images(report: CheckReport) -> list[Picture]:
    """A few images of each class; rare classes and the training split come first."""
    pictures: list[Picture] = []
    for arrays, image in _choose_samples(report):
        pixels = _read_pixels(arrays, image)
        if pixels is None:
            continue
        own = np.flatnonzero(arrays.usable & (arrays.image == image))
        caption = f"{arrays.split.name}: {arrays.files[image]}"
        if len(own) > _MAX_OUTLINES:
            caption += f" ({_MAX_OUTLINES:,} of {len(own):,} boxes)"
        pictures.append(
            Picture(
                picture_uri(pixels, _SAMPLE_SIDE),
                (pixels.shape[0], pixels.shape[1]),
                [_outline(arrays, annotation) for annotation in own[:_MAX_OUTLINES].tolist()],
                caption,
            )
        )
    return pictures


def crop_finding(report: CheckReport, finding: Finding) -> Picture | None:
    """The image or the box of a finding; None if there is no readable image."""
    arrays = next(arrays for arrays in report.splits if arrays.split.name == finding.split)
    if finding.file is None or finding.file not in arrays.files:
        return None
    pixels = _read_pixels(arrays, arrays.files.index(finding.file))
    if pixels is None:
        return None
    height, width = pixels.shape[:2]
    outlines = []
    if finding.box:
        x, y, w, h = finding.box
        margin = max(_MARGIN * max(w, h, 0), _MARGIN_PIXELS)
        left, right = (int(np.clip(v, 0, width)) for v in (x - margin, x + max(w, 0) + margin))
        top, bottom = (int(np.clip(v, 0, height)) for v in (y - margin, y + max(h, 0) + margin))
        if right - left > 1 and bottom - top > 1:
            pixels = pixels[top:bottom, left:right]
            box = (x - left, y - top, max(w, 1), max(h, 1))
            outlines = [Outline(box, "", class_color(0))]
    size = (pixels.shape[0], pixels.shape[1])
    return Picture(picture_uri(pixels, _CROP_SIDE), size, outlines, finding.what)


def _choose_samples(report: CheckReport) -> Iterable[tuple[SplitArrays, int]]:
    """Images that show each class, up to the maximum number."""
    both = list(zip(report.splits, report.assignments, strict=True))
    total = np.sum([np.bincount(_labels(*s), minlength=len(report.names)) for s in both], 0)
    chosen: dict[tuple[int, int], None] = {}
    for label in np.argsort(total, kind="stable"):
        found = 0
        for number, (arrays, assignment) in enumerate(both):
            images = arrays.image[assignment.objects][_labels(arrays, assignment) == label]
            for image in dict.fromkeys(images.tolist()):
                if found < _SAMPLES_PER_CLASS and len(chosen) < _MAX_SAMPLES:
                    found += 1
                    chosen[number, image] = None
    return [(report.splits[number], image) for number, image in chosen]


def _labels(arrays: SplitArrays, assignment: CellAssignment) -> NDArray[np.int64]:
    return arrays.label[assignment.objects]


def _outline(arrays: SplitArrays, annotation: int) -> Outline:
    color = class_color(int(arrays.label[annotation]))
    name = arrays.name(annotation) + " (ignore region)" * int(arrays.region[annotation])
    x, y, w, h = arrays.boxes[annotation].tolist()
    return Outline((x, y, w, h), name, color)


def _read_pixels(arrays: SplitArrays, image: int) -> NDArray[np.uint8] | None:
    try:
        return read_image(Path(arrays.split.images) / arrays.files[image])
    except InputError:
        return None
