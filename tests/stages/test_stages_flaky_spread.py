"""Few seeds and moments cover the whole range."""

from __future__ import annotations

import random
import time

from pytest_agentflow.stages.flaky_spread import clock_points, spread_orders, spread_seeds


def test_a_hundred_seeds_meet_every_fiftieth_part_of_the_first_draw() -> None:
    seeds = spread_seeds(108)
    assert {int(random.Random(seed).random() * 50) for seed, _ in seeds} == set(range(50))
    assert len({stream for _, stream in seeds}) == 108


def test_a_dozen_moments_fall_into_every_quarter_of_the_day_the_hour_and_the_minute() -> None:
    moments = [time.gmtime(at) for at in clock_points(1_700_000_000.0, 12)]
    assert {m.tm_hour // 6 for m in moments} == {m.tm_min // 15 for m in moments} == set(range(4))
    assert {m.tm_sec // 15 for m in moments} == {m.tm_yday // 92 for m in moments} == set(range(4))


def test_every_test_comes_late_in_one_of_the_orders() -> None:
    tests = [f"t{n}" for n in range(21)]
    backwards, *orders = spread_orders(tests, random.Random(0), 7)
    assert list(backwards) == tests[::-1]
    assert {t for order in orders for t in order[-3:]} == set(tests)
    assert all(sorted(order) == sorted(tests) for order in orders)
