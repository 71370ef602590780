"""How often, and how sure."""

from __future__ import annotations

import random

import pytest

from pytest_agentflow.core.flaky_stats import (
    after_fixing,
    beta_cdf,
    bound_without_failure,
    fisher,
    green_runs_needed,
    interval,
    spurious_red,
)


def test_the_interval_is_jeffreys_and_closed_where_nothing_or_everything_failed() -> None:
    low, high = interval(1, 20)
    assert low == pytest.approx(0.005450, abs=1e-5)
    assert high == pytest.approx(0.210819, abs=1e-5)
    assert interval(0, 10)[0] == 0.0
    assert interval(10, 10)[1] == 1.0
    assert interval(0, 0) == (0.0, 1.0)


def test_the_beta_function_agrees_with_closed_forms() -> None:
    assert beta_cdf(0.3, 1, 1) == pytest.approx(0.3)
    assert beta_cdf(0.5, 7, 7) == pytest.approx(0.5)
    assert beta_cdf(0.2, 1, 5) == pytest.approx(1 - 0.8**5)


def test_the_95_percent_interval_holds_the_true_rate_in_93_to_97_percent_of_random_tests() -> None:
    chance = random.Random(11)
    held = 0
    for _ in range(3000):
        p, n = chance.random(), 20
        failures = sum(chance.random() < p for _ in range(n))
        low, high = interval(failures, n)
        held += low <= p <= high
    assert 0.93 <= held / 3000 <= 0.97


def test_without_a_failure_only_a_bound_is_said_and_never_zero() -> None:
    assert bound_without_failure(59) == pytest.approx(0.0495, abs=1e-3)
    assert bound_without_failure(0) == 1.0
    assert bound_without_failure(10**6) > 0


@pytest.mark.parametrize(("p", "runs"), [(0.5, 5), (0.05, 59), (0.01, 299), (1.0, 1)])
def test_a_fix_needs_as_many_green_runs_as_its_failure_rate_demands(p: float, runs: int) -> None:
    assert green_runs_needed(p) == runs


def test_the_chance_of_a_spurious_red_falls_when_the_worst_causes_are_fixed() -> None:
    assert spurious_red([0.1, 0.1]) == pytest.approx(0.19)
    assert after_fixing([0.1, 0.5, 0.2], 1) == pytest.approx(1 - 0.9 * 0.8)
    assert spurious_red([]) == 0


def test_fisher_tells_load_from_luck() -> None:
    assert fisher(5, 0, 0, 20) < 0.001
    assert fisher(1, 9, 1, 9) > 0.5
