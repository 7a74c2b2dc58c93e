from functools import partial

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torchvision.ops import sigmoid_focal_loss as torchvision_focal_loss

from centernet.losses import focal_loss_star, sigmoid_focal_loss, softmax_focal_loss

BINARY = [sigmoid_focal_loss, focal_loss_star]
HALF = [torch.bfloat16, torch.float16]


def random_batch(shape=(6, 5), spread=3.0, dtype=torch.float64, seed=0):
    generator = torch.Generator().manual_seed(seed)
    logits = spread * torch.randn(shape, generator=generator, dtype=torch.float64)
    return logits.to(dtype), torch.rand(shape, generator=generator) < 0.3


def two_masks(p, y, alpha, gamma):
    positive, negative = y == 1, y == 0
    return (
        -alpha * (1 - p) ** gamma * np.log(p) * positive
        - (1 - alpha) * p**gamma * np.log(1 - p) * negative
    )


def one_p_t(p, y, alpha, gamma):
    p_t = np.where(y == 1, p, 1 - p)
    alpha_t = np.where(y == 1, alpha, 1 - alpha)
    return -alpha_t * (1 - p_t) ** gamma * np.log(p_t)


def weighted_cross_entropy(p, y, alpha, gamma):
    cross_entropy = -(y * np.log(p) + (1 - y) * np.log(1 - p))
    return (alpha * y + (1 - alpha) * (1 - y)) * np.abs(p - y) ** gamma * cross_entropy


@pytest.mark.parametrize("written", [two_masks, one_p_t, weighted_cross_entropy])
@pytest.mark.parametrize(("alpha", "gamma"), [(0.25, 2.0), (0.7, 0.0), (0.5, 0.3), (1.0, 5.0)])
def test_the_classic_ways_of_writing_it_agree(written, alpha, gamma):
    logits, targets = random_batch()
    ours = sigmoid_focal_loss(logits, targets, alpha=alpha, gamma=gamma, reduction="none")
    p = 1 / (1 + np.exp(-logits.numpy()))
    assert np.allclose(ours, written(p, targets.numpy().astype(float), alpha, gamma), rtol=1e-9)


@pytest.mark.parametrize(("alpha", "gamma"), [(0.25, 2.0), (None, 1.0), (0.6, 3.5)])
@pytest.mark.parametrize("reduction", ["none", "sum", "mean"])
def test_sigmoid_focal_loss_equals_torchvision(alpha, gamma, reduction):
    logits, targets = random_batch()
    ours = sigmoid_focal_loss(logits, targets, alpha=alpha, gamma=gamma, reduction=reduction)
    theirs = torchvision_focal_loss(
        logits, targets.double(), -1 if alpha is None else alpha, gamma, reduction
    )
    assert torch.allclose(ours, theirs)


@pytest.mark.parametrize(("gamma", "beta"), [(2.0, 1.0), (4.0, 0.0), (0.5, -1.0)])
def test_focal_loss_star_equals_the_formula(gamma, beta):
    logits, targets = random_batch()
    ours = focal_loss_star(logits, targets, gamma=gamma, beta=beta, reduction="none")
    x_t = np.where(targets, logits, -logits)
    p_t = 1 / (1 + np.exp(-(gamma * x_t + beta)))
    assert np.allclose(ours, -np.log(p_t) / gamma, rtol=1e-9)


@pytest.mark.parametrize("alpha", [None, 0.25, [0.1, 0.2, 0.3, 0.4, 1.0]])
@pytest.mark.parametrize("gamma", [0.0, 0.5, 2.0])
def test_softmax_focal_loss_equals_the_formula(alpha, gamma):
    logits, _ = random_batch((3, 4, 5))
    labels = torch.arange(12).reshape(3, 4) % 5
    ours = softmax_focal_loss(logits, labels, alpha=alpha, gamma=gamma, reduction="none")
    p = np.exp(logits.numpy()) / np.exp(logits.numpy()).sum(-1, keepdims=True)
    p_t = np.take_along_axis(p, labels.numpy()[..., None], -1)[..., 0]
    weights = {None: np.ones(5), 0.25: np.array([0.25, 0.75, 0.75, 0.75, 0.75])}
    alpha_t = (np.array(alpha) if isinstance(alpha, list) else weights[alpha])[labels]
    assert np.allclose(ours, -alpha_t * (1 - p_t) ** gamma * np.log(p_t), rtol=1e-9)


