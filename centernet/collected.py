"""The detections of one validation, brought together from all processes."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import torch.distributed
from numpy.typing import NDArray
from torch import Tensor

from centernet import geometry
from centernet.evaluate import coco_results

# Of one image: boxes (K, 4) in its pixels, scores (K,), labels (K,).
Found = tuple[NDArray, NDArray, NDArray]


def in_image_pixels(
    results: Sequence[Mapping[str, Tensor]], targets: Sequence[Mapping[str, Any]]
) -> Iterator[Found]:
    """What a network decoded on canvases, back in the images.

    Args:
        results: B dicts with ``boxes`` (K, 4) in canvas pixels, ``scores``, ``labels``.
        targets: B dicts with ``matrix`` (2, 3) from image to canvas.
    """
    for result, target in zip(results, targets, strict=True):
        boxes, scores, labels = (
            result[name].cpu().numpy() for name in ("boxes", "scores", "labels")
        )
        yield geometry.transform_boxes(boxes, geometry.invert(target["matrix"])), scores, labels


class Collected:
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
        found: Found,
        category_ids: Sequence[int | None],
    ) -> None:
        """Add what was found in an image; see :func:`centernet.evaluate.coco_results`.

        Args:
            image_id: of the annotation file.
            found: boxes (K, 4) xyxy in image pixels, scores (K,), labels (K,).
            category_ids: by label.
        """
        self.image_ids.append(image_id)
        self.results += coco_results(image_id, *found, category_ids)

    def gather(self) -> None:
        """Take in what the other processes have; images that filled up a process are left out."""
        if not (torch.distributed.is_available() and torch.distributed.is_initialized()):
            return
        gathered: list[Any] = [None] * torch.distributed.get_world_size()
        torch.distributed.all_gather_object(gathered, (self.results, self.image_ids))
        self.results, seen = [], {}
        for results, image_ids in gathered:
            self.results += [result for result in results if result["image_id"] not in seen]
            seen |= dict.fromkeys(image_ids)
        self.image_ids = list(seen)
