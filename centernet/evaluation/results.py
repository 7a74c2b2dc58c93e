"""Accumulate the detections of a validation epoch and gather them from all processes."""

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import torch.distributed
from numpy.typing import NDArray
from torch import Tensor

from centernet.evaluation.coco import Annotations, coco_results, evaluate
from centernet.evaluation.metrics import Evaluation
from centernet.inference.engines.torch_engine import as_arrays
from centernet.inference.tta import clip_to_image, to_image

if TYPE_CHECKING:
    from centernet.inference.detector import Detector

# Detections of one image: "boxes" (K, 4) in its pixels, "scores" (K,), "labels" (K,), and others.
DetectionArrays = Mapping[str, NDArray]


def in_image_pixels(
    results: Sequence[Mapping[str, Tensor]],
    targets: Sequence[Mapping[str, Any]],
    point_sizes: Sequence[float | None] | None = None,
) -> Iterator[DetectionArrays]:
    """Transform decoded detections of a batch to pixels of their images, and clip them.

    Args:
        results: B dicts with ``boxes`` (K, 4) in input pixels, ``scores``, ``labels``.
        targets: B dicts with ``matrix`` (2, 3) from image to input pixels, and ``image_size``.
        point_sizes: those of the network, see :func:`.with_squares`.

    Yields:
        The detections of each image, best first.
    """
    for result, target in zip(results, targets, strict=True):
        found = to_image(as_arrays(result), target["matrix"], point_sizes)
        yield clip_to_image(found, target["image_size"])


def detections_of_files(
    detector: "Detector", targets: Sequence[Mapping[str, Any]]
) -> Iterator[DetectionArrays]:
    """Run a detector on the files of a batch, without a score threshold.

    Args:
        detector: a detector, which determines resolution and test-time augmentation.
        targets: B dicts with ``file``, the path of the image.

    Yields:
        The detections of each image, best first.
    """
    for target in targets:
        found = detector(target["file"], threshold=0)
        assert found.confidence is not None and found.class_id is not None
        yield {"boxes": found.xyxy, "scores": found.confidence, "labels": found.class_id}


class CocoResults:
    """The detections of a set of images.

    Attributes:
        results: detections in COCO's result format.
        image_ids: the images, also those without detections.
    """

    def __init__(self) -> None:
        """Create an empty set."""
        self.results: list[dict[str, Any]] = []
        self.image_ids: list[Any] = []

    def add(
        self,
        image_id: Any,
        found: DetectionArrays,
        category_ids: Sequence[int | None],
    ) -> None:
        """Add the detections of an image; see :func:`centernet.evaluation.coco.coco_results`.

        Args:
            image_id: the id in the annotation file.
            found: ``boxes`` (K, 4) xyxy in image pixels, ``scores`` (K,), ``labels`` (K,).
            category_ids: category id by label, None for classes that the file does not have.
        """
        self.image_ids.append(image_id)
        self.results += coco_results(
            image_id, found["boxes"], found["scores"], found["labels"], category_ids
        )

    def evaluate(self, annotations: Annotations, *, top_k: int, has_box_sizes: bool) -> Evaluation:
        """The metrics of the detections, see :func:`centernet.evaluation.coco.evaluate`.

        Args:
            annotations: as for that function.
            top_k: the detector's limit of detections per image.
            has_box_sizes: whether it predicts boxes; of others, the centers are evaluated.
        """
        centers = None if has_box_sizes else True
        return evaluate(annotations, self.results, self.image_ids, top_k=top_k, centers=centers)

    def gather(self) -> None:
        """Collect the detections of all processes on the first one; the others keep their own.

        Distributed samplers repeat images so that every process has equally many: they count once.
        """
        if not (torch.distributed.is_available() and torch.distributed.is_initialized()):
            return
        world_size, is_first = torch.distributed.get_world_size(), torch.distributed.get_rank() == 0
        gathered: list[Any] = [None] * world_size
        torch.distributed.gather_object(
            (self.results, self.image_ids), gathered if is_first else None
        )
        if not is_first:
            return
        self.results = []
        seen: dict[Any, None] = {}  # an ordered set
        for results, image_ids in gathered:
            self.results += [result for result in results if result["image_id"] not in seen]
            seen |= dict.fromkeys(image_ids)
        self.image_ids = list(seen)
