import numpy as np
import pytest
import torch
import torch.nn.functional as F

from centernet.losses import GHMClassificationLoss, ghm_classification_loss, gradient_shares

# Six examples by their gradient norm |p - target|: three negatives with p = 0.05, 0.05 and 0.15, a
# negative with 0.95, a positive with p = 0.85 (norm 0.15) and one with 0.35 (norm 0.65).
P = torch.tensor([0.05, 0.05, 0.15, 0.95, 0.85, 0.35], dtype=torch.float64)
TARGETS = torch.tensor([0, 0, 0, 0, 1, 1])
LOGITS = torch.logit(P)
# Examples in each one's region: two in [0, 0.1), two in [0.1, 0.2), one in [0.9, 1], one in
# [0.6, 0.7). All this times ten is the density.
EXAMPLES = np.array([2, 2, 2, 1, 2, 1])
P_T = np.array([0.95, 0.95, 0.85, 0.05, 0.85, 0.35])
CROSS_ENTROPY = -np.log(P_T)


def random_batch(shape=(4, 50), seed=0):
    generator = torch.Generator().manual_seed(seed)
    logits = 2 * torch.randn(shape, generator=generator, dtype=torch.float64)
    return (
        logits,
        torch.rand(shape, generator=generator) < 0.3,
        torch.rand(shape, generator=generator) < 0.7,
    )


def by_the_formula(logits, targets, mask=None, bins=10, density=None):
    """Example by example, in float64."""
    p, target = 1 / (1 + np.exp(-logits.numpy().ravel())), targets.numpy().ravel().astype(float)
    seen = np.ones(p.shape, bool) if mask is None else mask.numpy().ravel()
    p, target = p[seen], target[seen]
    region = np.minimum((np.abs(p - target) * bins).astype(int), bins - 1)
    total = 0.0
    for i in range(len(p)):
        count = (region == region[i]).sum()
        if density is not None:
            count = max(1.0, density[region[i]] * len(p))
        total -= np.log(p[i] if target[i] else 1 - p[i]) / (count * bins)
    return total


def test_nothing_to_learn_from():
    for shape in [(0,), (2, 0)]:
        assert ghm_classification_loss(torch.zeros(shape), torch.zeros(shape)) == 0
    logits = torch.zeros(3, requires_grad=True)
    loss = ghm_classification_loss(logits, torch.zeros(3), torch.zeros(3, dtype=torch.bool))
    loss.backward()
    assert loss == 0 and (logits.grad == 0).all()


def test_six_by_hand():
    # The two easy ones count half each, and so on: the mean over ten regions of their means.
    loss = ghm_classification_loss(LOGITS, TARGETS)
    assert loss.item() == pytest.approx((CROSS_ENTROPY / EXAMPLES).sum() / 10)
    # -log 0.95 = 0.0513, -log 0.85 = 0.1625, -log 0.35 = 1.0498, -log 0.05 = 2.9957
    assert loss.item() == pytest.approx((0.0513 + 0.1625 + 1.0498 + 2.9957) / 10, abs=1e-4)


def test_gradients_by_hand():
    logits = LOGITS.clone().requires_grad_()
    ghm_classification_loss(logits, TARGETS).backward()
    assert np.allclose(logits.grad, (P - TARGETS).numpy() / (10 * EXAMPLES))


def test_two_bins_by_hand():
    # Four easy ones (two of each), two hard ones
    loss = ghm_classification_loss(LOGITS, TARGETS, bins=2)
    easy, hard = 2 * 0.05129 + 2 * 0.16252, 1.04982 + 2.99573
    assert loss.item() == pytest.approx(easy / (4 * 2) + hard / (2 * 2), abs=1e-4)


def test_given_density_by_hand():
    # Shares of six examples: 3, 0.6, of which at least one stays, and for the hard ones 1 of none.
    density = [0.5, 0.1, 0, 0, 0, 0, 0, 0, 0, 0.4]
    loss = ghm_classification_loss(LOGITS, TARGETS, density=density)
    examples = np.array([3, 3, 1, 2.4, 1, 1])
    assert loss.item() == pytest.approx((CROSS_ENTROPY / examples).sum() / 10)


