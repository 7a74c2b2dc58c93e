"""Checks of options before training, so that a wrong one fails early with a clear message."""

import math
from collections.abc import Callable
from typing import Any

import torch
from torch import nn

from centernet.errors import InputError
from centernet.models.base import DetectionModel
from centernet.sizes import format_size, parse_size


def _at_least(lowest: int, *, or_none: bool = False) -> Callable[[Any], bool]:
    return lambda value: or_none if value is None else value >= lowest


# Trainer options that would fail late or have an unexpected effect: the valid values, and the
# remedy for others.
_TRAINER: dict[str, tuple[Callable[[Any], bool], str]] = {
    "max_epochs": (
        lambda value: value is None or value == -1 or value > 0,
        "give at least 1, or omit it",
    ),
    "max_steps": (lambda value: value == -1 or value > 0, "give at least 1, or omit it"),
    "min_epochs": (_at_least(0, or_none=True), "give 0 or more"),
    "min_steps": (_at_least(0, or_none=True), "give 0 or more"),
    "check_val_every_n_epoch": (_at_least(1), "give 1 or more"),
    "val_check_interval": (
        lambda value: value is None or (isinstance(value, float) and value == 1),
        "validation runs at the end of epochs, omit it; see --trainer.check_val_every_n_epoch",
    ),
    "num_sanity_val_steps": (_at_least(-1, or_none=True), "give 0 or more, or -1 for all"),
    "limit_train_batches": (
        lambda value: value is None or value > 0,
        "give a number of batches or a fraction up to 1.0; --trainer.max_epochs sets the length",
    ),
    "limit_val_batches": (_at_least(0, or_none=True), "give 0 or more"),
    "accumulate_grad_batches": (_at_least(1), "give 1 or more"),
    "gradient_clip_val": (
        lambda value: value is None or 0 <= value < math.inf,
        "give 0 or more, or omit it",
    ),
    "log_every_n_steps": (_at_least(0, or_none=True), "give 1 or more, or 0 for none"),
    "overfit_batches": (
        lambda value: not value,
        "the order of the images would be lost; use --trainer.limit_train_batches",
    ),
    "reload_dataloaders_every_n_epochs": (
        lambda value: value <= 0,
        "the data never changes, omit it",
    ),
    "use_distributed_sampler": (
        lambda value: not value,
        "images are already split over the processes, omit it",
    ),
    "barebones": (lambda value: not value, "no checkpoint would be written, omit it"),
    "default_root_dir": (lambda value: value is not None, "name a folder for the runs"),
}


def validate_trainer_options(trainer: Any) -> None:
    """Raise InputError if a trainer option has a value that is not supported."""
    for name, (is_fine, remedy) in _TRAINER.items():
        if not is_fine(trainer[name]):
            raise InputError(f"--trainer.{name} {trainer[name]} is not supported: {remedy}")
    if trainer.sync_batchnorm and _on_cpu(trainer) and str(trainer.devices) not in ("1", "auto"):
        raise InputError(
            f"--trainer.sync_batchnorm with {trainer.devices} processes needs GPUs: omit it"
        )
    validate_precision(trainer)


def _on_cpu(trainer: Any) -> bool:
    return trainer.accelerator == "cpu" or not (
        torch.cuda.is_available() or torch.backends.mps.is_available()
    )


def validate_precision(trainer: Any) -> None:
    """Raise InputError if the precision is not suitable for detection or for this CPU."""
    precision = str(trainer.precision)
    if precision in ("64", "64-true"):
        raise InputError(f"precision {precision} does not help for images: use 32-true")
    if precision in ("16-true", "bf16-true"):
        raise InputError(f"precision {precision} is too low for boxes: use {precision[:-4]}mixed")
    # On a CPU the trainer uses bf16-mixed for 16-mixed.
    if _on_cpu(trainer) and "16" in precision and not _has_bf16():
        raise InputError(
            f"precision {precision} is about 100 times slower on this CPU, which has no bf16 "
            "instructions: give --trainer.precision 32-true"
        )


def _has_bf16() -> bool:
    # torch has no public function for this.
    return torch.cpu._is_avx512_bf16_supported()


def validate_input_size(
    network: DetectionModel, size: tuple[int, int], option: str = "data.image_size"
) -> None:
    """Raise InputError, for ``option``, if the network does not accept a (height, width)."""
    parse_size(size, multiple=network.size_multiple, name=f"{option} for this network")
    backbone = network.get_submodule("backbone")
    validate_backbone_size(backbone, network.architecture["backbone"], size)


def validate_points(network: DetectionModel, has_points: bool) -> None:
    """Raise InputError if there are points, and the network cannot learn from them."""
    if has_points and not network.has_heatmaps:
        raise InputError(
            "the training images have points, which have no size for anchors: use "
            "--model.detector centernet"
        )


def validate_backbone_size(backbone: nn.Module, name: str, size: tuple[int, int]) -> None:
    """Raise InputError if a backbone does not accept an input size (height, width)."""
    tensors = dict(backbone.named_parameters()) | dict(backbone.named_buffers())
    # The meta device computes shapes only.
    tensors = {key: tensor.to("meta") for key, tensor in tensors.items()}
    images = torch.empty(2, 3, *size, device="meta")
    try:
        torch.func.functional_call(backbone, tensors, (images,))
    except NotImplementedError:  # the meta device lacks an operation: no check
        return
    except (AssertionError, RuntimeError) as error:
        reason = next(iter(str(error).splitlines()), "") or type(error).__name__
        raise InputError(
            f"backbone {name!r} does not accept images of {format_size(size)} ({reason}): give "
            "another data.image_size, or a backbone with variable input size, as resnet18"
        ) from None


def validate_batch(network: DetectionModel, size: tuple[int, int], images: int) -> None:
    """Raise InputError if batch norm would get one value per channel at the coarsest features."""
    if images * math.prod(size) <= network.size_multiple**2:
        raise InputError(
            f"data.image_size {format_size(size)} is too small for batches of {images} image: "
            "give a larger one, or a larger data.batch_size"
        )
