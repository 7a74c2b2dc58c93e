"""Shared steps of the classification losses: input checks, logits of the true class, reduction."""

import torch
import torch.nn.functional as F
from torch import Tensor


def to_float(tensor: Tensor) -> Tensor:
    """Convert float16, bfloat16 and other types to float32; keep float64."""
    return tensor if tensor.dtype == torch.float64 else tensor.float()


def broadcast_to(name: str, tensor: Tensor, shape: torch.Size) -> Tensor:
    """Broadcast a tensor to the shape of the logits.

    Args:
        name: name of the argument, for the message.
        tensor: any shape that broadcasts to ``shape``.
        shape: shape of the logits.

    Raises:
        ValueError: the tensor does not broadcast to the shape.
    """
    try:
        return tensor.expand(shape)
    except RuntimeError:
        raise ValueError(
            f"{name} {tuple(tensor.shape)} does not broadcast to the logits {tuple(shape)}"
        ) from None


def as_bool_targets(targets: Tensor, logits: Tensor) -> Tensor:
    """Convert binary targets to bool.

    Bool targets need no check of their values, which would synchronize with the GPU.

    Args:
        targets: bool, or numbers that are 0 or 1.
        logits: tensor of the same shape.

    Raises:
        ValueError: the shapes differ, or a target is neither 0 nor 1.
    """
    if targets.shape != logits.shape:
        raise ValueError(
            f"targets {tuple(targets.shape)} and logits {tuple(logits.shape)} "
            "must have the same shape"
        )
    if targets.dtype == torch.bool:
        return targets
    positive = targets == 1
    other = ~positive & (targets != 0)
    if other.any():
        raise ValueError(f"targets must be 0 or 1, got {targets[other][0].item():g}")
    return positive


def true_class_logits(logits: Tensor, positive: Tensor) -> Tensor:
    """Return x_t, which is x where the target is 1 and -x elsewhere.

    x_t turns both cases of a binary loss into one: p_t = sigmoid(x_t), the cross-entropy is
    -log p_t, and its gradient with respect to x has the norm |p - target| = sigmoid(-x_t).

    Args:
        logits: x, any shape.
        positive: bool, same shape.

    Returns:
        Same shape; float64 for float64 logits, else float32.
    """
    x = to_float(logits)
    return torch.where(positive, x, -x)


def sigmoid_power(x: Tensor, exponent: float) -> Tensor:
    """Compute sigmoid(x)^exponent with a finite gradient for every exponent >= 0.

    The gradient of ``sigmoid(x) ** exponent`` is NaN for exponents below 1 where the sigmoid
    underflows to 0, so the general case uses exp(exponent log sigmoid(x)).
    """
    if exponent == 2:
        return torch.sigmoid(x).square()  # twice as fast
    return (exponent * F.logsigmoid(x)).exp()


def check_fraction(name: str, value: float) -> None:
    """Raise ValueError unless the value is in [0, 1]."""
    if not 0 <= value <= 1:
        raise ValueError(f"{name} must be in [0, 1], got {value}")


def reduce(loss: Tensor, reduction: str, positives: Tensor | None = None) -> Tensor:
    """Reduce the losses of all examples to one number.

    Args:
        loss: loss of each example.
        reduction: ``none``; ``sum``; ``mean``; or, if ``positives`` is given, ``positives``: the
            sum divided by max(1, number of positives).
        positives: bool, the positive examples.

    Raises:
        ValueError: the reduction is unknown.
    """
    if reduction == "none":
        return loss
    if reduction == "sum":
        return loss.sum()
    if reduction == "mean":
        return loss.sum() / max(1, loss.numel())
    if reduction == "positives" and positives is not None:
        return loss.sum() / positives.sum().clamp(min=1)
    known = ["none", "sum", "mean"] + ["positives"] * (positives is not None)
    raise ValueError(f"unknown reduction {reduction!r}: choose {', '.join(known)}")
