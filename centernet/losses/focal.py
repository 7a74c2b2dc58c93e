"""Focal losses (Lin, Goyal, Girshick, He, Dollar: "Focal Loss for Dense Object Detection", 2017).

Equation 5, with x a logit, p = sigmoid(x), and p_t = p where the target is 1 and 1 - p elsewhere::

    FL = -alpha_t (1 - p_t)^gamma log(p_t)

The functions compute log(p_t) from the logits, so loss and gradient are finite for all finite
logits and every gamma >= 0.
"""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from centernet.losses.inputs import (
    as_bool_targets,
    broadcast_to,
    check_fraction,
    reduce,
    sigmoid_power,
    to_float,
    true_class_logits,
)


def sigmoid_focal_loss(
    logits: Tensor,
    targets: Tensor,
    *,
    alpha: float | None = 0.25,
    gamma: float = 2.0,
    weight: Tensor | None = None,
    reduction: str = "positives",
) -> Tensor:
    """Compute the binary focal loss (Lin et al., Eq. 5): -alpha_t (1 - p_t)^gamma log(p_t).

    p = sigmoid(x). p_t is p where the target is 1 and 1 - p elsewhere; alpha_t is alpha where the
    target is 1 and 1 - alpha elsewhere. With gamma 0 and alpha None it equals the cross-entropy.

    Args:
        logits: x, any shape; one number per example and class.
        targets: same shape; bool, or numbers that are 0 or 1. The values of bool targets are not
            checked, which avoids a synchronization with the GPU.
        alpha: weight of the positives, in [0, 1]; None for no weights.
        gamma: focusing parameter, at least 0; larger values reduce the weight of easy examples.
        weight: factor for the loss of each example; broadcasts to the logits.
        reduction: ``none``; ``sum``; ``mean`` over all examples; or ``positives``, the sum divided
            by max(1, number of positives), as in the paper.

    Returns:
        A scalar, or the shape of the logits for ``none``; float64 for float64 logits, else float32.

    Raises:
        ValueError: alpha is outside [0, 1], gamma is negative, the reduction is unknown, the
            targets have another shape than the logits or other values than 0 and 1, or the weight
            does not broadcast.
    """
    if alpha is not None:
        check_fraction("alpha", alpha)
    _check_gamma(gamma)
    positive = as_bool_targets(targets, logits)
    x_t = true_class_logits(logits, positive)
    loss = -sigmoid_power(-x_t, gamma) * F.logsigmoid(x_t)  # -(1 - p_t)^gamma log(p_t)
    if alpha is not None:
        loss = torch.where(positive, alpha * loss, (1 - alpha) * loss)
    return _weight_and_reduce(loss, weight, reduction, positive)


def focal_loss_star(
    logits: Tensor,
    targets: Tensor,
    *,
    gamma: float = 2.0,
    beta: float = 1.0,
    weight: Tensor | None = None,
    reduction: str = "positives",
) -> Tensor:
    """Compute the alternative focal loss FL* (Lin et al., Appendix A): -log(p_t*) / gamma.

    p_t* = sigmoid(gamma x_t + beta), where x_t is x where the target is 1 and -x elsewhere. This is
    the cross-entropy of a scaled and shifted logit. The paper uses gamma 2 with beta 1, and gamma 4
    with beta 0.

    Args:
        logits: x, any shape; one number per example and class.
        targets: same shape; bool, or numbers that are 0 or 1. The values of bool targets are not
            checked, which avoids a synchronization with the GPU.
        gamma: scale of the logit, above 0.
        beta: shift of the scaled logit.
        weight: factor for the loss of each example; broadcasts to the logits.
        reduction: ``none``; ``sum``; ``mean`` over all examples; or ``positives``, the sum divided
            by max(1, number of positives).

    Returns:
        A scalar, or the shape of the logits for ``none``; float64 for float64 logits, else float32.

    Raises:
        ValueError: gamma is not above 0, the reduction is unknown, the targets have another shape
            than the logits or other values than 0 and 1, or the weight does not broadcast.
    """
    if not gamma > 0:
        raise ValueError(f"gamma must be above 0 because the loss is divided by it, got {gamma}")
    positive = as_bool_targets(targets, logits)
    x_t = true_class_logits(logits, positive)
    loss = -F.logsigmoid(gamma * x_t + beta) / gamma
    return _weight_and_reduce(loss, weight, reduction, positive)


