"""Annotations and texts of many images in a few arrays.

The processes that load images share the memory of the training process until one of them writes to
it. Reading a Python object writes its reference count, so that each process would end up with its
own copy of all lists and dicts; reading an array writes nothing.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from centernet import geometry
from centernet.data.points import is_point


class ImageAnnotation(NamedTuple):
    """The objects and ignore regions of one image.

    Attributes:
        boxes: (n, 4) xyxy in image pixels.
        labels: (n,) of the objects.
        regions: label and COCO annotation of each ignore region.
        points: (n,) bool, the objects that are points; None if the dataset has none.
    """

    boxes: NDArray[np.float32]
    labels: NDArray[np.int64]
    regions: list[tuple[int, dict[str, Any]]]
    points: NDArray[np.bool_] | None = None


class CompactAnnotations:
    """The annotations of n images, by index of the image, in arrays.

    Attributes:
        counts: (n,) number of objects of each image.
    """

    def __init__(
        self, coco: Mapping[str, Sequence[dict[str, Any]]], label_of: Mapping[int, int]
    ) -> None:
        """Convert a result of :func:`centernet.data.annotations.read_coco`.

        Args:
            coco: the content.
            label_of: label by category id.
        """
        index_of = {image["id"]: i for i, image in enumerate(coco["images"])}
        objects = [a for a in coco["annotations"] if not a["iscrowd"]]
        owner = np.array([index_of[a["image_id"]] for a in objects], np.int64)
        order = np.argsort(owner, kind="stable")
        boxes = np.fromiter((v for a in objects for v in a["bbox"]), np.float32, 4 * len(objects))
        labels = np.array([label_of[a["category_id"]] for a in objects], np.int64)
        self.counts = np.bincount(owner, minlength=len(index_of))
        self._starts = np.cumsum([0, *self.counts])
        self._boxes = geometry.xywh_to_xyxy(boxes.reshape(-1, 4)[order])
        self._labels = labels[order]
        points = np.array([is_point(a) for a in objects], bool)[order]
        self._points = points if points.any() else None
        self._regions: dict[int, list[tuple[int, dict[str, Any]]]] = {}
        for a in coco["annotations"]:
            if a["iscrowd"]:
                own = self._regions.setdefault(index_of[a["image_id"]], [])
                own.append((label_of[a["category_id"]], a))

    def __getitem__(self, index: int) -> ImageAnnotation:
        own = slice(self._starts[index], self._starts[index + 1])
        points = None if self._points is None else self._points[own]
        regions = self._regions.get(index, [])
        return ImageAnnotation(self._boxes[own], self._labels[own], regions, points)


class CompactTexts(Sequence[str]):
    """Texts in one array of bytes, and where each of them ends."""

    def __init__(self, texts: Iterable[str]) -> None:
        """Store the texts."""
        encoded = [text.encode(errors="surrogateescape") for text in texts]
        self._bytes = np.frombuffer(b"".join(encoded), np.uint8)
        self._ends = np.cumsum([0, *map(len, encoded)])

    def __len__(self) -> int:
        return len(self._ends) - 1

    def __getitem__(self, index: Any) -> Any:
        if isinstance(index, slice):
            return [self[i] for i in range(*index.indices(len(self)))]
        number = range(len(self))[index]
        own = self._bytes[self._ends[number] : self._ends[number + 1]]
        return own.tobytes().decode(errors="surrogateescape")