def test_weight_changes_no_count():
    weight = torch.tensor([1.0, 0.0, 0.5, 1.0, 2.0, 1.0])
    loss = ghm_classification_loss(LOGITS, TARGETS, weight=weight)
    assert loss.item() == pytest.approx((weight.numpy() * CROSS_ENTROPY / EXAMPLES).sum() / 10)


def test_masked_examples_are_not_there():
    mask = torch.tensor([True, False, True, True, True, False])
    logits = LOGITS.clone().requires_grad_()
    loss = ghm_classification_loss(logits, TARGETS, mask)
    loss.backward()
    without = ghm_classification_loss(LOGITS[mask], TARGETS[mask])
    assert loss.item() == pytest.approx(without.item())
    assert ((logits.grad != 0) == mask).all()


@pytest.mark.parametrize("bins", [1, 2, 10, 30])
@pytest.mark.parametrize("given", [False, True])
def test_equals_the_formula(bins, given):
    logits, targets, mask = random_batch()
    density = np.linspace(0, 1, bins) if given else None
    tensor = None if density is None else torch.tensor(density)
    ours = ghm_classification_loss(logits, targets, mask, bins=bins, density=tensor)
    assert ours.item() == pytest.approx(by_the_formula(logits, targets, mask, bins, density))


def test_one_bin_is_mean_cross_entropy():
    logits, targets, _ = random_batch()
    plain = F.binary_cross_entropy_with_logits(logits, targets.double())
    assert ghm_classification_loss(logits, targets, bins=1).item() == pytest.approx(plain.item())


def test_gradient_is_the_derivative():
    # The counts are steps, so several regions only with logits that stay clear of their edges.
    logits, targets, mask = random_batch((3, 7))
    assert torch.autograd.gradcheck(
        lambda x: ghm_classification_loss(x, targets, mask, bins=1), logits.requires_grad_()
    )
    far_from_edges = LOGITS.clone().requires_grad_()
    assert torch.autograd.gradcheck(lambda x: ghm_classification_loss(x, TARGETS), far_from_edges)


def test_absolute_gradients_sum_to_little_more_than_a_half_at_most():
    logits = torch.linspace(-12, 12, 2001, dtype=torch.float64, requires_grad=True)
    ghm_classification_loss(logits, torch.zeros(2001)).backward()
    assert 0.4 < logits.grad.abs().sum() < 0.55


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.bfloat16, torch.float16])
def test_nothing_is_nan_at_extreme_logits(dtype):
    logits = torch.tensor([-1e4, -100.0, 0.0, 100.0, 1e4] * 2, dtype=dtype, requires_grad=True)
    targets = torch.tensor([0] * 5 + [1] * 5)
    loss = ghm_classification_loss(logits, targets)
    loss.backward()
    assert loss.isfinite() and logits.grad.isfinite().all()
    assert loss.dtype == (torch.float64 if dtype == torch.float64 else torch.float32)


def test_a_logit_that_is_nan_makes_the_loss_nan():
    loss = ghm_classification_loss(torch.tensor([0.0, torch.nan]), torch.zeros(2))
    assert loss.isnan()


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_half_precision_is_summed_in_float32(dtype):
    logits, targets, mask = random_batch((300, 300))
    logits = logits.to(dtype)
    expected = ghm_classification_loss(logits.float(), targets, mask).item()
    assert ghm_classification_loss(logits, targets, mask).item() == expected


# The module: density over batches, epochs, processes.


def batches(count, start=0):
    return [random_batch(seed=start + i)[:2] for i in range(count)]


def shares(logits, targets, bins=10):
    norm = (logits.sigmoid() - targets.double()).abs()
    return np.histogram(norm.numpy(), bins, (0, 1))[0] / norm.numel()


def test_by_default_each_batch_stands_alone():
    loss = GHMClassificationLoss()
    for logits, targets in batches(3):
        alone = ghm_classification_loss(logits, targets)
        assert loss(logits, targets).item() == pytest.approx(alone.item())
        loss.end_epoch()