def softmax_focal_loss(
    logits: Tensor,
    labels: Tensor,
    *,
    alpha: float | Sequence[float] | None = None,
    gamma: float = 2.0,
    reduction: str = "mean",
) -> Tensor:
    """Compute the focal loss of mutually exclusive classes: -alpha_t (1 - p_t)^gamma log(p_t).

    p = softmax(x), p_t is the probability of the label and alpha_t the weight of the label. This is
    the form of Lin et al., Eq. 5, for several classes. With gamma 0 and alpha None it equals the
    cross-entropy.

    Args:
        logits: x, (..., C) with C at least 2.
        labels: (...), integers from 0 to C - 1.
        alpha: weight of each class, C numbers in [0, 1]; or one number, the weight of class 0
            (often the background), with 1 - alpha for all others; None for no weights.
        gamma: focusing parameter, at least 0; larger values reduce the weight of easy examples.
        reduction: ``none``; ``sum``; or ``mean``, the sum divided by the number of examples, not by
            the sum of their weights.

    Returns:
        A scalar, or the shape of the labels for ``none``; float64 for float64 logits, else float32.

    Raises:
        ValueError: there are fewer than two classes, alpha is outside [0, 1] or has another length
            than C, gamma is negative, the reduction is unknown, or the labels have another shape or
            are outside 0 to C - 1.
    """
    _check_gamma(gamma)
    _check_labels(labels, logits)
    classes = logits.shape[-1]
    log_p = F.log_softmax(to_float(logits), dim=-1)
    label = labels.long()[..., None]
    log_p_t = log_p.gather(-1, label).squeeze(-1)
    # log(1 - p_t) from the probabilities of the other classes: the difference 1 - p_t rounds to 0
    # long before their sum does.
    log_rest = log_p.scatter(-1, label, -torch.inf).logsumexp(-1)
    loss = -(gamma * log_rest).exp() * log_p_t
    if alpha is not None:
        loss = loss * loss.new_tensor(_class_weights(alpha, classes))[labels.long()]
    return reduce(loss, reduction)


def _check_gamma(gamma: float) -> None:
    """Raise ValueError if gamma is negative or NaN."""
    if not gamma >= 0:
        raise ValueError(f"gamma must not be negative, got {gamma}")


def _check_labels(labels: Tensor, logits: Tensor) -> None:
    """Raise ValueError unless the labels are class indices for the logits."""
    if logits.ndim < 1 or labels.shape != logits.shape[:-1]:
        raise ValueError(
            f"labels {tuple(labels.shape)} must have the shape of the logits "
            f"{tuple(logits.shape)} without the last dimension"
        )
    classes = logits.shape[-1]
    if classes < 2:
        raise ValueError(
            f"the logits must have at least 2 classes in the last dimension: {classes}"
        )
    if labels.dtype.is_floating_point:
        raise ValueError(f"labels must be integers, got {labels.dtype}")
    if labels.numel() and not 0 <= labels.min() <= labels.max() < classes:
        raise ValueError(f"labels must be in 0..{classes - 1}, got {labels.min()}..{labels.max()}")


def _class_weights(alpha: float | Sequence[float], classes: int) -> list[float]:
    """Return the weight of each class, checked."""
    if isinstance(alpha, int | float):
        alpha = [alpha] + [1 - alpha] * (classes - 1)
    if len(alpha) != classes:
        raise ValueError(
            f"alpha {list(alpha)} must have one number for each of the {classes} classes"
        )
    for value in alpha:
        check_fraction("alpha", value)
    return list(alpha)


def _weight_and_reduce(
    loss: Tensor, weight: Tensor | None, reduction: str, positive: Tensor
) -> Tensor:
    """Multiply the losses of the examples by their weights and reduce them."""
    if weight is not None:
        loss = loss * broadcast_to("weight", weight, loss.shape).to(loss.dtype)
    return reduce(loss, reduction, positive)
