"""Encode training targets: a Gaussian at each object's center, and the values of its box there.

"Objects as Points" (Zhou et al., 2019), section 3. :func:`centernet.decode.decode` reads
the boxes back from the outputs of a network that predicts these targets.

Letters in shapes: B images, C classes, N objects of the batch, h x w cells. A cell is a square of
``stride`` x ``stride`` pixels of the network input; cells of an image are counted row by row.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

DEFAULT_STRIDE = 4  # the paper's R: network input pixels per cell

# The largest float32 below 1.
_LARGEST_OFFSET = 1 - 2**-24


@dataclass(frozen=True)
class Targets:
    """Training targets of a batch.

    Attributes:
        heatmap: (B, C, h, w) float32 in [0, 1], exactly 1 at the cell of each object's center.
        mask: (B, C, h, w) bool, False where the loss ignores the heatmap; None if it ignores
            nothing.
        batch_index: (N,) image of each object.
        label: (N,) class of each object.
        cell_index: (N,) y * w + x of the cell that holds the center.
        size: (N, 2) width and height in cells.
        offset: (N, 2) x and y of the center inside its cell, in [0, 1).
        gaussian_cell: (M,) flat indices of all heatmap cells that a Gaussian covers. A cell that
            several Gaussians cover is listed once for each.
        gaussian_object: (M,) the object whose Gaussian it is, in [0, N).
        gaussian_value: (M,) the value of that Gaussian in the cell.
        is_point: (N,) bool: only the center of the object is known, and ``size`` is that of a
            typical object; None if all have boxes.
        annotations: the B dicts that were encoded. Heads that learn more than boxes read their
            annotations here; the N objects are those of the images, one image after the other.
    """

    heatmap: Tensor
    mask: Tensor | None
    batch_index: Tensor
    label: Tensor
    cell_index: Tensor
    size: Tensor
    offset: Tensor
    gaussian_cell: Tensor
    gaussian_object: Tensor
    gaussian_value: Tensor
    annotations: Sequence[Mapping[str, Any]]
    is_point: Tensor | None = None

    @property
    def num_boxes(self) -> int:
        """Number of objects that have a box."""
        return len(self.label) - (0 if self.is_point is None else int(self.is_point.sum()))

    @property
    def box_index(self) -> Tensor | slice:
        """The index of the objects that have a box, for tensors (N, ...)."""
        return slice(None) if self.is_point is None else ~self.is_point


def gaussian_radius(
    height: Tensor | float,
    width: Tensor | float,
    min_overlap: float = 0.7,
    *,
    corrected: bool = False,
) -> Tensor:
    """Radius of the Gaussian of a box, in cells (CornerNet, Law and Deng, 2018).

    CornerNet wants the largest distance r by which the corners may move so that the IoU stays at
    least ``min_overlap``. Each of three cases (one corner moves in and one out, both in, both out)
    gives an equation a r^2 - b r + c = 0; the radius is the smallest solution. The code of
    CornerNet and CenterNet computes (b + sqrt(b^2 - 4 a c)) / 2 in all cases: it omits the division
    by a, and takes the wrong root in the first two. Its radius is 3.3 to 3.8 times the correct one
    for aspect ratios up to 10. Published models were trained with it, so it is the default.

    Args:
        height: heights of boxes in cells.
        width: widths of boxes in cells.
        min_overlap: IoU that must remain.
        corrected: compute the correct solution instead of the released one.

    Returns:
        Float64 radii in cells, not truncated, of the broadcast shape.
    """
    height = torch.as_tensor(height, dtype=torch.float64)
    width = torch.as_tensor(width, dtype=torch.float64)
    total, area, overlap = height + width, height * width, min_overlap
    # a, b, c, and the sign of the square root in the correct solution
    one_inside = (1.0, total, area * (1 - overlap) / (1 + overlap), -1)
    both_inside = (4.0, 2 * total, (1 - overlap) * area, -1)
    both_outside = (4 * overlap, -2 * overlap * total, (overlap - 1) * area, 1)
    radii = []
    for a, b, c, sign in (one_inside, both_inside, both_outside):
        root = (b * b - 4 * a * c).sqrt()
        radii.append((b + sign * root) / (2 * a) if corrected else (b + root) / 2)
    return torch.stack(radii).amin(0)


def target_radius(size: Tensor) -> Tensor:
    """Radius of the Gaussians in a target heatmap: :func:`gaussian_radius`, truncated.

    Args:
        size: (N, 2) width and height of the boxes in cells, here rounded up to full cells.

    Returns:
        (N,) int64 radii in cells.
    """
    width, height = size.ceil().unbind(1)
    return gaussian_radius(height, width).long().clamp_(min=0)


def encode_targets(
    targets: Sequence[Mapping[str, Any]],
    shape: tuple[int, int, int, int],
    *,
    stride: int = DEFAULT_STRIDE,
    out: Targets | None = None,
    device: torch.device | str | None = None,
) -> Targets:
    """Encode the boxes of a batch, in one vectorized pass.

    The cell of a center is found by truncation. Its Gaussian has the radius r of
    :func:`target_radius` and the standard deviation (2 r + 1) / 6; where Gaussians of a class
    overlap, the maximum is kept. The mask is False in the ignored cells of a class, except in the
    cells that hold a center of that class.

    Args:
        targets: B dicts with ``boxes`` (n, 4) float xyxy in network input pixels, clipped to the
            input and not empty, ``labels`` (n,) int64, and optionally ``ignore``, a list of (label,
            or None for all classes; bool mask (h, w) of cells, True where ignored), and
            ``is_point`` (n,) bool, whose boxes are squares of typical size, which are not clipped.
        shape: (B, C, h, w) of the heatmap.
        stride: network input pixels per cell.
        out: earlier targets of the same shape. Their heatmap is cleared and reused.
        device: device of the result; by default that of ``out`` or of the boxes. With ``out`` it
            must be the device of its heatmap.

    Raises:
        ValueError: a label is not one of the C classes, there are not B targets, or ``out`` has
            another shape.
    """
    batch, classes, rows, columns = shape
    if len(targets) != batch:
        raise ValueError(f"shape is for {batch} images, but there are {len(targets)} targets")
    device = device or (out.heatmap.device if out else targets[0]["boxes"].device)
    # The few numbers of the objects are computed on the CPU and copied to the device once.
    boxes_cells = torch.cat([t["boxes"] for t in targets]).cpu().float() / stride  # (N, 4)
    label = torch.cat([t["labels"] for t in targets]).cpu()
    check_labels(label, classes)
    batch_index = torch.repeat_interleave(torch.tensor([len(t["boxes"]) for t in targets]))
    top_left, bottom_right = boxes_cells.split(2, 1)
    size = bottom_right - top_left
    center_cell, offset = _locate((top_left + bottom_right) / 2, rows, columns)  # (N, 2) x, y
    cell_index = center_cell[:, 1] * columns + center_cell[:, 0]
    plane = batch_index * classes + label  # the (h, w) map of the object's image and class
    heatmap = _blank_heatmap(out, shape, device)
    covered, owner, value = _draw_gaussians(heatmap, plane, center_cell, target_radius(size))
    return Targets(
        heatmap=heatmap,
        mask=_loss_mask(targets, shape, plane * (rows * columns) + cell_index, device),
        batch_index=batch_index.to(device),
        label=label.to(device),
        cell_index=cell_index.to(device),
        size=size.to(device),
        offset=offset.to(device),
        gaussian_cell=covered,
        gaussian_object=owner,
        gaussian_value=value,
        annotations=targets,
        is_point=_points(targets, device),
    )


def _points(targets: Sequence[Mapping[str, Any]], device: torch.device | str) -> Tensor | None:
    """Which of the N objects are points; None if none is."""
    marks = [t.get("is_point", torch.zeros(len(t["boxes"]), dtype=torch.bool)) for t in targets]
    is_point = torch.cat(marks)
    return is_point.to(device) if is_point.any() else None


def check_labels(labels: Tensor, num_classes: int) -> None:
    """Raise ValueError if a label is not in 0 .. num_classes - 1."""
    if len(labels) and not 0 <= int(labels.min()) <= int(labels.max()) < num_classes:
        raise ValueError(
            f"labels must be in 0..{num_classes - 1}, got {labels.min()}..{labels.max()}"
        )


def render_heatmap(
    boxes: Tensor, labels: Tensor, shape: tuple[int, int, int], *, stride: int = DEFAULT_STRIDE
) -> Tensor:
    """Target heatmap (C, h, w) of one image; arguments as for :func:`encode_targets`."""
    target = {"boxes": boxes, "labels": labels}
    return encode_targets([target], (1, *shape), stride=stride).heatmap[0]


def _locate(center: Tensor, rows: int, columns: int) -> tuple[Tensor, Tensor]:
    """Split centers (N, 2), in cells, into the cell's x and y, int64, and the offset inside it."""
    # Rounding may put the center of a box that touches the far border of the input onto it.
    cell = center.long().clamp_(max=torch.tensor([columns - 1, rows - 1]))
    return cell, (center - cell).clamp_(0, _LARGEST_OFFSET)


