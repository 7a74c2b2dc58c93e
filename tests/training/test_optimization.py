import math

import pytest

from centernet.errors import InputError
from centernet.training.optimization import Optimization, rate_factor, timed_rate_factor


def test_cosine_goes_from_one_to_a_hundredth():
    factor = rate_factor("cosine", total_steps=100, steps_per_epoch=10)
    assert [factor(0), factor(50), factor(100)] == pytest.approx([1, 0.505, 0.01])
    assert factor(1000) == pytest.approx(0.01)


def test_steps_drop_after_their_epochs():
    factor = rate_factor("step", total_steps=140, steps_per_epoch=1, milestones=[90, 120])
    steps = (0, 89, 90, 119, 120, 139)
    assert [factor(i) for i in steps] == pytest.approx([1, 1, 0.1, 0.1, 0.01, 0.01])


def test_a_training_cut_short_drops_no_sooner():
    factor = rate_factor("step", total_steps=25, steps_per_epoch=10, milestones=[2, 3])
    assert [factor(i) for i in (0, 19, 20, 24)] == pytest.approx([1, 1, 0.1, 0.1])


def test_steps_may_drop_after_parts_of_the_training():
    factor = rate_factor("step", total_steps=40, steps_per_epoch=10, milestones=[0.5, 3])
    assert [factor(i) for i in (19, 20, 29, 30)] == pytest.approx([1, 0.1, 0.1, 0.01])


@pytest.mark.parametrize(
    ("warmup_steps", "expected"), [(4, [0.2, 0.4, 0.6, 0.8, 1]), (99, [1 / 11])]
)
def test_the_warm_up_is_linear_and_at_most_a_tenth(warmup_steps, expected):
    factor = rate_factor("step", total_steps=100, steps_per_epoch=100, warmup_steps=warmup_steps)
    assert [factor(i) for i in range(len(expected))] == pytest.approx(expected)
    assert factor(10) == 1


@pytest.mark.parametrize("option", [{"schedule": "never"}, {"reference_batch_size": 0}])
def test_a_wrong_option_is_named_with_its_value(option):
    ((name, value),) = option.items()
    with pytest.raises(InputError, match=f"{name}.*{value}"):
        Optimization(**option)


def timed(schedule, fractions, **options):
    """The factors after steps 0, 1, ... whose fractions of the time are given."""
    used = iter(fractions)
    factor = timed_rate_factor(schedule, lambda: next(used), **{"total_steps": math.inf} | options)
    return [factor(step) for step in range(len(fractions))]


def test_with_a_time_limit_the_rate_follows_the_time():
    assert timed("cosine", [0, 0.5, 1, 1.2]) == pytest.approx([1, 0.505, 0.01, 0.01])
    factors = timed("step", [0, 0.59, 0.6, 0.95], milestones=[0.6, 0.9])
    assert factors == pytest.approx([1, 1, 0.1, 0.01])


def test_with_a_time_limit_the_rate_follows_the_steps_if_these_end_first():
    assert timed("cosine", [0, 0.1, 0.2], total_steps=2) == pytest.approx([1, 0.505, 0.01])


def test_with_a_time_limit_the_warm_up_ends_with_its_steps_or_a_tenth_of_the_time():
    rates = timed("step", [0, 0.001, 0.002, 0.003], warmup_steps=3)
    assert rates == pytest.approx([0.25, 0.5, 0.75, 1])
    assert timed("step", [0, 0.05, 0.1], warmup_steps=99) == pytest.approx([0.01, 0.5, 1])


def test_milestones_in_epochs_become_fractions_of_the_epochs():
    options = Optimization(schedule="step", milestones=[90, 0.9])
    assert options._fractions(120) == [0.75, 0.9]
    with pytest.raises(InputError, match=r"milestones \[90, 0.9\].*--max-time"):
        options._fractions(-1)
    assert Optimization(milestones=[90])._fractions(-1) == [90]  # cosine ignores them
