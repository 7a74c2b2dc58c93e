"""The ceiling: the AP of a perfect network.

The ground truth is encoded as maps, decoded, and evaluated like the outputs of a network. Boxes are
exact where an object has its own cell, so the remaining error is what no network can avoid at this
input size. A second AP, with every box side one input pixel too far out, shows how precise boxes
must be: large objects keep their IoU, small objects lose it.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from centernet import geometry
from centernet.analysis.check.cells import MAX_OBJECTS, CellAssignment
from centernet.analysis.check.split_arrays import SplitArrays, usable_annotations
from centernet.data.annotations import read_coco
from centernet.decode import decode
from centernet.evaluation.coco import average_precision, coco_results
from centernet.evaluation.ground_truth import GroundTruth, image_order
from centernet.evaluation.ground_truth_maps import center_outputs, drop_zero_scores
from centernet.heads import select_heads
from centernet.inference.tta import clip_to_image
from centernet.targets import encode_targets


@dataclass(frozen=True)
class Ceiling:
    """The best possible AP of a split.

    Attributes:
        exact: ``AP``, ``AP50``, ``AP75`` and ``per_class`` (AP by label) of the decoded ground
            truth.
        off_by_one: the same with every box side one input pixel too far out.
        images: number of images that were evaluated.
    """

    exact: dict[str, Any]
    off_by_one: dict[str, Any]
    images: int


def measure_ceiling(
    arrays: SplitArrays, assignment: CellAssignment, *, max_images: int = 0
) -> Ceiling | None:
    """Measure the ceiling of a split.

    Args:
        arrays: the split.
        assignment: the cells of its objects.
        max_images: evaluate this many images, evenly spaced; 0 for all. Images with more than
            ``MAX_OBJECTS`` objects are left out.

    Returns:
        The ceiling; None for a split without objects.
    """
    images = _evaluated_images(arrays, assignment, max_images)
    owner = arrays.image[assignment.objects]
    if not np.isin(owner, images).any():
        return None
    truth = GroundTruth(read_coco(usable_annotations(arrays, images)))
    category_ids = list(range(1, len(arrays.names) + 1))
    exact: list[dict[str, Any]] = []
    off: list[dict[str, Any]] = []
    order = np.argsort(owner, kind="stable")
    owner = owner[order]
    for number, image in enumerate(images):
        own = order[slice(*np.searchsorted(owner, [image, image + 1]))]
        boxes, scores, labels = _decode_ground_truth(arrays, assignment, own)
        to_image = geometry.invert(assignment.matrices[image])
        for results, growth in ((exact, 0), (off, 1)):
            grown = boxes + np.array([-growth, -growth, growth, growth], np.float32)
            found = {
                "boxes": geometry.transform_boxes(grown, to_image),
                "scores": scores,
                "labels": labels,
            }
            if not arrays.point.any():  # whose squares keep their centers
                found = clip_to_image(found, arrays.sizes[image])
            results += coco_results(
                number, found["boxes"], found["scores"], found["labels"], category_ids
            )
    return Ceiling(
        exact=average_precision(truth, exact, top_k=assignment.top_k),
        off_by_one=average_precision(truth, off, top_k=assignment.top_k),
        images=len(images),
    )


def _evaluated_images(
    arrays: SplitArrays, assignment: CellAssignment, max_images: int
) -> NDArray[np.int64]:
    """Indices of the images to evaluate, in the order of evaluation, which determines ties."""
    count = np.bincount(arrays.image[assignment.objects], minlength=len(arrays.files))
    is_evaluated = np.isfinite(assignment.matrices[:, 0, 0]) & (count <= MAX_OBJECTS)
    images = np.flatnonzero(is_evaluated & _is_first_of_id(arrays))
    images = np.array(sorted(images, key=lambda i: image_order(arrays.image_ids[i])), np.int64)
    if max_images and len(images) > max_images:
        images = images[np.linspace(0, len(images) - 1, max_images).round().astype(int)]
    return images


def _is_first_of_id(arrays: SplitArrays) -> NDArray[np.bool_]:
    """Whether each image is the first with its id: annotations of an id belong to the first."""
    first = {image_id: i for i, image_id in reversed(list(enumerate(arrays.image_ids)))}
    return np.array([first[image_id] == i for i, image_id in enumerate(arrays.image_ids)], bool)


def _decode_ground_truth(
    arrays: SplitArrays, assignment: CellAssignment, own: NDArray
) -> tuple[NDArray, NDArray, NDArray]:
    """Boxes (K, 4) in the network input, scores and labels decoded from one image's objects."""
    if not len(own):
        return np.zeros((0, 4), np.float32), np.zeros(0), np.zeros(0, int)
    label = arrays.label[assignment.objects[own]]
    # Maps of the classes that occur are enough, unless top_k has to choose among the peaks.
    present = np.unique(label) if len(own) <= assignment.top_k else np.arange(len(arrays.names))
    height, width = (side // assignment.stride for side in assignment.input_size)
    target = {
        "boxes": torch.from_numpy(assignment.boxes[own]),
        "labels": torch.from_numpy(np.searchsorted(present, label)),
    }
    shape = (1, len(present), height, width)
    targets = encode_targets([target], shape, stride=assignment.stride)
    outputs = center_outputs(select_heads().values(), targets)
    decoded = decode(outputs, stride=assignment.stride, top_k=assignment.top_k)
    found = drop_zero_scores(decoded)[0]
    boxes, scores, labels = (found[name].numpy() for name in ("boxes", "scores", "labels"))
    return boxes, scores, present[labels]
