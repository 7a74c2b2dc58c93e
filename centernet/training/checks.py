"""What is looked at before the first step, and would else show late, slowly or as a traceback."""

import json
import math
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch
import yaml
from torch import nn

from centernet.errors import InputError
from centernet.models.base import DetectionModel


def _at_least(lowest: int, *, or_none: bool = False) -> Callable[[Any], bool]:
    return lambda value: or_none if value is None else value >= lowest


# Of the trainer's options that would fail late, or do other than they say: which values are fine,
# and what to do about others.
_TRAINER: dict[str, tuple[Callable[[Any], bool], str]] = {
    "max_epochs": (
        lambda value: value is None or value == -1 or value > 0,
        "give at least 1, or leave it out",
    ),
    "max_steps": (lambda value: value == -1 or value > 0, "give at least 1, or leave it out"),
    "min_epochs": (_at_least(0, or_none=True), "give 0 or more"),
    "min_steps": (_at_least(0, or_none=True), "give 0 or more"),
    "check_val_every_n_epoch": (_at_least(1), "give 1 or more"),
    "val_check_interval": (
        lambda value: value is None or (isinstance(value, float) and value == 1),
        "an epoch is validated at its end, leave it out; see --trainer.check_val_every_n_epoch",
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
        "give 0 or more, or leave it out",
    ),
    "log_every_n_steps": (_at_least(0, or_none=True), "give 1 or more, or 0 for none"),
    "overfit_batches": (
        lambda value: not value,
        "the order of the images would be lost; use --trainer.limit_train_batches",
    ),
    "reload_dataloaders_every_n_epochs": (
        lambda value: value <= 0,
        "the data never changes, leave it out",
    ),
    "use_distributed_sampler": (
        lambda value: not value,
        "images are already divided over the processes, leave it out",
    ),
    "barebones": (lambda value: not value, "no checkpoint would be kept, leave it out"),
    "default_root_dir": (lambda value: value is not None, "name a folder for the runs"),
}


def require_configs(arguments: Sequence[str]) -> None:
    """Raise InputError if a configuration file that the arguments name holds no options."""
    for word, following in zip(arguments, [*arguments[1:], ""], strict=True):
        name, equals, value = word.partition("=")
        if name not in ("--config", "-c"):
            continue
        path = value if equals else following
        try:
            content = yaml.safe_load(Path(path).read_text(encoding="utf-8"))
            json.dumps(content, default=str)  # which fails where an alias holds itself
        except OSError as error:
            raise InputError(f"cannot read configuration {path}: {error.strerror}") from None
        except (ValueError, TypeError, RecursionError, yaml.YAMLError) as error:
            reason = " ".join(str(error).split())[:200]
            raise InputError(f"configuration {path} is no valid YAML: {reason}") from None
        if not isinstance(content, dict):
            raise InputError(f"configuration {path} holds no options (see configs/custom.yaml)")


def require_trainer_options(trainer: Any) -> None:
    """Raise InputError if an option of the trainer has a value that training cannot keep."""
    for name, (is_fine, remedy) in _TRAINER.items():
        if not is_fine(trainer[name]):
            raise InputError(f"--trainer.{name} {trainer[name]} cannot be used: {remedy}")
    if trainer.sync_batchnorm and _on_cpu(trainer) and str(trainer.devices) not in ("1", "auto"):
        raise InputError(
            f"--trainer.sync_batchnorm with {trainer.devices} processes needs GPUs: leave it out"
        )
    require_precision(trainer)


def _on_cpu(trainer: Any) -> bool:
    return trainer.accelerator == "cpu" or not (
        torch.cuda.is_available() or torch.backends.mps.is_available()
    )


def require_precision(trainer: Any) -> None:
    """Raise InputError if the trainer's options ask for a precision that is of no use here."""
    precision = str(trainer.precision)
    if precision in ("64", "64-true"):
        raise InputError(f"precision {precision} is of no use for images: choose 32-true")
    if precision in ("16-true", "bf16-true"):
        raise InputError(
            f"precision {precision} is too coarse for boxes: choose {precision[:-4]}mixed"
        )
    on_cpu = _on_cpu(trainer)
    # On a CPU, 16-mixed means bf16-mixed to the trainer.
    if on_cpu and "16" in precision and not torch.cpu._is_avx512_bf16_supported():
        raise InputError(
            f"precision {precision} is about 100 times slower on this CPU, which has no bf16 "
            "instructions: give --trainer.precision 32-true"
        )


def require_input_size(network: DetectionModel, size: tuple[int, int]) -> None:
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


def require_batch(network: DetectionModel, size: tuple[int, int], images: int) -> None:
    """Raise InputError if batch norm had but one value per channel where features are coarsest."""
    if images * math.prod(size) <= network.size_multiple**2:
        raise InputError(
            f"data.image_size {size[0]}x{size[1]} is too small to train on {images} image at a "
            "time: give a larger one, or a larger data.batch_size"
        )
