"""The annotations of a split, indexed for COCO's evaluation."""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from faster_coco_eval import COCO, COCOeval_faster
from numpy.typing import NDArray

from centernet.data.points import is_point


class GroundTruth:
    """The annotations of a split, indexed once for several evaluations.

    Image ids are numbers or strings, or both. If there are boxes and points, COCO's evaluation of
    boxes leaves out the images that have only points, and ignores the points of the others.

    Attributes:
        categories: the categories of the annotation file, by ascending id.
        source: the annotations of the file.
        annotations: those for COCO's evaluation.
        has_points_only: whether all objects are points.
    """

    def __init__(self, coco: Mapping[str, list[dict[str, Any]]]) -> None:
        """Index a result of :func:`centernet.data.annotations.read_coco`."""
        self.categories, self.source = coco["categories"], coco["annotations"]
        objects = [a for a in self.source if not a["iscrowd"]]
        points = {a["image_id"] for a in objects if is_point(a)}
        boxes = {a["image_id"] for a in objects if not is_point(a)} if points else set()
        self.has_points_only = bool(points) and not boxes
        self._left_out = points - boxes if boxes else set()
        self.annotations = self.source
        if boxes:
            self.annotations = [a | {"iscrowd": 1} if is_point(a) else a for a in self.source]
        ids = [image["id"] for image in coco["images"]]
        self._image = {image_id: i for i, image_id in enumerate(sorted(ids, key=image_order))}
        self._category = {category["id"]: i for i, category in enumerate(self.categories)}
        self._index = self._index_boxes(self.annotations)

    def average_precision(
        self,
        results: Sequence[Mapping[str, Any]],
        image_ids: Sequence[Any] | None,
        limits: Sequence[int],
        areas: bool = True,
    ) -> COCOeval_faster:
        """Match detections with annotations, and accumulate precision and recall.

        Args:
            results: detections in COCO's result format.
            image_ids: the images to evaluate; None for all.
            limits: ascending numbers of detections per image and class to evaluate at.
            areas: whether to evaluate COCO's three area ranges too.
        """
        found = self._index_boxes(
            [{"iscrowd": 0, "area": _area(r["bbox"])} | dict(r) for r in results]
        )
        coco = COCOeval_faster(self._index, found, "bbox", print_function=_silent)
        if image_ids is not None or self._left_out:
            wanted = set(self._image if image_ids is None else image_ids) - self._left_out
            coco.params.imgIds = sorted(self._image[image_id] for image_id in wanted)
        if not areas:
            coco.params.areaRng, coco.params.areaRngLbl = coco.params.areaRng[:1], ["all"]
        coco.params.maxDets = list(limits)
        coco.evaluate()
        coco.accumulate()
        return coco

    def counts(self, image_ids: Sequence[Any] | None) -> NDArray[np.int64]:
        """Number of objects by category, without crowds; None counts those of all images."""
        wanted = self._image if image_ids is None else set(image_ids)
        labels = [
            self._category[a["category_id"]]
            for a in self.annotations
            if not a["iscrowd"] and a["image_id"] in wanted
        ]
        return np.bincount(labels, minlength=len(self.categories))

    def densest(self, image_ids: Sequence[Any] | None, top_k: int) -> tuple[int, int]:
        """Number of images with more than ``top_k`` objects, and the objects of the densest.

        Args:
            image_ids: the images to count; None for all.
            top_k: maximum number of detections per image.
        """
        wanted = self._image if image_ids is None else set(image_ids)
        per_image = Counter(
            a["image_id"] for a in self.annotations if not a["iscrowd"] and a["image_id"] in wanted
        )
        return sum(n > top_k for n in per_image.values()), max(per_image.values(), default=0)

    def _index_boxes(self, annotations: Sequence[Mapping[str, Any]]) -> COCO:
        """An index of annotations or detections, in which all ids are numbers from 0 or 1."""
        coco = COCO()
        coco.dataset = {
            "images": [{"id": i} for i in self._image.values()],
            "categories": [{"id": i, "name": str(i)} for i in self._category.values()],
            "annotations": [
                {
                    "id": i,
                    "image_id": self._image[a["image_id"]],
                    "category_id": self._category[a["category_id"]],
                    **{key: a[key] for key in ("bbox", "area", "iscrowd", "score") if key in a},
                }
                for i, a in enumerate(annotations, 1)
            ],
        }
        coco.createIndex()
        return coco


def image_order(image_id: int | str) -> tuple[bool, int | str]:
    """Sort key of image ids: numbers by value, then strings.

    The order ranks detections of equal score in different images.
    """
    return isinstance(image_id, str), image_id


def _area(box: Sequence[float]) -> float:
    return box[2] * box[3]


def _silent(*_: object) -> None:
    pass
