"""The focal losses: cross-entropy that plays down what is already right.

Lin, Goyal, Girshick, He, Dollar: "Focal Loss for Dense Object Detection", 2017. They are written
with the logarithms of probabilities and never raise a probability that may be 0 to a power, so
neither loss nor gradient is ever NaN for finite logits, whatever gamma is.
"""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from centernet.losses.inputs import (
    binary,
    check_fraction,
    expanded,
    reduced,
    signed_logits,
    to_float,
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
    """Binary focal loss (Lin et al., Eq. 5): -alpha_t (1 - p_t)^gamma log p_t.

    p = sigmoid(x); p_t is p where the target is 1 and 1 - p elsewhere, alpha_t likewise alpha and
    1 - alpha. With gamma 0 and alpha None it is cross-entropy.

    Args:
        logits: any shape; one number per example and class.
        targets: of the same shape, bool, or numbers that are 0 or 1. Bool is not checked and so
            does not wait for the device.
        alpha: weight of the positives; None weighs neither.
        gamma: how strongly easy examples are played down.
        weight: factor for each example, broadcasts to the logits.
        reduction: "none"; "sum"; "mean" over all; or "positives", the sum divided by
            max(1, number of positives), as in the paper.

    Returns:
        A scalar, or the logits' shape for "none"; float64 for float64 logits and float32 for all
        others.

    Raises:
        ValueError: alpha outside [0, 1], negative gamma, an unknown reduction, targets of another
            shape or value, or a weight that does not broadcast.
    """
    if alpha is not None:
        check_fraction("alpha", alpha)
    _check_gamma(gamma)
    positive = binary(targets, logits)
    x_t = signed_logits(logits, positive)
    # (1 - p_t)^gamma = exp(gamma log(1 - p_t)): its slope stays finite as p_t goes to 1.
    loss = -(gamma * F.logsigmoid(-x_t)).exp() * F.logsigmoid(x_t)
    if alpha is not None:
        loss = torch.where(positive, alpha * loss, (1 - alpha) * loss)
    return _weighted(loss, weight, reduction, positive)


def focal_loss_star(
    logits: Tensor,
    targets: Tensor,
    *,
    gamma: float = 2.0,
    beta: float = 1.0,
    weight: Tensor | None = None,
    reduction: str = "positives",
) -> Tensor:
    """The focal loss's other form, FL* (Lin et al., appendix): -log(p_t*) / gamma.

    p_t* = sigmoid(gamma x_t + beta), where x_t is the logit if the target is 1, else its opposite:
    cross-entropy of a steeper and shifted logit, which is small earlier. The paper tries gamma 2
    with beta 1, and gamma 4 with beta 0.

    Args:
        logits: any shape; one number per example and class.
        targets: of the same shape, bool, or numbers that are 0 or 1. Bool is not checked and so
            does not wait for the device.
        gamma: how steep; above 0.
        beta: how far shifted.
        weight: factor for each example, broadcasts to the logits.
        reduction: "none"; "sum"; "mean" over all; or "positives", the sum divided by
            max(1, number of positives).

    Returns:
        A scalar, or the logits' shape for "none"; float64 for float64 logits and float32 for all
        others.

    Raises:
        ValueError: gamma not above 0, an unknown reduction, targets of another shape or value, or
            a weight that does not broadcast.
    """
    if not gamma > 0:
        raise ValueError(f"gamma must be above 0, for the loss is divided by it; got {gamma}")
    positive = binary(targets, logits)
    loss = -F.logsigmoid(gamma * signed_logits(logits, positive) + beta) / gamma
    return _weighted(loss, weight, reduction, positive)


def softmax_focal_loss(
    logits: Tensor,
    labels: Tensor,
    *,
    alpha: float | Sequence[float] | None = None,
    gamma: float = 2.0,
    reduction: str = "mean",
) -> Tensor:
    """Focal loss of classes that exclude each other: -alpha_t (1 - p_t)^gamma log p_t.

    p = softmax(x), p_t that of the label, alpha_t the weight of the label. The form of Lin et al.,
    Eq. 5, for more than two classes. With gamma 0 and alpha None it is cross-entropy.

    Args:
        logits: (..., C), C at least 2.
        labels: (...), integers from 0 to C - 1.
        alpha: weight of each class, a list of C; or one number, which weighs class 0 (often the
            background) by alpha and all others by 1 - alpha; None weighs none.
        gamma: how strongly easy examples are played down.
        reduction: "none"; "sum"; or "mean", the sum divided by the number of examples, not by
            their weights.

    Returns:
        A scalar, or the labels' shape for "none"; float64 for float64 logits and float32 for all
        others.

    Raises:
        ValueError: fewer than two classes, alpha outside [0, 1] or a list of another length than
            C, negative gamma, an unknown reduction, labels of another shape or outside 0 to C - 1.
    """
    _check_gamma(gamma)
    _check_labels(labels, logits)
    classes = logits.shape[-1]
    log_p = F.log_softmax(to_float(logits), dim=-1)
    label = labels.long()[..., None]
    log_p_t = log_p.gather(-1, label).squeeze(-1)
    # 1 - p_t as the sum of the other classes: a difference would be 0 long before they are.
    log_rest = log_p.scatter(-1, label, -torch.inf).logsumexp(-1)
    loss = -(gamma * log_rest).exp() * log_p_t
    if alpha is not None:
        loss = loss * loss.new_tensor(_class_weights(alpha, classes))[labels.long()]
    return reduced(loss, reduction)


def _check_gamma(gamma: float) -> None:
    if not gamma >= 0:
        raise ValueError(f"gamma must not be negative, got {gamma}")


def _check_labels(labels: Tensor, logits: Tensor) -> None:
    if logits.ndim < 1 or labels.shape != logits.shape[:-1]:
        raise ValueError(
            f"labels {tuple(labels.shape)} must have the shape of the logits "
            f"{tuple(logits.shape)} without the last dimension"
        )
    classes = logits.shape[-1]
    if classes < 2:
        raise ValueError(f"the last dimension of the logits must be at least 2 classes: {classes}")
    if labels.dtype.is_floating_point:
        raise ValueError(f"labels must be integers, got {labels.dtype}")
    if labels.numel() and not 0 <= labels.min() <= labels.max() < classes:
        raise ValueError(f"labels must be in 0..{classes - 1}, got {labels.min()}..{labels.max()}")


def _class_weights(alpha: float | Sequence[float], classes: int) -> list[float]:
    if isinstance(alpha, int | float):
        alpha = [alpha] + [1 - alpha] * (classes - 1)
    if len(alpha) != classes:
        raise ValueError(f"alpha {list(alpha)} must have one number for each of {classes} classes")
    for value in alpha:
        check_fraction("alpha", value)
    return list(alpha)


def _weighted(loss: Tensor, weight: Tensor | None, reduction: str, positive: Tensor) -> Tensor:
    if weight is not None:
        loss = loss * expanded("weight", weight, loss.shape).to(loss.dtype)
    return reduced(loss, reduction, positive)
