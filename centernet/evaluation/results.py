"""The detections of one validation, brought together from all processes."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import torch.distributed
from numpy.typing import NDArray
from torch import Tensor

from centernet.evaluation.coco import coco_results
from centernet.inference.tta import clip_to_image, to_image

# Of one image: "boxes" (K, 4) in its pixels, "scores" (K,), "labels" (K,).
DetectionArrays = Mapping[str, NDArray]


def in_image_pixels(
    results: Sequence[Mapping[str, Tensor]], targets: Sequence[Mapping[str, Any]]
) -> Iterator[DetectionArrays]:
    """Decoded detections of a batch, in pixels of their images and cut to them, best first.

    Args:
        results: B dicts with ``boxes`` (K, 4) in input pixels, ``scores``, ``labels``.
        targets: B dicts with ``matrix`` (2, 3) from image to input, and ``image_size``.
    """
    for result, target in zip(results, targets, strict=True):
        yield clip_to_image(to_image(result, target["matrix"]), target["image_size"])


class CocoResults:
    """Detections, and the images that were looked at.

    Attributes:
        results: in COCO's result format.
        image_ids: also of images where nothing was found.
    """

    def __init__(self) -> None:
        """Start with nothing."""
        self.results: list[dict[str, Any]] = []
        self.image_ids: list[Any] = []

    def add(
        self,
        image_id: Any,
        found: DetectionArrays,
        category_ids: Sequence[int | None],
    ) -> None:
        """Add what was found in an image; see :func:`centernet.evaluation.coco.coco_results`.

        Args:
            image_id: of the annotation file.
            found: ``boxes`` (K, 4) xyxy in image pixels, ``scores`` (K,), ``labels`` (K,).
            category_ids: by label.
        """
        self.image_ids.append(image_id)
        self.results += coco_results(
            image_id, found["boxes"], found["scores"], found["labels"], category_ids
        )

    def gather(self) -> None:
        """Bring together on the first process what all have; the others keep their own.

        Images that were repeated, so that each process has as many, count once.
        """
        if not (torch.distributed.is_available() and torch.distributed.is_initialized()):
            return
        world_size, first = torch.distributed.get_world_size(), torch.distributed.get_rank() == 0
        gathered: list[Any] | None = [None] * world_size if first else None
        torch.distributed.gather_object((self.results, self.image_ids), gathered)
        if not first:
            return
        self.results, seen = [], {}
        for results, image_ids in gathered:
            self.results += [result for result in results if result["image_id"] not in seen]
            seen |= dict.fromkeys(image_ids)
        self.image_ids = list(seen)
