"""The page that corrects labels: suspected errors, the most probable first, to accept or reject."""

import hashlib
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from markupsafe import Markup
from numpy.typing import NDArray

from centernet.analysis.html import render, script_json, write_html
from centernet.analysis.inspector.analyze import ImageMaps
from centernet.analysis.labels.corrections import rounded_box
from centernet.analysis.labels.corrections_file import VERSION
from centernet.analysis.labels.suspicions import LabelError, SuspectImage, Suspicion
from centernet.inference.data_uris import heatmap_uri, picture_uri
from centernet.inference.drawing import HEAT_COLORS, class_color

_THUMBNAIL_SIDE, _THUMBNAIL_QUALITY = 72, 60
_CONTEXT = 1.8  # side of a thumbnail, relative to its boxes
_MIN_SIDE = 24  # pixels of the image in a thumbnail
_MIN_VISIBLE = 0.01  # a heatmap without a higher value is omitted, because it would be black


def write_labels_page(
    path: Path,
    class_names: Sequence[str],
    images: Iterable[tuple[SuspectImage, ImageMaps]],
    *,
    dataset: str,
    total: int,
) -> None:
    """Write the page, one self-contained HTML file.

    Images are encoded one after the other, so that memory does not grow with their number.

    Args:
        path: the HTML file.
        class_names: class names by label.
        images: the images to show, with their pixels and heatmaps.
        dataset: name of the dataset.
        total: number of suspicions in all images, also in those that are not shown.

    Raises:
        InputError: the file cannot be written.
    """
    content = _Content(tuple(class_names), dataset, total)
    pieces = render(
        "analysis/labels/labels_page.html",
        dataset=dataset,
        pictures=content.pictures(images),
        about=content.about,
    )
    write_html(path, pieces)


class _Content:
    """Collects the data of the page, except the pictures, while these are written."""

    def __init__(self, class_names: Sequence[str], dataset: str, total: int) -> None:
        self.class_names, self.dataset, self.total = class_names, dataset, total
        self.images: list[dict[str, Any]] = []
        self.suspicions: list[dict[str, Any]] = []

    def pictures(self, images: Iterable[tuple[SuspectImage, ImageMaps]]) -> Iterator[Markup]:
        """The picture and heatmaps of each image as JSON."""
        for suspect, maps in images:
            for suspicion in suspect.suspicions:
                entry = _suspicion(suspect, suspicion, maps.pixels)
                self.suspicions.append({"image": len(self.images)} | entry)
            self.images.append(_image(suspect, maps))
            yield script_json(_pictures(suspect, maps))

    def about(self) -> dict[str, Any]:
        """The data for the scripts of the page; complete after all pictures."""
        values: dict[str, Any] = {
            "version": VERSION,
            "dataset": self.dataset,
            "classes": [
                {"name": name, "color": class_color(i)} for i, name in enumerate(self.class_names)
            ],
            "kinds": list(map(str, LabelError)),
            "images": self.images,
            "suspicions": sorted(self.suspicions, key=lambda entry: -entry["score"]),
            "total": self.total,
            "heat_colors": HEAT_COLORS.tolist(),
        }
        # Decisions are stored in the browser for this content.
        digest = hashlib.sha256(script_json(values).encode(errors="backslashreplace")).hexdigest()
        return values | {"digest": digest[:16]}


def _image(suspect: SuspectImage, maps: ImageMaps) -> dict[str, Any]:
    """An image with its annotations."""
    image, (height, width) = suspect.image, maps.pixels.shape[:2]
    scale, shift = maps.matrix[[0, 1], [0, 1]], maps.matrix[:, 2]
    return {
        "split": image.split,
        "file_name": image.file_name,
        "width": width,
        "height": height,
        # From cells to pixels: x = scale * column + shift.
        "matrix": [round(float(v), 4) for v in (scale[0], shift[0], scale[1], shift[1])],
        "boxes": [rounded_box(box) for box in image.boxes],
        "labels": image.labels.tolist(),
    }


def _suspicion(
    suspect: SuspectImage, suspicion: Suspicion, pixels: NDArray[np.uint8]
) -> dict[str, Any]:
    boxes = suspicion.boxes if suspicion.label is not None else suspicion.boxes[:0]
    of_objects = suspect.image.boxes[list(suspicion.objects)]
    crop = _crop(pixels, np.concatenate([boxes.reshape(-1, 4), of_objects.reshape(-1, 4)]))
    return {
        "kind": str(suspicion.kind),
        "score": round(float(suspicion.score), 6),
        "objects": list(suspicion.objects),
        "boxes": [rounded_box(box) for box in boxes],
        "label": suspicion.label,
        "reason": suspicion.reason,
        "thumbnail": picture_uri(crop, _THUMBNAIL_SIDE, _THUMBNAIL_QUALITY),
    }


def _crop(pixels: NDArray[np.uint8], boxes: NDArray) -> NDArray[np.uint8]:
    """A square of an image around boxes, with some context."""
    height, width = pixels.shape[:2]
    low, high = boxes[:, :2].min(0), boxes[:, 2:].max(0)
    side = min(max(_CONTEXT * float((high - low).max()), _MIN_SIDE), height, width)
    limits = np.array([width - side, height - side])
    left, top = np.clip((low + high - side) / 2, 0, limits).astype(int)
    return pixels[top : top + int(side), left : left + int(side)]


def _pictures(suspect: SuspectImage, maps: ImageMaps) -> dict[str, Any]:
    """The image and the heatmaps of the classes in question; ``cells`` is (width, height)."""
    shown: dict[str, Any] = {"image": picture_uri(maps.pixels), "heat": {}, "cells": None}
    if maps.heat is None:
        return shown
    labels = {s.label for s in suspect.suspicions if s.label is not None}
    labels |= {int(suspect.image.labels[i]) for s in suspect.suspicions for i in s.objects}
    shown["cells"] = list(maps.heat.shape[:0:-1])
    shown["heat"] = {
        str(label): heatmap_uri(maps.heat[label])
        for label in sorted(labels)
        if maps.heat[label].max() >= _MIN_VISIBLE
    }
    return shown
