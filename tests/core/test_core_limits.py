"""A search that ran out of time says which limit it was and what raises it."""

from __future__ import annotations

import pytest

from pytest_agentflow.core.limits import nothing_found, search_limit
from pytest_agentflow.core.model import Cluster, Observation
from pytest_agentflow.core.plan import Bounds, first_attempts

ALONE, FOLLOWED = ("search",), ("search", "anthropic")


@pytest.mark.parametrize(
    ("timeout", "cascade", "option", "words"),
    [
        (90, ALONE, None, "90 s, the search's usual limit; --agent-attempt-timeout raises it"),
        (36, ALONE, None, "36 s, its unit's share of the search's usual limit, 90 s; --agent-attempt-timeout raises it"),
        (900, ALONE, 900, "900 s, --agent-attempt-timeout"),
        (300, ALONE, 300, "300 s, --agent-attempt-timeout"),
        (40, ALONE, 300, "40 s, its unit's share of --agent-attempt-timeout, 300 s; --agent-attempt-timeout raises it"),
        (60, FOLLOWED, None, "60 s, the search's limit where another agent follows; --agent search, alone, gives it more"),
        (20, FOLLOWED, 20, "20 s, --agent-attempt-timeout"),
    ],
)  # fmt: skip
def test_the_words_name_the_limit_and_what_raises_it(
    timeout: float, cascade: tuple[str, ...], option: float | None, words: str
) -> None:
    assert search_limit(timeout, cascade, option) == words


@pytest.mark.parametrize("cascade", [ALONE, FOLLOWED])
@pytest.mark.parametrize("option", [20.0, 60.0, 300.0, 900.0, None])
def test_the_words_agree_with_what_the_plan_gives_a_whole_unit(
    cascade: tuple[str, ...], option: float | None
) -> None:
    seen = Observation("t", ("a",), ("a",), {})
    made = first_attempts(1, [Cluster("c1", ("a",), ())], seen, {}, Bounds(cascade, timeout=option))
    words = search_limit(made[0].timeout, cascade, option)
    assert words.startswith(f"{made[0].timeout:g} s, ") and "share" not in words


def test_a_search_without_a_patch_says_why_it_ended() -> None:
    assert (
        nothing_found(702, "deadline", 81.0, "90 s, L")
        == "none of 702 candidates flips every target (its time is over: 90 s, L)"
    )
    assert (
        nothing_found(9, "every candidate was tried", 3.0, "90 s, L")
        == "none of 9 candidates flips every target (every candidate was tried)"
    )
    assert "the run ended before every candidate was tried" in nothing_found(9, "cancelled", 3.0, "L")


def test_a_search_that_tried_nothing_says_what_took_its_time() -> None:
    words = nothing_found(0, "deadline", 36.4, "36 s, L")
    assert words == "its time was over before the first candidate: preparing took 36 s (36 s, L)"
