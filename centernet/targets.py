"""Boxes to training maps: a Gaussian at every centre, and the size and offset to learn there.

"Objects as Points" (Zhou et al., 2019), section 3. The inverse is :func:`centernet.decode.decode`.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class Targets:
    """What the network should say for a batch. N objects; cells are counted row by row.

    Attributes:
        heatmap: (B, C, h, w) float32 in [0, 1], exactly 1 at the cell of each object's centre.
        mask: (B, C, h, w) bool, False where the loss must not look; None where it may look
            everywhere.
        batch_index: (N,) image of each object.
        label: (N,) class of each object.
        cell_index: (N,) y * w + x of the cell that holds the centre.
        size: (N, 2) width and height in cells.
        offset: (N, 2) x and y of the centre inside its cell, in [0, 1).
        written: (M,) flat indices of the heatmap's cells that hold some object's Gaussian; of an
            object's window every cell, also where another's is larger.
        gaussian_object: (M,) the object, in [0, N).
        gaussian_value: (M,) its Gaussian there.
    """

    heatmap: Tensor
    mask: Tensor | None
    batch_index: Tensor
    label: Tensor
    cell_index: Tensor
    size: Tensor
    offset: Tensor
    written: Tensor
    gaussian_object: Tensor
    gaussian_value: Tensor


def gaussian_radius(
    height: Tensor | float,
    width: Tensor | float,
    min_overlap: float = 0.7,
    *,
    corrected: bool = False,
) -> Tensor:
    """How far a centre may move while its box still overlaps the true one by ``min_overlap``.

    The smallest root of the three cases of CornerNet (Law and Deng, 2018): one corner in and one
    out, both in, both out. The released code of CenterNet takes the larger root and does not divide
    by the leading coefficient, so its radius is about 2.8 times the true one; models were trained,
    and numbers published, with that, so it is the default.

    Args:
        height: heights in cells.
        width: widths in cells.
        min_overlap: IoU that must remain.
        corrected: the textbook roots instead of the released ones.

    Returns:
        Float64 radii in cells, not truncated, of the broadcast shape.
    """
    height = torch.as_tensor(height, dtype=torch.float64)
    width = torch.as_tensor(width, dtype=torch.float64)
    total, area, overlap = height + width, height * width, min_overlap
    one_inside = (1.0, total, area * (1 - overlap) / (1 + overlap), -1)
    both_inside = (4.0, 2 * total, (1 - overlap) * area, -1)
    both_outside = (4 * overlap, -2 * overlap * total, (overlap - 1) * area, 1)
    radii = []
    for a, b, c, sign in (one_inside, both_inside, both_outside):
        root = (b * b - 4 * a * c).sqrt()
        radii.append((b + sign * root) / (2 * a) if corrected else (b + root) / 2)
    return torch.stack(radii).amin(0)


def target_radius(size: Tensor) -> Tensor:
    """Radius (N,) int64 of the Gaussians in a target heatmap, in cells.

    :func:`gaussian_radius` of the boxes in whole cells, truncated.

    Args:
        size: (N, 2) width and height of the boxes in cells.
    """
    width, height = size.ceil().unbind(1)
    return gaussian_radius(height, width).long().clamp_(min=0)


def encode_targets(
    targets: Sequence[dict],
    shape: tuple[int, int, int, int],
    *,
    stride: int = 4,
    out: Targets | None = None,
    device: torch.device | str | None = None,
) -> Targets:
    """Turn the boxes of a batch into training maps, in one vectorised pass.

    Centre cells are found by truncation; the Gaussian's radius r is :func:`target_radius`, its
    standard deviation (2 r + 1) / 6; where Gaussians of a class meet, the larger value stays. A
    cell is ignored for a class when its centre, canvas pixel (stride * x + stride / 2,
    stride * y + stride / 2), lies in an ignore region of that class, unless it holds a real centre
    of that class.

    Args:
        targets: B dicts with ``boxes`` (n, 4) float xyxy in canvas pixels, cut to the canvas and
            not empty, ``labels`` (n,) int64, and optionally ``ignore``, a list of (label or None
            for all classes, bool mask (h, w)).
        shape: (B, C, h, w) of the heatmap.
        stride: canvas pixels per cell.
        out: earlier targets of the same shape whose heatmap is cleared and used again, instead of a
            new one.
        device: where the maps are made; by default where ``out`` or the boxes are.

    Returns:
        The maps and the objects.

    Raises:
        ValueError: a label that is not one of the C classes, or ``out`` of another shape.
    """
    batch, classes, rows, columns = shape
    if len(targets) != batch:
        raise ValueError(f"shape says {batch} images, but there are {len(targets)} targets")
    if device is None:
        device = out.heatmap.device if out else targets[0]["boxes"].device
    # The few numbers per object are worked out on the CPU and sent in one piece each.
    boxes = torch.cat([t["boxes"] for t in targets]).cpu().float() / stride
    label = torch.cat([t["labels"] for t in targets]).cpu()
    check_labels(label, classes)
    counts = torch.tensor([len(t["boxes"]) for t in targets])
    batch_index = torch.repeat_interleave(torch.arange(batch), counts)
    size = boxes[:, 2:] - boxes[:, :2]
    center = (boxes[:, :2] + boxes[:, 2:]) / 2
    # A box that ends at the last cell's border may have its centre rounded onto that border.
    cell = center.long().clamp_(max=torch.tensor([columns - 1, rows - 1]))
    radius = target_radius(size)
    plane = batch_index * classes + label

    heatmap = _cleared(out, shape, device)
    written, gaussian_object, gaussian_value = _draw_gaussians(heatmap, plane, cell, radius)
    cell_index = cell[:, 1] * columns + cell[:, 0]
    return Targets(
        heatmap=heatmap,
        mask=_ignore_mask(targets, shape, plane * (rows * columns) + cell_index, device),
        batch_index=batch_index.to(device),
        label=label.to(device),
        cell_index=cell_index.to(device),
        size=size.to(device),
        offset=(center - cell).clamp_(0, 1 - 2**-24).to(device),
        written=written,
        gaussian_object=gaussian_object,
        gaussian_value=gaussian_value,
    )


def check_labels(labels: Tensor, num_classes: int) -> None:
    """Raise ValueError if a label is not one of the classes."""
    if len(labels) and not 0 <= int(labels.min()) <= int(labels.max()) < num_classes:
        raise ValueError(
            f"labels must be in 0..{num_classes - 1}, got {labels.min()}..{labels.max()}"
        )


def render_heatmap(
    boxes: Tensor, labels: Tensor, shape: tuple[int, int, int], *, stride: int = 4
) -> Tensor:
    """Heatmap (C, h, w) of one image's boxes (n, 4), canvas pixels; see :func:`encode_targets`."""
    return encode_targets([{"boxes": boxes, "labels": labels}], (1, *shape), stride=stride).heatmap[
        0
    ]