def test_momentum_is_a_running_mean_of_densities():
    loss, mean = GHMClassificationLoss(momentum=0.75), None
    for logits, targets in batches(4):
        new = shares(logits, targets)
        mean = new if mean is None else 0.75 * mean + 0.25 * new
        expected = by_the_formula(logits, targets, density=mean)
        assert loss(logits, targets).item() == pytest.approx(expected, rel=1e-5)


def test_a_batch_without_examples_leaves_the_density():
    loss = GHMClassificationLoss(momentum=0.5)
    (logits, targets), *_ = batches(1)
    loss(logits, targets)
    before = loss.density.clone()
    assert loss(logits, targets, torch.zeros(4, 1, dtype=torch.bool)) == 0
    assert torch.equal(loss.density, before)


def test_epoch_takes_the_density_of_the_previous_one():
    loss = GHMClassificationLoss(schedule="epoch")
    first, second = batches(3), batches(3, start=10)
    for batch in first:
        assert loss(*batch).item() == pytest.approx(by_the_formula(*batch), rel=1e-6)
    loss.end_epoch()
    for given, epoch in ((first, second), (second, first)):
        density = np.mean([shares(*batch) for batch in given], axis=0)
        for batch in epoch:
            expected = by_the_formula(*batch, density=density)
            assert loss(*batch).item() == pytest.approx(expected, rel=1e-5)
        loss.end_epoch()


def epoch(loss, factor):
    """One batch of a loss that grows with ``factor``; whether the batch's density was used."""
    logits, targets = torch.tensor([-3.0, -3.0, factor]), torch.tensor([0, 0, 0])
    found = loss(logits, targets).item()
    loss.end_epoch()
    return found == pytest.approx(ghm_classification_loss(logits, targets).item())


def test_settle_turns_to_the_epoch_when_the_loss_stays():
    loss = GHMClassificationLoss(schedule="settle", settle_tolerance=0.1)
    # 4.0 to 2.0 improves by half, 2.0 to 1.9 by less than a tenth
    assert [epoch(loss, x) for x in (4.0, 2.0, 1.9)] == [True, True, True]
    assert loss.by_epoch
    # From here on the previous epoch's density: two easy examples, then three.
    assert [epoch(loss, x) for x in (-3.0, 3.0)] == [False, False]


def test_end_of_an_epoch_without_a_batch_is_none():
    for schedule in ("epoch", "settle"):
        loss = GHMClassificationLoss(schedule=schedule)
        loss.end_epoch()
        assert not loss.by_epoch


def test_nothing_is_counted_in_eval_mode():
    loss = GHMClassificationLoss(schedule="epoch", momentum=0.5)
    epoch(loss, 1.0)
    before = {name: value.clone() for name, value in loss.state_dict().items()}
    loss.eval()(*batches(1)[0])
    assert all(torch.equal(before[name], value) for name, value in loss.state_dict().items())


def test_what_an_epoch_counted_does_not_bind_batches():
    before, after = GHMClassificationLoss(schedule="epoch"), GHMClassificationLoss(momentum=0.0)
    logits, targets = torch.full((8,), 5.0), torch.ones(8)
    before(logits, targets)
    before.end_epoch()
    after.load_state_dict(before.state_dict())
    other = -logits
    assert after(other, targets) == GHMClassificationLoss()(other, targets)


@pytest.mark.parametrize("schedule", ["batch", "epoch", "settle"])
def test_resumed_equals_unbroken(schedule):
    def new():
        return GHMClassificationLoss(schedule=schedule, momentum=0.9, settle_tolerance=0.5)

    unbroken, resumed = new(), new()
    for i, batch in enumerate(batches(9)):
        assert unbroken(*batch) == resumed(*batch)
        if i % 3 == 2:
            unbroken.end_epoch()
            resumed.end_epoch()
        # also within an epoch
        state, resumed = resumed.state_dict(), new()
        resumed.load_state_dict(state)


def densities_and_gradients(loss, epoch):
    """Per batch, the density after it and the gradient; two epochs of the same batches."""
    for _ in range(2):
        for logits, targets in epoch:
            logits = logits.clone().requires_grad_()
            loss(logits, targets).backward()
            yield loss.density.clone(), logits.grad
        loss.end_epoch()


