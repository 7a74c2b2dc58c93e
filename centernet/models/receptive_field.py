"""How far the pixels that influence a cell are from it."""

import torch

from centernet.models.base import DetectionModel
from centernet.models.layers import DeformConv

_PROBE_LENGTH = 2048  # pixels; radii up to almost half of it are found


@torch.inference_mode()
def receptive_radius(network: DetectionModel, device: str | torch.device = "cpu") -> int | None:
    """The distance in pixels beyond which no pixel influences a cell.

    It is measured: a column of NaN makes all cells NaN that depend on it. Layers are assumed to
    reach equally far in x and y.

    Args:
        network: a network with heatmaps, in eval mode.
        device: device of the network.

    Returns:
        A multiple of the stride; None if the distance is 1024 or more, as in networks with
        squeeze-and-excitation layers, whose cells depend on the whole image; and for deformable
        layers, whose offsets have no limit.
    """
    if any(isinstance(layer, DeformConv) for layer in network.modules()):
        return None
    multiple, middle = network.size_multiple, _PROBE_LENGTH // 2
    radius = 0
    # The pixels on both sides of a border between two blocks of ``multiple`` pixels.
    for column in (middle - 1, middle):
        images = torch.zeros(1, 3, 2 * multiple, _PROBE_LENGTH, device=device)
        images[..., column] = torch.nan
        outputs = torch.cat(list(network(images).values()), 1)
        cells = outputs.isnan().any(1).any(1)[0].nonzero().flatten()
        first, end = int(cells[0]) * network.stride, int(cells[-1] + 1) * network.stride
        if first == 0 or end == _PROBE_LENGTH:
            return None
        radius = max(radius, middle - first if column == middle else end - middle)
    return radius
