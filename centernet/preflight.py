"""What is looked at before the first step, and would else show late, slowly or as a traceback."""

import math
from typing import Any

import torch
from torch import nn

from centernet.errors import InputError
from centernet.network import Network


def require_precision(trainer: Any) -> None:
    """Raise InputError if the trainer's options ask for a precision that is of no use here."""
    precision = str(trainer.precision)
    if precision in ("16-true", "bf16-true"):
        raise InputError(
            f"precision {precision} is too coarse for boxes: choose {precision[:-4]}mixed"
        )
    on_cpu = trainer.accelerator == "cpu" or not (
        torch.cuda.is_available() or torch.backends.mps.is_available()
    )
    # On a CPU, 16-mixed means bf16-mixed to the trainer.
    if on_cpu and "16" in precision and not torch.cpu._is_avx512_bf16_supported():
        raise InputError(
            f"precision {precision} is about 100 times slower on this CPU, which has no bf16 "
            "instructions: give --trainer.precision 32-true"
        )


def require_canvas(network: Network, size: tuple[int, int]) -> None:
    """Raise InputError if the network takes no images of a size (height, width)."""
    multiple = network.size_multiple
    if any(side % multiple for side in size):
        raise InputError(
            f"data.image_size must be multiples of {multiple} for this network, "
            f"got {size[0]}x{size[1]}"
        )
    require_size(network.backbone, network.architecture["backbone"], size)


def require_size(backbone: nn.Module, name: str, size: tuple[int, int]) -> None:
    """Raise InputError if the backbone of that name takes no images of a size (height, width)."""
    tensors = dict(backbone.named_parameters()) | dict(backbone.named_buffers())
    # On the meta device, where shapes are worked out and nothing else.
    tensors = {key: tensor.to("meta") for key, tensor in tensors.items()}
    images = torch.empty(2, 3, *size, device="meta")
    try:
        torch.func.functional_call(backbone, tensors, (images,))
    except NotImplementedError:  # of the device: the first step will tell
        return
    except (AssertionError, RuntimeError) as error:
        reason = next(iter(str(error).splitlines()), "") or type(error).__name__
        raise InputError(
            f"backbone {name!r} takes no images of {size[0]}x{size[1]} ({reason}): give another "
            "data.image_size, or a backbone that takes any, as resnet18"
        ) from None


def require_batch(network: Network, size: tuple[int, int], images: int) -> None:
    """Raise InputError if batch norm had but one value per channel where features are coarsest."""
    if images * math.prod(size) <= network.size_multiple**2:
        raise InputError(
            f"data.image_size {size[0]}x{size[1]} is too small to train on {images} image at a "
            "time: give a larger one, or a larger data.batch_size"
        )