def _cleared(out: Targets | None, shape: tuple[int, ...], device: torch.device | str) -> Tensor:
    if out is None:
        return torch.zeros(shape, device=device)
    if out.heatmap.shape != torch.Size(shape):
        raise ValueError(
            f"out has a heatmap of shape {tuple(out.heatmap.shape)}, not {tuple(shape)}"
        )
    out.heatmap.view(-1)[out.written] = 0
    return out.heatmap


def _draw_gaussians(
    heatmap: Tensor, plane: Tensor, cell: Tensor, radius: Tensor
) -> tuple[Tensor, Tensor, Tensor]:
    """Write every object's Gaussian into its plane of the heatmap.

    The windows of all objects are laid end to end: one row per cell of a window.

    Returns:
        Of each such row the flat cell of the heatmap, the object, and its value there.
    """
    rows, columns = heatmap.shape[-2:]
    first, last = (cell - radius[:, None]).clamp_(min=0), cell + radius[:, None] + 1
    extent = torch.minimum(last, torch.tensor([columns, rows])) - first
    count = extent.prod(1)
    total = int(count.sum())
    start = count.cumsum(0) - count
    table = torch.stack(
        [start, extent[:, 0], *(first - cell).T, radius, plane * (rows * columns), *cell.T]
    )
    table = table.to(heatmap.device)
    owner = torch.repeat_interleave(count.to(heatmap.device), output_size=total)
    start, width, left, top, radius, base, x, y = table[:, owner].unbind()
    inside = torch.arange(total, device=heatmap.device) - start
    dy = torch.div(inside, width, rounding_mode="floor")
    dx = inside - dy * width + left
    dy += top
    sigma = (2 * radius + 1) / 6
    value = torch.exp(-(dx * dx + dy * dy) / (2 * sigma * sigma))
    index = base + (y + dy) * columns + x + dx
    heatmap.view(-1).scatter_reduce_(0, index, value, "amax")
    return index, owner, value


def _ignore_mask(
    targets: Sequence[dict], shape: tuple[int, ...], peaks: Tensor, device: torch.device | str
) -> Tensor | None:
    regions = [(i, *region) for i, t in enumerate(targets) for region in t.get("ignore") or ()]
    if not regions:
        return None
    mask = torch.ones(shape, dtype=torch.bool, device=device)
    for image, label, region in regions:
        where = slice(None) if label is None else label
        mask[image, where] &= ~region.to(device)
    mask.view(-1)[peaks.to(device)] = True
    return mask
