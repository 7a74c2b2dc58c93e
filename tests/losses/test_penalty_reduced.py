"""The penalty-reduced focal loss; every test runs with the plain and with the fused form."""

from pathlib import Path

import numpy as np
import pytest
import torch

from centernet.losses import fused_focal, penalty_reduced, penalty_reduced_focal_loss

GOLDEN = np.load(Path(__file__).parents[1] / "golden" / "losses.npz")


@pytest.fixture(params=["plain", "fused"], autouse=True)
def form(request, monkeypatch):
    above = {"plain": 2**40, "fused": -1}[request.param]
    monkeypatch.setattr(penalty_reduced, "FUSED_ABOVE", above)
    return request.param


def by_the_formula(logits, heatmap, mask=None, alpha=2.0, beta=4.0):
    """Eq. 1 of the paper in float64, written out."""
    x, y = logits.double(), heatmap.double()
    positive = y == 1
    log_p, log_not_p = -torch.nn.functional.softplus(-x), -torch.nn.functional.softplus(x)
    loss = torch.where(
        positive,
        -((1 - x.sigmoid()) ** alpha) * log_p,
        -((1 - y) ** beta) * x.sigmoid() ** alpha * log_not_p,
    )
    if mask is not None:
        loss, positive = loss * mask, positive & mask
    return loss.sum() / positive.sum().clamp(min=1)


def random_maps(shape=(2, 3, 8, 8), spread=3.0, seed=0):
    generator = torch.Generator().manual_seed(seed)
    logits = spread * torch.randn(shape, generator=generator)
    heatmap = torch.rand(shape, generator=generator) ** 4
    heatmap.view(-1)[::37] = 1
    mask = torch.rand(shape, generator=generator) > 0.3
    return logits, heatmap, mask


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
@pytest.mark.parametrize("case", ["case0", "case2"])
@pytest.mark.parametrize("masked", [False, True])
def test_focal_loss_equals_the_release(case, masked, dtype):
    logits = torch.tensor(GOLDEN[f"{case}_logits"], dtype=dtype, requires_grad=True)
    mask = torch.tensor(GOLDEN[f"{case}_mask"]) if masked else None
    loss = penalty_reduced_focal_loss(logits, torch.tensor(GOLDEN[f"{case}_heatmap"]), mask)
    loss.backward()
    prefix = f"{case}_masked_" if masked else f"{case}_"
    tolerance = {"rtol": 1e-12, "atol": 1e-14} if dtype == torch.float64 else {"rtol": 2e-6}
    assert loss.dtype == dtype
    assert np.allclose(loss.detach(), GOLDEN[prefix + "loss"], **tolerance)
    assert np.allclose(logits.grad, GOLDEN[prefix + "grad"], **tolerance)


def test_focal_loss_by_hand():
    # p = 0.5 everywhere: the positive adds 0.25 log 2; negatives (1 - Y)^4 0.25 log 2
    heatmap = torch.tensor([1.0, 0.0, 0.5])
    loss = penalty_reduced_focal_loss(torch.zeros(3), heatmap)
    assert loss.item() == pytest.approx(0.25 * np.log(2) * (1 + 1 + 0.0625))


@pytest.mark.parametrize(("alpha", "beta"), [(2.0, 4.0), (0.0, 0.0), (1.5, 2.0), (4.0, 3.0)])
def test_focal_loss_equals_the_formula(alpha, beta):
    logits, heatmap, mask = random_maps()
    ours = penalty_reduced_focal_loss(logits.double(), heatmap, mask, alpha=alpha, beta=beta)
    assert ours.item() == pytest.approx(by_the_formula(logits, heatmap, mask, alpha, beta).item())


def test_gradient_is_the_derivative():
    logits, heatmap, mask = random_maps((1, 2, 3, 4))
    logits = logits.double().requires_grad_()
    assert torch.autograd.gradcheck(
        lambda x: 3 * penalty_reduced_focal_loss(x, heatmap.double(), mask), logits
    )


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
@pytest.mark.parametrize("extreme", [100.0, -100.0, 20.0, -20.0])
def test_right_at_extreme_logits(dtype, extreme):
    heatmap = torch.tensor([1.0, 0.0, 0.9])
    logits = torch.full((3,), extreme, dtype=dtype, requires_grad=True)
    loss = penalty_reduced_focal_loss(logits, heatmap)
    loss.backward()
    exact = torch.full((3,), extreme, dtype=torch.float64, requires_grad=True)
    expected = by_the_formula(exact, heatmap)
    expected.backward()
    assert loss.dtype == torch.float32
    assert loss.item() == pytest.approx(expected.item(), rel=1e-5, abs=1e-30)
    assert logits.grad.isfinite().all()
    assert np.allclose(logits.grad.double(), exact.grad, rtol=1e-2, atol=1e-7)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_half_precision_is_summed_in_float32(dtype):
    logits, heatmap, mask = random_maps((2, 4, 64, 64))
    logits = logits.to(dtype)
    loss = penalty_reduced_focal_loss(logits, heatmap, mask)
    assert loss.item() == pytest.approx(by_the_formula(logits, heatmap, mask).item(), rel=1e-5)