@pytest.mark.parametrize("given", [{}, {"schedule": "epoch"}, {"momentum": 0.5}])
def test_two_processes_are_one_with_both_batches(given, monkeypatch):
    """Each one's gradient is twice that of the whole batch: averaging halves it."""
    mine, others = batches(3), batches(3, start=10)
    both = [
        (torch.cat([a, c]), torch.cat([b, d])) for (a, b), (c, d) in zip(mine, others, strict=True)
    ]
    expected = list(densities_and_gradients(GHMClassificationLoss(**given), both))
    of_others = iter([np.round(200 * shares(*batch)).astype(int) for batch in others] * 2)

    monkeypatch.setattr(torch.distributed, "is_initialized", lambda: True)
    monkeypatch.setattr(torch.distributed, "get_world_size", lambda: 2)
    monkeypatch.setattr(
        torch.distributed, "all_reduce", lambda counts: counts.add_(torch.tensor(next(of_others)))
    )
    found = densities_and_gradients(GHMClassificationLoss(**given), mine)
    for (density, gradient), (whole, halves) in zip(found, expected, strict=True):
        assert torch.equal(density, whole)
        assert torch.allclose(gradient, 2 * halves[: len(gradient)], rtol=1e-5)


def test_settling_is_decided_together(monkeypatch):
    """The mean loss is that of all processes; the returned loss is this process's own."""
    (logits, targets), *_ = batches(1)
    loss = GHMClassificationLoss(schedule="settle")
    monkeypatch.setattr(torch.distributed, "is_initialized", lambda: True)
    monkeypatch.setattr(torch.distributed, "get_world_size", lambda: 2)
    # The other process has the same batch and three times the loss.
    factors = {torch.long: 2, torch.float32: 4}
    monkeypatch.setattr(torch.distributed, "all_reduce", lambda t: t.mul_(factors[t.dtype]))
    found = loss(logits.float(), targets)
    assert found.item() == pytest.approx(ghm_classification_loss(logits, targets).item(), rel=1e-5)
    assert loss.loss_sum.item() == pytest.approx(2 * found.item())


@pytest.mark.parametrize(
    ("call", "expected"),
    [
        (lambda: ghm_classification_loss(LOGITS, TARGETS, bins=0), "bins .* 0"),
        (lambda: ghm_classification_loss(LOGITS, TARGETS[:5]), r"\(5,\).*\(6,\)"),
        (lambda: ghm_classification_loss(LOGITS, TARGETS + 1), "targets .* 2"),
        (lambda: ghm_classification_loss(LOGITS, TARGETS, density=[0.5] * 9), r"\(9,\).*\(10,\)"),
        (lambda: ghm_classification_loss(LOGITS, TARGETS, TARGETS[:4] == 0), r"mask \(4,\)"),
        (lambda: ghm_classification_loss(LOGITS, TARGETS, weight=torch.ones(4)), r"weight \(4,\)"),
        (lambda: GHMClassificationLoss(bins=-1), "bins .* -1"),
        (lambda: GHMClassificationLoss(momentum=1.0), r"momentum .* 1\.0"),
        (lambda: GHMClassificationLoss(momentum=-0.1), r"momentum .* -0\.1"),
        (lambda: GHMClassificationLoss(schedule="step"), "schedule 'step'.*batch.*epoch.*settle"),
        (lambda: GHMClassificationLoss(settle_tolerance=-1), "settle_tolerance .* -1"),
    ],
)
def test_invalid_arguments_are_named_with_their_value(call, expected):
    with pytest.raises(ValueError, match=expected):
        call()


def test_shares_of_the_gradient_by_hand():
    # Easy: 0.05 + 0.05; hard: 0.15, 0.15, 0.65; outlier: 0.95
    found = gradient_shares(P - TARGETS, LOGITS, TARGETS, [0.1, 0.9])
    assert found.tolist() == pytest.approx([0.1 / 2, 0.95 / 2, 0.95 / 2])
    assert gradient_shares(torch.zeros(6), LOGITS, TARGETS, [0.1, 0.9]).tolist() == [0, 0, 0]
