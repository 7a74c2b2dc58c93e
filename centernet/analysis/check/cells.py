"""Assign the objects of a split to heatmap cells; find small objects and collisions."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from centernet import geometry
from centernet.analysis.check.boxes import format_box
from centernet.analysis.check.split_arrays import SplitArrays
from centernet.data.points import keep_points
from centernet.data.preprocess import fit_input
from centernet.decode import DEFAULT_TOP_K
from centernet.models.base import DetectionModel

# Objects per image up to which the ceiling is measured; the work grows with the square.
MAX_OBJECTS = 3000


@dataclass(frozen=True)
class CellAssignment:
    """The cells that hold the centers of the k objects of a split.

    Attributes:
        input_size: (height, width) of the network input in pixels.
        stride: input pixels per cell.
        top_k: maximum number of detections per image.
        objects: (k,) indices of the annotations.
        matrices: (n, 2, 3) from image to network input; NaN for images of unknown size.
        boxes: (k, 4) float32 xyxy in input pixels, clipped to the input.
        cell: (k,) cell index ``y * w + x`` of the center.
        occluded: (k,) bool, a larger object of the same class has its center in the same cell, so
            that the heatmap has one peak for both.
        size_conflict: (k,) bool, a larger object of another class has its center in the same cell,
            which holds only one size.
        has_neighbor: (k,) bool, an object of the same class has its center in one of the eight
            cells around.
        crowded: indices of images with more than ``top_k`` objects.
    """

    input_size: tuple[int, int]
    stride: int
    top_k: int
    objects: NDArray[np.int64]
    matrices: NDArray[np.float64]
    boxes: NDArray[np.float32]
    cell: NDArray[np.int64]
    occluded: NDArray[np.bool_]
    size_conflict: NDArray[np.bool_]
    has_neighbor: NDArray[np.bool_]
    crowded: NDArray[np.int64]

    @property
    def size_cells(self) -> NDArray[np.float32]:
        """(k, 2) widths and heights in cells."""
        return ((self.boxes[:, 2:] - self.boxes[:, :2]) / self.stride).astype(np.float32)

    @property
    def below_cell(self) -> NDArray[np.bool_]:
        """(k,) bool, the object is narrower or lower than a cell."""
        return np.any(self.size_cells < 1, axis=1)


def assign_cells(
    arrays: SplitArrays,
    input_size: tuple[int, int],
    *,
    stride: int = DetectionModel.stride,
    top_k: int = DEFAULT_TOP_K,
) -> CellAssignment:
    """Place the objects of a split in the network input, as validation does.

    Args:
        arrays: the split, with ``usable`` already set.
        input_size: (height, width) of the network input in pixels.
        stride: input pixels per cell.
        top_k: maximum number of detections per image.
    """
    matrices = _matrices(arrays.sizes, input_size)
    objects = np.flatnonzero(arrays.objects)
    objects = objects[np.isfinite(matrices[arrays.image[objects], 0, 0])]
    boxes, visible = _boxes_in_input(arrays, objects, matrices, input_size)
    objects, boxes = objects[visible], boxes[visible]
    image, label = arrays.image[objects], arrays.label[objects]

    rows, columns = input_size[0] // stride, input_size[1] // stride
    center = ((boxes[:, :2] / stride + boxes[:, 2:] / stride) / 2).astype(np.int64)
    x, y = center.clip(0, (columns - 1, rows - 1)).T
    area = (boxes[:, 2:] - boxes[:, :2]).prod(1)
    place = (image * rows + y) * columns + x
    # Cells of each image and class, with a margin of one cell, so that rows do not touch.
    plane = (image * len(arrays.names) + label) * (rows + 2) * (columns + 2)
    padded = plane + (y + 1) * (columns + 2) + x + 1
    occluded = ~_is_largest(padded, area)
    per_image = np.bincount(image, minlength=len(arrays.files))
    return CellAssignment(
        input_size, stride, top_k, objects, matrices, boxes,
        cell=y * columns + x,
        occluded=occluded,
        size_conflict=~_is_largest(place, area) & ~occluded,
        has_neighbor=_has_neighbor(padded, columns + 2),
        crowded=np.flatnonzero(per_image > top_k),
    )  # fmt: skip


def check_cells(arrays: SplitArrays, assignment: CellAssignment) -> None:
    """Add findings about objects that the cells cannot separate or resolve."""
    size = assignment.size_cells

    def describe(annotation: int) -> str:
        width, height = size[np.searchsorted(assignment.objects, annotation)]
        return f"{format_box(arrays, annotation)}, {width:.1f}x{height:.1f} cells"

    for kind, found in (
        ("object-below-cell", assignment.below_cell),
        ("center-collision", assignment.occluded),
        ("center-shared", assignment.size_conflict),
        ("center-neighbor", assignment.has_neighbor & ~assignment.occluded),
    ):
        arrays.add_each(kind, assignment.objects[found], describe)
    count = np.bincount(arrays.image[assignment.objects], minlength=len(arrays.files))
    for image in assignment.crowded.tolist():
        arrays.add(
            "over-top-k", f"{count[image]} objects, top_k is {assignment.top_k}", image=image
        )
    for image in np.flatnonzero(count > MAX_OBJECTS).tolist():
        arrays.add("image-crowded", f"{count[image]} objects", image=image)


def _matrices(sizes: NDArray[np.float64], input_size: tuple[int, int]) -> NDArray[np.float64]:
    """The matrix (n, 2, 3) from each image to the network input, computed once per image size."""
    distinct, which = np.unique(np.nan_to_num(sizes), axis=0, return_inverse=True)
    matrices = np.full((len(distinct), 2, 3), np.nan)
    for i, (height, width) in enumerate(distinct.astype(int).tolist()):
        if height and width:
            size = (height, width)
            matrix, _ = fit_input(size, input_size, DetectionModel.size_multiple)
            matrices[i] = geometry.rounded(matrix, size, input_size)
    return matrices[which.reshape(-1)]


def _boxes_in_input(
    arrays: SplitArrays, objects: NDArray, matrices: NDArray, input_size: tuple[int, int]
) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    """Boxes (k, 4) xyxy clipped to the network input, and whether each is visible there."""
    boxes = geometry.xywh_to_xyxy(arrays.boxes[objects].astype(np.float32))
    own = matrices[arrays.image[objects]]
    scale, shift = own[:, [0, 1], [0, 1]], own[:, :, 2]
    boxes = (boxes.reshape(-1, 2, 2) * scale[:, None] + shift[:, None]).reshape(-1, 4)
    clipped, visible = geometry.clip_boxes(boxes.astype(np.float32), input_size)
    keep_points(boxes, clipped, visible, arrays.point[objects], input_size)
    return clipped, visible


def _is_largest(place: NDArray, area: NDArray) -> NDArray[np.bool_]:
    """Whether each object is the largest at its place; of equally large objects, the first is."""
    order = np.lexsort((np.arange(len(area)), -area))
    _, first = np.unique(place[order], return_index=True)
    found = np.zeros(len(area), bool)
    found[order[first]] = True
    return found


def _has_neighbor(padded: NDArray, columns: int) -> NDArray[np.bool_]:
    """Whether one of the eight cells around holds an object, on a grid with a margin."""
    taken = np.unique(padded)
    found = np.zeros(len(padded), bool)
    for step in (dy * columns + dx for dy in (-1, 0, 1) for dx in (-1, 0, 1) if dy or dx):
        at = np.searchsorted(taken, padded + step).clip(max=len(taken) - 1)
        found |= taken[at] == padded + step
    return found