def test_by_hand():
    # x = 0: p_t = 1/2 for all
    logits, targets = torch.zeros(3), torch.tensor([1.0, 0.0, 0.0])
    loss = sigmoid_focal_loss(logits, targets)
    assert loss.item() == pytest.approx(0.25 * np.log(2) * (0.25 + 0.75 + 0.75))
    star = focal_loss_star(logits, targets, gamma=2, beta=0)
    assert star.item() == pytest.approx(3 * np.log(2) / 2)
    softmax = softmax_focal_loss(torch.zeros(2, 4), torch.tensor([0, 3]), alpha=0.2)
    assert softmax.item() == pytest.approx(0.75**2 * np.log(4) * (0.2 + 0.8) / 2)


def test_without_gamma_it_is_cross_entropy():
    logits, targets = random_batch()
    ours = sigmoid_focal_loss(logits, targets, alpha=None, gamma=0, reduction="none")
    plain = F.binary_cross_entropy_with_logits(logits, targets.double(), reduction="none")
    assert torch.allclose(ours, plain)
    labels = torch.tensor([0, 1, 2, 3, 4, 0])
    ours = softmax_focal_loss(logits, labels, gamma=0)
    assert ours.item() == pytest.approx(F.cross_entropy(logits, labels).item())


def test_two_classes_are_the_binary_case():
    # softmax of (0, x) is sigmoid(x)
    logits, targets = random_batch((20,))
    pair = torch.stack([torch.zeros(20), logits], -1)
    two = softmax_focal_loss(pair, targets.long(), alpha=0.75, reduction="none")
    assert torch.allclose(two, sigmoid_focal_loss(logits, targets, reduction="none"))


@pytest.mark.parametrize("loss", BINARY)
@pytest.mark.parametrize("gamma", [0.5, 2.0])
def test_gradient_is_the_derivative(loss, gamma):
    logits, targets = random_batch()
    weight = torch.rand(5).double()
    assert torch.autograd.gradcheck(
        lambda x: loss(x, targets, gamma=gamma, weight=weight), logits.requires_grad_()
    )


@pytest.mark.parametrize("gamma", [0.0, 0.5, 2.0])
def test_gradient_of_softmax_is_the_derivative(gamma):
    logits, _ = random_batch()
    labels = torch.tensor([0, 1, 2, 3, 4, 0])
    assert torch.autograd.gradcheck(
        lambda x: softmax_focal_loss(x, labels, gamma=gamma, alpha=0.25), logits.requires_grad_()
    )


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, *HALF])
@pytest.mark.parametrize(
    "loss",
    [
        partial(sigmoid_focal_loss, gamma=0.0),
        partial(sigmoid_focal_loss, gamma=0.3),
        partial(sigmoid_focal_loss, gamma=2.0),
        partial(focal_loss_star, gamma=0.3),
        partial(focal_loss_star, gamma=2.0),
    ],
)
def test_nothing_is_nan_at_extreme_logits(loss, dtype):
    values = [-1e4, -100.0, -20.0, 0.0, 20.0, 100.0, 1e4]
    for target in (0, 1):
        logits = torch.tensor(values, dtype=dtype, requires_grad=True)
        result = loss(logits, torch.full((7,), target), reduction="sum")
        result.backward()
        assert result.isfinite() and logits.grad.isfinite().all()
        assert result.dtype == (torch.float64 if dtype == torch.float64 else torch.float32)
        # What is as wrong as can be still pulls back with all its weight.
        assert logits.grad[0 if target else -1].abs() > 0.2


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, *HALF])
@pytest.mark.parametrize("gamma", [0.0, 0.3, 2.0])
def test_softmax_is_not_nan_at_extreme_logits(gamma, dtype):
    for high, low in [(1e4, -1e4), (100.0, 0.0), (0.0, -20.0)]:
        row = torch.tensor([high, low, low], dtype=dtype)
        logits = torch.stack([row, row]).requires_grad_()
        loss = softmax_focal_loss(logits, torch.tensor([0, 1]), gamma=gamma, reduction="none")
        loss.sum().backward()
        assert loss.isfinite().all() and logits.grad.isfinite().all()
        assert loss[0] < 1e-3 and loss[1].item() == pytest.approx(high - low, rel=0.01)
        assert logits.grad[1].tolist() == pytest.approx([1, -1, 0], abs=0.02)


@pytest.mark.parametrize("dtype", HALF)
def test_half_precision_is_summed_in_float32(dtype):
    logits, targets = random_batch((400, 400), dtype=dtype)
    for loss in BINARY:
        expected = loss(logits.double(), targets, reduction="sum").item()
        assert loss(logits, targets, reduction="sum").item() == pytest.approx(expected, rel=1e-5)
    labels = torch.arange(400)
    expected = softmax_focal_loss(logits.double(), labels).item()
    assert softmax_focal_loss(logits, labels).item() == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("loss", BINARY)
