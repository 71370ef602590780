"""A unit is left alone when nothing that its tests run has changed since nobody found anything for it."""

from __future__ import annotations

from dataclasses import replace

import pytest

from pytest_agentflow.core.fruitless import Tried, fail_alike, same_unit, tried_of, untouched
from pytest_agentflow.core.model import (
    Attempt,
    AttemptResult,
    Failure,
    Observation,
    Outcome,
    Patch,
    TestResult,
    Verdict,
    VerdictKind,
)

FIRST = Attempt("r1-a1", 1, "c1", "search", 0, 0, "t", ("x", "y"), (), ("z",), ("g",), key="k")


def result(name: str, kind: VerdictKind) -> AttemptResult:
    return AttemptResult(name, Verdict(kind, "reason"), Patch("", ()), "search")


@pytest.mark.parametrize(
    ("kinds", "fruitless"),
    [
        ([], False),  # it had no turn
        ([VerdictKind.NO_CHANGE], True),
        ([VerdictKind.UNFIXED, VerdictKind.OVERFIT], True),
        ([VerdictKind.TIMED_OUT], True),
        ([VerdictKind.LOST, VerdictKind.NO_CHANGE], False),
        ([VerdictKind.NO_CHANGE, VerdictKind.OVER_BUDGET], False),
        ([VerdictKind.AGENT_ERROR], False),
        (
            [VerdictKind.UNFIXED, VerdictKind.WEAK],
            False,
        ),  # accepted, and left out when the round was put together
        ([VerdictKind.PLAUSIBLE], False),
    ],
)
def test_what_a_unit_came_to(kinds: list[VerdictKind], fruitless: bool) -> None:
    names = ["r1-a1", "r1-a1-2", "r1-a1-3"]
    other = replace(FIRST, id="r1-a2", cluster="c2")
    attempts = {name: replace(FIRST, id=name) for name in names} | {other.id: other}
    results = [result("r1-a2", VerdictKind.PLAUSIBLE), *map(result, names, kinds)]
    assert tried_of([FIRST], attempts, results) == (Tried(FIRST, fruitless),)


@pytest.mark.parametrize(
    ("reached", "changed", "alike"),
    [
        ([{"a.py"}, {"a.py", "b.py"}], (), True),
        ([{"a.py"}, {"a.py", "b.py"}], ("c.py",), True),
        ([{"a.py"}, {"a.py", "b.py"}], ("b.py", "c.py"), False),
        (
            [{"a.py"}, set()],
            ("c.py",),
            False,
        ),  # a module that could not be collected: nobody knows what it runs
        ([{"a.py"}], ("prices.json",), False),  # no map tells who reads it
    ],
)
def test_a_unit_is_untouched_only_where_that_is_known(reached: list, changed: tuple, alike: bool) -> None:
    assert untouched(reached, changed, ("a.py", "b.py", "c.py")) is alike


@pytest.mark.parametrize(
    ("changes", "same"),
    [
        ({}, True),
        ({"id": "r2-a4", "base": "u", "key": "l"}, True),
        ({"visible": ("y", "z"), "hidden_judge": ("x",)}, True),  # shown otherwise, the same tests
        ({"visible": ("x",)}, False),
        ({"agent": "anthropic"}, False),
    ],
)
def test_the_same_unit_is_the_same_targets_for_the_same_agent(changes: dict, same: bool) -> None:
    assert same_unit(replace(FIRST, **changes), Tried(FIRST, True)) is same
    assert not same_unit(replace(FIRST, **changes), Tried(FIRST, False))


def observed(*failures: Failure | None) -> Observation:
    results = {f"t{n}": TestResult(f"t{n}", Outcome.FAILED, failure=f) for n, f in enumerate(failures)}
    return Observation(tree="t", selected=tuple(results), collected=tuple(results), results=results)


SUM = Failure("call", "AssertionError", "assert 3 == 4")
OTHER = Failure("call", "AssertionError", "assert 5 == 4")


@pytest.mark.parametrize(
    ("before", "now", "alike"),
    [
        ((SUM, OTHER), (SUM, OTHER), True),
        ((SUM, OTHER), (SUM, SUM), False),
        ((SUM,), (SUM, OTHER), False),
        ((SUM, None), (SUM, None), False),  # nothing is known of how it failed
    ],
)
def test_failures_are_compared_in_every_word(before: tuple, now: tuple, alike: bool) -> None:
    assert fail_alike(["t0", "t1"], observed(*before), observed(*now)) is alike