def _blank_heatmap(
    out: Targets | None, shape: tuple[int, ...], device: torch.device | str
) -> Tensor:
    """Create a heatmap of zeros; with ``out``, clear the Gaussians of its heatmap and reuse it."""
    if out is None:
        return torch.zeros(shape, device=device)
    if out.heatmap.shape != torch.Size(shape):
        raise ValueError(
            f"out has a heatmap of shape {tuple(out.heatmap.shape)}, not {tuple(shape)}"
        )
    out.heatmap.view(-1)[out.gaussian_cell] = 0
    return out.heatmap


def _draw_gaussians(
    heatmap: Tensor, plane: Tensor, cell: Tensor, radius: Tensor
) -> tuple[Tensor, Tensor, Tensor]:
    """Draw every object's Gaussian into its plane of the heatmap.

    The square windows of all Gaussians, clipped to the map, are concatenated to M cells, so that
    one scatter operation draws them all.

    Args:
        heatmap: (B, C, h, w), changed in place.
        plane: (N,) image * C + class.
        cell: (N, 2) x and y of the center.
        radius: (N,) half the width of the window, without its center.

    Returns:
        (M,) flat index in the heatmap, object, and value of each window cell.
    """
    rows, columns = heatmap.shape[-2:]
    first = (cell - radius[:, None]).clamp(min=0)
    last = torch.minimum(cell + radius[:, None], torch.tensor([columns - 1, rows - 1]))
    extent = last - first + 1  # (N, 2) columns and rows of each window
    count = extent.prod(1)
    start = count.cumsum(0) - count  # position of each window among the M cells
    total = int(count.sum())
    # One tensor, so that there is one copy to the device.
    per_object = torch.stack([start, extent[:, 0], *first.T, *cell.T, radius, plane])
    owner = torch.repeat_interleave(count.to(heatmap.device), output_size=total)  # (M,) 0, 0, 1, ..
    start, width, left, top, center_x, center_y, radius, plane = per_object.to(heatmap.device)[
        :, owner
    ]
    k = torch.arange(total, device=heatmap.device) - start  # number of the cell in its window
    x, y = left + k % width, top + torch.div(k, width, rounding_mode="floor")
    sigma = (2 * radius + 1) / 6
    value = torch.exp(-((x - center_x) ** 2 + (y - center_y) ** 2) / (2 * sigma * sigma))
    index = (plane * rows + y) * columns + x
    heatmap.view(-1).scatter_reduce_(0, index, value, "amax")
    return index, owner, value


def _loss_mask(
    targets: Sequence[Mapping[str, Any]],
    shape: tuple[int, ...],
    center_index: Tensor,
    device: torch.device | str,
) -> Tensor | None:
    """Mask (B, C, h, w), False in the ignore regions but at the centers (flat indices)."""
    regions = [(i, *region) for i, t in enumerate(targets) for region in t.get("ignore") or ()]
    if not regions:
        return None
    mask = torch.ones(shape, dtype=torch.bool, device=device)
    for image, label, region in regions:
        classes = slice(None) if label is None else label
        mask[image, classes] &= ~region.to(device)
    mask.view(-1)[center_index.to(device)] = True
    return mask