def test_no_example_and_no_positive(loss):
    for reduction in ("sum", "mean", "positives"):
        assert loss(torch.zeros(0, 3), torch.zeros(0, 3), reduction=reduction) == 0
    logits, none = torch.zeros(4), torch.zeros(4)
    assert loss(logits, none) == loss(logits, none, reduction="sum") > 0
    assert softmax_focal_loss(torch.zeros(0, 3), torch.zeros(0, dtype=torch.long)) == 0


@pytest.mark.parametrize("loss", BINARY)
def test_reductions_and_weight(loss):
    logits, targets = random_batch()
    each = loss(logits, targets, reduction="none")
    assert each.shape == logits.shape
    assert loss(logits, targets, reduction="mean") == each.sum() / 30
    assert loss(logits, targets) == each.sum() / targets.sum()
    weight = torch.rand(6, 1)
    weighted = loss(logits, targets, weight=weight, reduction="none")
    assert torch.allclose(weighted, each * weight)
    # The weight does not change what the sum is divided by.
    assert loss(logits, targets, weight=weight).item() == pytest.approx(
        (weighted.sum() / targets.sum()).item()
    )


@pytest.mark.parametrize("loss", BINARY)
def test_targets_may_be_bool_or_numbers(loss):
    logits, targets = random_batch()
    for dtype in (torch.float32, torch.long, torch.uint8):
        assert loss(logits, targets.to(dtype)) == loss(logits, targets)


LOGITS, LABELS = torch.zeros(2, 3), torch.tensor([0, 2])


@pytest.mark.parametrize(
    ("call", "expected"),
    [
        (lambda: sigmoid_focal_loss(LOGITS, LOGITS, alpha=1.5), r"alpha .* 1\.5"),
        (lambda: sigmoid_focal_loss(LOGITS, LOGITS, alpha=-1), "alpha .* -1"),
        (lambda: sigmoid_focal_loss(LOGITS, LOGITS, gamma=-0.5), r"gamma .* -0\.5"),
        (lambda: sigmoid_focal_loss(LOGITS, LOGITS, reduction="avg"), "reduction 'avg'.*none.*sum"),
        (lambda: sigmoid_focal_loss(LOGITS, LOGITS[0]), r"\(3,\).*\(2, 3\)"),
        (lambda: sigmoid_focal_loss(LOGITS, LOGITS + 0.5), r"targets .* 0\.5"),
        (lambda: sigmoid_focal_loss(LOGITS, LOGITS, weight=torch.ones(2)), r"weight \(2,\)"),
        (lambda: focal_loss_star(LOGITS, LOGITS, gamma=0), "gamma .* 0"),
        (lambda: focal_loss_star(LOGITS, LOGITS, gamma=-2), "gamma .* -2"),
        (lambda: focal_loss_star(LOGITS, LOGITS[:1]), r"\(1, 3\).*\(2, 3\)"),
        (lambda: focal_loss_star(LOGITS, LOGITS, reduction=None), "reduction None"),
        (
            lambda: softmax_focal_loss(LOGITS, LABELS, alpha=[0.5, 0.5]),
            r"alpha \[0\.5, 0\.5\].* 3",
        ),
        (lambda: softmax_focal_loss(LOGITS, LABELS, alpha=[0, 0.5, 2]), "alpha .* 2"),
        (lambda: softmax_focal_loss(LOGITS, LABELS, alpha=1.1), r"alpha .* 1\.1"),
        (lambda: softmax_focal_loss(LOGITS, LABELS, gamma=-1), "gamma .* -1"),
        (lambda: softmax_focal_loss(LOGITS, LABELS + 1), r"labels .*\b2\b.*\b3\b"),
        (lambda: softmax_focal_loss(LOGITS, LABELS - 1), r"labels .*\b2\b.* -1\b"),
        (lambda: softmax_focal_loss(LOGITS, LABELS.float()), "float32"),
        (lambda: softmax_focal_loss(LOGITS, LABELS[:1]), r"\(1,\).*\(2, 3\)"),
        (lambda: softmax_focal_loss(LOGITS[:, :1], LABELS), r"at least 2\b.* 1\b"),
        (
            lambda: softmax_focal_loss(LOGITS, LABELS, reduction="positives"),
            "reduction 'positives'.*mean",
        ),
    ],
)
def test_invalid_arguments_are_named_with_their_value(call, expected):
    with pytest.raises(ValueError, match=expected):
        call()
