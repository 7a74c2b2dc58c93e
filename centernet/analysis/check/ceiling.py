"""The AP of a perfect network: the ground truth as maps, decoded and evaluated as a network's are.

Its boxes are exact where an object has a cell of its own, so what it misses is what no network can
find at this resolution. How hard the resolution is in practice shows when every side of its boxes
is off by one canvas pixel: large objects do not care, small ones lose their overlap.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from centernet import geometry
from centernet.analysis.check.content import Content, usable
from centernet.analysis.check.grid import MAX_OBJECTS, Grid
from centernet.data.annotations import read_coco
from centernet.decode import decode
from centernet.evaluation.coco import GroundTruth, average_precision, coco_results, image_order
from centernet.evaluation.ground_truth_maps import center_outputs, drop_zero_scores
from centernet.heads import select_heads
from centernet.inference.tta import clip_to_image
from centernet.targets import encode_targets


@dataclass(frozen=True)
class Ceiling:
    """What can be reached at best.

    Attributes:
        exact: of the ground truth's maps: ``AP``, ``AP50``, ``AP75``; ``per_class``, AP by label.
        off_by_one: the same with every side one canvas pixel too far out.
        images: how many images were looked at.
    """

    exact: dict[str, Any]
    off_by_one: dict[str, Any]
    images: int


def ceiling(content: Content, grid: Grid, *, most: int = 0) -> Ceiling | None:
    """The ceiling of a split.

    Args:
        content: of the split.
        grid: of its objects.
        most: look at so many images, evenly chosen; 0 for all. Those of more than ``MAX_OBJECTS``
            objects are left out.

    Returns:
        The ceiling; None for a split without an object to find.
    """
    count = np.bincount(content.image[grid.objects], minlength=len(content.files))
    images = np.flatnonzero(np.isfinite(grid.matrices[:, 0, 0]) & (count <= MAX_OBJECTS))
    images = _by_id(content, images[_first_of_id(content)[images]])
    if most and len(images) > most:
        images = images[np.linspace(0, len(images) - 1, most).round().astype(int)]
    if not np.isin(content.image[grid.objects], images).any():
        return None
    truth = GroundTruth(read_coco(usable(content, images)))
    category_ids = list(range(1, len(content.names) + 1))
    exact, off = [], []
    order = np.argsort(content.image[grid.objects], kind="stable")
    owner = content.image[grid.objects][order]
    for number, image in enumerate(images):
        own = order[slice(*np.searchsorted(owner, [image, image + 1]))]
        boxes, scores, labels = _decoded(content, grid, image, own)
        back = geometry.invert(grid.matrices[image])
        for results, grown in ((exact, 0), (off, 1)):
            moved = boxes + np.array([-grown, -grown, grown, grown], np.float32)
            moved = geometry.transform_boxes(moved, back)
            found = {"boxes": moved, "scores": scores, "labels": labels}
            found = clip_to_image(found, content.sizes[image])
            results += coco_results(
                number, found["boxes"], found["scores"], found["labels"], category_ids
            )
    aps = [average_precision(truth, results, top_k=grid.top_k) for results in (exact, off)]
    return Ceiling(*aps, len(images))


def _first_of_id(content: Content) -> NDArray[np.bool_]:
    """Which images are the first with their id, the one that annotations of that id mean."""
    first = {image_id: i for i, image_id in reversed(list(enumerate(content.image_ids)))}
    return np.array([first[image_id] == i for i, image_id in enumerate(content.image_ids)], bool)


def _by_id(content: Content, images: NDArray) -> NDArray:
    """Images in the order in which evaluation goes through them, which decides between ties."""
    return np.array(sorted(images, key=lambda i: image_order(content.image_ids[i])), np.int64)


def _decoded(
    content: Content, grid: Grid, image: int, own: NDArray
) -> tuple[NDArray, NDArray, NDArray]:
    """Boxes (K, 4) on the input, scores and labels that decoding an image's true maps gives."""
    if not len(own):
        return np.zeros((0, 4), np.float32), np.zeros(0), np.zeros(0, int)
    label = content.label[grid.objects[own]]
    # Maps of the classes that are there are enough, unless it matters which peaks come first.
    present = np.unique(label) if len(own) <= grid.top_k else np.arange(len(content.names))
    cells = (side // grid.stride for side in grid.input_size)
    target = {
        "boxes": torch.from_numpy(grid.boxes[own]),
        "labels": torch.from_numpy(np.searchsorted(present, label)),
    }
    targets = encode_targets([target], (1, len(present), *cells), stride=grid.stride)
    outputs = center_outputs(select_heads().values(), targets)
    found = drop_zero_scores(decode(outputs, stride=grid.stride, top_k=grid.top_k))[0]
    boxes, scores, labels = (found[name].numpy() for name in ("boxes", "scores", "labels"))
    return boxes, scores, present[labels]
