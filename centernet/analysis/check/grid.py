"""Where the objects of a split lie on the grid of cells: what is too small, what collides."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from centernet import geometry
from centernet.analysis.check.boxes import shown
from centernet.analysis.check.content import Content
from centernet.data.preprocess import fit_input
from centernet.decode import DEFAULT_TOP_K
from centernet.models.base import DetectionModel

MAX_OBJECTS = 3000  # in an image on which the ceiling is measured, whose work is their square


@dataclass(frozen=True)
class Grid:
    """The k objects of a split on the cells of the network inputs.

    Attributes:
        input_size: (height, width) in pixels that images are scaled to fit.
        stride: input pixels per cell.
        top_k: most detections per image.
        objects: (k,) positions of the annotations.
        matrices: (n, 2, 3) from image to input; NaN for images of unknown size.
        boxes: (k, 4) float32 xyxy, input pixels, cut to the input.
        cell: (k,) y * w + x of the center.
        lost: (k,) bool: a larger object of its class has its centre in the same cell.
        shared: (k,) bool: a larger object of another class has.
        neighbour: (k,) bool: one of its class has its centre in one of the eight cells around.
        crowded: positions of images with more objects than ``top_k``.
    """

    input_size: tuple[int, int]
    stride: int
    top_k: int
    objects: NDArray[np.int64]
    matrices: NDArray[np.float64]
    boxes: NDArray[np.float32]
    cell: NDArray[np.int64]
    lost: NDArray[np.bool_]
    shared: NDArray[np.bool_]
    neighbour: NDArray[np.bool_]
    crowded: NDArray[np.int64]

    @property
    def size_cells(self) -> NDArray[np.float32]:
        """(k, 2) widths and heights."""
        return (self.boxes[:, 2:] - self.boxes[:, :2]) / self.stride

    @property
    def below_cell(self) -> NDArray[np.bool_]:
        """(k,) whether an object is narrower or lower than a cell."""
        return (self.size_cells < 1).any(1)


def assign_cells(
    content: Content,
    input_size: tuple[int, int],
    *,
    stride: int = DetectionModel.stride,
    top_k: int = DEFAULT_TOP_K,
) -> Grid:
    """Put the objects of a split on the network inputs, as validation does."""
    matrices = _matrices(content.sizes, input_size)
    objects = np.flatnonzero(content.objects)
    image = content.image[objects]
    objects = objects[np.isfinite(matrices[image, 0, 0])]
    image, label = content.image[objects], content.label[objects]
    boxes = geometry.xywh_to_xyxy(content.boxes[objects].astype(np.float32))
    scale, shift = matrices[image][:, [0, 1], [0, 1]], matrices[image][:, :, 2]
    boxes = (boxes.reshape(-1, 2, 2) * scale[:, None] + shift[:, None]).reshape(-1, 4)
    boxes, seen = geometry.clip_boxes(boxes.astype(np.float32), input_size)
    objects, image, label, boxes = objects[seen], image[seen], label[seen], boxes[seen]

    rows, columns = input_size[0] // stride, input_size[1] // stride
    center = ((boxes[:, :2] / stride + boxes[:, 2:] / stride) / 2).astype(np.int64)
    x, y = center.clip(0, (columns - 1, rows - 1)).T
    area = (boxes[:, 2:] - boxes[:, :2]).prod(1)
    place = (image * rows + y) * columns + x
    plane = (image * len(content.names) + label) * (rows + 2) * (columns + 2)
    padded = plane + (y + 1) * (columns + 2) + x + 1
    lost = ~_largest(padded, area)
    count = np.bincount(image, minlength=len(content.files))
    return Grid(
        input_size, stride, top_k, objects, matrices, boxes,
        cell=y * columns + x,
        lost=lost,
        shared=~_largest(place, area) & ~lost,
        neighbour=_has_neighbour(padded, columns + 2),
        crowded=np.flatnonzero(count > top_k),
    )  # fmt: skip


def check_grid(content: Content, grid: Grid) -> None:
    """Note what the cells are too coarse for."""
    size = grid.size_cells

    def describe(annotation: int) -> str:
        width, height = size[np.searchsorted(grid.objects, annotation)]
        return f"{shown(content, annotation)}, {width:.1f}x{height:.1f} cells"

    for kind, found in (
        ("object-below-cell", grid.below_cell),
        ("centre-collision", grid.lost),
        ("centre-shared", grid.shared),
        ("centre-neighbour", grid.neighbour & ~grid.lost),
    ):
        content.add_each(kind, grid.objects[found], describe)
    count = np.bincount(content.image[grid.objects], minlength=len(content.files))
    for image in grid.crowded:
        what = f"{count[image]} objects, top_k is {grid.top_k}"
        content.add("over-top-k", what, image=int(image))
    for image in np.flatnonzero(count > MAX_OBJECTS).tolist():
        content.add("image-crowded", f"{count[image]} objects", image=image)


def _matrices(sizes: NDArray[np.float64], input_size: tuple[int, int]) -> NDArray[np.float64]:
    """The matrix (n, 2, 3) from each image to the network input, worked out once per size."""
    distinct, which = np.unique(np.nan_to_num(sizes), axis=0, return_inverse=True)
    matrices = np.full((len(distinct), 2, 3), np.nan)
    for i, (height, width) in enumerate(distinct.astype(int).tolist()):
        if height and width:
            size = (height, width)
            matrix, _ = fit_input(size, input_size, DetectionModel.size_multiple)
            matrices[i] = geometry.rounded(matrix, size, input_size)
    return matrices[which.reshape(-1)]


def _largest(place: NDArray, area: NDArray) -> NDArray[np.bool_]:
    """Which objects are the largest of those at their place; of equal ones the first."""
    order = np.lexsort((np.arange(len(area)), -area))
    _, first = np.unique(place[order], return_index=True)
    found = np.zeros(len(area), bool)
    found[order[first]] = True
    return found


def _has_neighbour(padded: NDArray, columns: int) -> NDArray[np.bool_]:
    """Whether a cell around, on a grid with a margin, holds one of the others."""
    taken = np.unique(padded)
    found = np.zeros(len(padded), bool)
    for step in (dy * columns + dx for dy in (-1, 0, 1) for dx in (-1, 0, 1) if dy or dx):
        at = np.searchsorted(taken, padded + step).clip(max=len(taken) - 1)
        found |= taken[at] == padded + step
    return found