def test_several_pieces_and_any_memory_layout():
    logits, heatmap, mask = random_maps((2, 3, 100, 90))
    expected = by_the_formula(logits, heatmap, mask).item()
    turned = logits.to(memory_format=torch.channels_last).requires_grad_()
    loss = penalty_reduced_focal_loss(turned, heatmap, mask)
    loss.backward()
    assert loss.item() == pytest.approx(expected, rel=1e-6)
    plain = logits.clone().requires_grad_()
    penalty_reduced_focal_loss(plain, heatmap, mask).backward()
    assert torch.equal(turned.grad, plain.grad)


def test_no_gradient_reaches_an_ignored_cell():
    logits, heatmap, mask = random_maps()
    logits.requires_grad_()
    penalty_reduced_focal_loss(logits, heatmap, mask).backward()
    assert (logits.grad[~mask] == 0).all()
    assert (logits.grad[mask] != 0).all()


def test_gradient_scales_and_can_be_asked_for_twice():
    logits, heatmap, _ = random_maps()
    logits.requires_grad_()
    loss = penalty_reduced_focal_loss(logits, heatmap)
    (once,) = torch.autograd.grad(loss, logits, retain_graph=True)
    (thrice,) = torch.autograd.grad(3 * loss, logits)
    assert torch.allclose(3 * once, thrice)


def test_mask_broadcasts_over_classes():
    logits, heatmap, mask = random_maps()
    wide = mask[:, :1].expand_as(logits)
    one = penalty_reduced_focal_loss(logits, heatmap, mask[:, :1])
    assert one == penalty_reduced_focal_loss(logits, heatmap, wide)


def test_normalizer_replaces_the_count():
    logits, heatmap, _ = random_maps()
    total = penalty_reduced_focal_loss(logits, heatmap, normalizer=1)
    assert total.item() / 8 == pytest.approx(
        penalty_reduced_focal_loss(logits, heatmap, normalizer=torch.tensor(8.0)).item()
    )


def test_no_positive_is_no_special_case():
    logits = torch.zeros(1, 1, 2, 2, requires_grad=True)
    loss = penalty_reduced_focal_loss(logits, torch.zeros(1, 1, 2, 2))
    loss.backward()
    assert loss.item() == pytest.approx(4 * 0.25 * np.log(2))
    assert logits.grad.isfinite().all()


def test_wrong_shapes_say_which():
    with pytest.raises(ValueError, match=r"\(2,\).*\(3,\)"):
        penalty_reduced_focal_loss(torch.zeros(3), torch.zeros(2))
    with pytest.raises(ValueError, match=r"mask \(2,\)"):
        penalty_reduced_focal_loss(torch.zeros(3), torch.zeros(3), torch.ones(2, dtype=torch.bool))


@pytest.mark.parametrize("alpha", [0.0, 0.3, 1.0])
def test_small_exponents_have_finite_gradients(alpha):
    logits = torch.tensor([-1e4, -200.0, 200.0, 1e4] * 2, requires_grad=True)
    heatmap = torch.tensor([0.0] * 4 + [1.0] * 4)
    penalty_reduced_focal_loss(logits, heatmap, alpha=alpha).backward()
    assert logits.grad.isfinite().all()


def loss_and_gradient(logits, heatmap, mask):
    """Loss, gradient, and whether the fused form computed them."""
    logits = logits.clone().requires_grad_()
    loss = penalty_reduced_focal_loss(logits, heatmap, mask)
    loss.backward()
    return loss.item(), logits.grad, "Fused" in type(loss.grad_fn).__name__


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
@pytest.mark.parametrize(("cells", "above_the_limit"), [(96, False), (97, True)])
def test_the_two_forms_are_equal_on_both_sides_of_the_limit(
    cells, above_the_limit, dtype, monkeypatch
):
    logits, heatmap, mask = random_maps((cells,))
    maps = logits.to(dtype), heatmap, mask
    monkeypatch.setattr(penalty_reduced, "FUSED_ABOVE", 96)
    loss, gradient, fused = loss_and_gradient(*maps)
    assert fused == above_the_limit
    monkeypatch.setattr(penalty_reduced, "FUSED_ABOVE", 97 if above_the_limit else 95)
    other_loss, other_gradient, fused = loss_and_gradient(*maps)
    assert fused != above_the_limit
    relative = 1e-12 if dtype == torch.float64 else 2e-6
    assert loss == pytest.approx(other_loss, rel=relative)
    assert torch.allclose(gradient, other_gradient, rtol=relative, atol=relative * 1e-3)


@pytest.mark.parametrize(
    ("cells", "pieces"),
    [(2**15 + 1, 2), (2**20, 33), (2**20 + 1, 2), (2**21 + 1, 3)],
)
def test_heatmaps_up_to_a_million_cells_need_one_thread(cells, pieces, monkeypatch):
    """PyTorch divides operations on 32,768 numbers or more among threads."""
    monkeypatch.setattr(torch, "get_num_threads", lambda: 4)
    length = fused_focal._piece_length(torch.empty(1).expand(cells))
    assert -(-cells // length) == pieces
    assert (length < 32_768) == (cells <= 2**20)
