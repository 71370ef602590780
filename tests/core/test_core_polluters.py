"""Naming polluters, setters and cleaners: a pure search over answers."""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Sequence

import pytest

from pytest_agentflow.core.polluters import Seen, cleaner, find, find_from, isolate, pools, unexplained

TESTS = [f"t{n}" for n in range(130)]


def seen_in(model: Callable[[Sequence[str]], bool], seed: int, orders: int = 7) -> list[Seen]:
    chance = random.Random(seed)
    found = [Seen((), model(()))]
    for _ in range(orders):
        order = chance.sample(TESTS, len(TESTS))
        before = tuple(order[: chance.randrange(60, 130)])
        found.append(Seen(before, model(before)))
    return found


@pytest.mark.parametrize("size", [2, 30, 130, 1000, 5000])
def test_one_polluter_is_named_within_2_log2_n_plus_6_runs(size: int) -> None:
    tests = [f"t{n}" for n in range(size)]
    for culprit in (tests[0], tests[-1], tests[size // 3]):
        search = find_from(tests, lambda before, c=culprit: c in before)
        assert search.groups == ((culprit,),)
        assert search.verified
        assert search.runs <= 2 * math.log2(size) + 6


@pytest.mark.parametrize("seed", range(20))
def test_at_130_tests_orders_already_seen_leave_at_most_12_runs(seed: int) -> None:
    culprit = random.Random(seed).choice(TESTS)
    seen = seen_in(lambda before: culprit in before, seed)
    if any(s.shown for s in seen):
        search = find(seen, lambda before: culprit in before)
        assert search.groups == ((culprit,),)
        assert search.runs <= 12


@pytest.mark.parametrize("seed", range(20))
def test_two_that_are_needed_together_are_both_named(seed: int) -> None:
    a, b = random.Random(seed).sample(TESTS, 2)
    search = find_from(TESTS, lambda before: a in before and b in before)
    assert set(search.groups[0]) == {a, b}


@pytest.mark.parametrize("seed", range(20))
def test_a_cleaner_in_between_neither_hides_the_polluter_nor_stays_unnamed(seed: int) -> None:
    polluter, clean = random.Random(seed).sample(TESTS, 2)

    def dirty(before: Sequence[str]) -> bool:
        return polluter in before and clean not in list(before)[list(before).index(polluter) :]

    seen = seen_in(dirty, seed, orders=14)
    if not any(s.shown for s in seen):
        pytest.skip("no order of this seed shows it")
    search = find(seen, dirty)
    assert search.groups == ((polluter,),)
    named, _ = cleaner(seen, (polluter,), dirty)
    if any(not s.shown and polluter in s.before for s in seen):
        assert named == clean


def test_the_smallest_pool_holds_who_stood_before_it_exactly_when_it_flipped() -> None:
    seen = [Seen(("a", "b", "c"), True), Seen(("b", "d"), False), Seen(("c", "a", "d"), True)]
    assert pools(seen)[0] == ("a", "c")
    assert unexplained(seen, [("b",)])
    assert not unexplained(seen, [("a",)])


def test_a_verdict_that_no_subset_shows_again_names_nobody() -> None:
    seen = [Seen((), False), Seen(tuple(TESTS), True)]
    search = find(seen, lambda before: False)
    assert search.groups == ()
    assert not search.verified


def test_isolation_gives_up_when_too_many_are_needed_together() -> None:
    assert len(isolate(TESTS, lambda before: len(before) > 50)) <= 4
