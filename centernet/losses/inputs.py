"""What the classification losses ask of their input, and how they sum up."""

import torch
from torch import Tensor


def to_float(tensor: Tensor) -> Tensor:
    """The tensor in float64 if it has that, else in float32."""
    return tensor if tensor.dtype == torch.float64 else tensor.float()


def expanded(name: str, tensor: Tensor, shape: torch.Size) -> Tensor:
    """The tensor broadcast to a shape.

    Raises:
        ValueError: it does not broadcast to it.
    """
    try:
        return tensor.expand(shape)
    except RuntimeError:
        raise ValueError(
            f"{name} {tuple(tensor.shape)} does not broadcast to the logits {tuple(shape)}"
        ) from None


def binary(targets: Tensor, logits: Tensor) -> Tensor:
    """Targets as bool.

    Raises:
        ValueError: they have another shape than the logits, or a value that is neither 0 nor 1.
    """
    if targets.shape != logits.shape:
        raise ValueError(
            f"targets {tuple(targets.shape)} and logits {tuple(logits.shape)} must have one shape"
        )
    if targets.dtype == torch.bool:
        return targets
    positive = targets == 1
    other = ~positive & (targets != 0)
    if other.any():
        raise ValueError(f"targets must be 0 or 1, got {targets[other][0].item():g}")
    return positive


def signed_logits(logits: Tensor, positive: Tensor) -> Tensor:
    """x_t: the logit where the target is 1, its opposite elsewhere; in at least float32.

    With it, both cases of a binary loss are one: p_t = sigmoid(x_t), cross-entropy is -log p_t,
    and the norm of its gradient |p - target| is sigmoid(-x_t).
    """
    x = to_float(logits)
    return torch.where(positive, x, -x)


def check_fraction(name: str, value: float) -> None:
    """Raise ValueError if the value is not in [0, 1]."""
    if not 0 <= value <= 1:
        raise ValueError(f"{name} must be in [0, 1], got {value}")


def reduced(loss: Tensor, reduction: str, positives: Tensor | None = None) -> Tensor:
    """The loss as it is, summed, or summed and divided by a count of at least 1.

    Args:
        loss: of each example.
        reduction: "none", "sum", "mean", or, where ``positives`` is given, "positives".
        positives: bool, which examples that last one counts.

    Raises:
        ValueError: there is no such reduction.
    """
    known = ["none", "sum", "mean"] + ["positives"] * (positives is not None)
    if reduction not in known:
        raise ValueError(f"unknown reduction {reduction!r}: choose {', '.join(known)}")
    if reduction == "none":
        return loss
    if reduction == "positives":
        return loss.sum() / positives.sum().clamp(min=1)
    return loss.sum() / max(1, loss.numel()) if reduction == "mean" else loss.sum()
