"""Delta debugging finds a smallest part, asks little, and never more than allowed."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pytest_agentflow.core.ddmin import ddmin


@given(
    st.integers(1, 40).flatmap(lambda n: st.tuples(st.just(n), st.sets(st.integers(0, n - 1), min_size=1)))
)
@settings(max_examples=150, deadline=None)
def test_it_finds_exactly_the_items_that_are_needed(case: tuple[int, set[int]]) -> None:
    count, needed = case
    asked: list[tuple[int, ...]] = []

    def holds(subset: tuple[int, ...]) -> bool:
        asked.append(subset)
        return needed <= set(subset)

    assert ddmin(range(count), holds, limit=5000) == tuple(sorted(needed))
    assert len(asked) == len(set(asked)), "no subset is asked twice"


@given(st.lists(st.booleans(), min_size=64, max_size=64), st.integers(2, 10))
@settings(max_examples=80, deadline=None)
def test_the_result_always_holds_and_no_single_item_can_go(coins: list[bool], count: int) -> None:
    """Also for a property that is neither monotone nor sensible."""

    def holds(subset: tuple[int, ...]) -> bool:
        return len(subset) == count or coins[hash(subset) % 64]

    result = ddmin(range(count), holds, limit=5000)
    assert holds(result)
    for i in range(len(result)):
        if len(result) > 1:
            assert not holds(result[:i] + result[i + 1 :])


@pytest.mark.parametrize("limit", [0, 1, 5, 20])
def test_the_bound_on_questions_is_kept_and_the_answer_still_holds(limit: int) -> None:
    asked = 0

    def holds(subset: tuple[int, ...]) -> bool:
        nonlocal asked
        asked += 1
        return {3, 90} <= set(subset)

    assert {3, 90} <= set(ddmin(range(100), holds, limit=limit))
    assert asked <= limit


def test_nothing_and_a_single_item_come_back_without_a_question() -> None:
    assert ddmin([], lambda _: pytest.fail("asked")) == ()
    assert ddmin(["a"], lambda _: pytest.fail("asked")) == ("a",)
