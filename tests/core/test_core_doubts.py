"""When failures that were taken for one cause are believed to have several, and what is known of which belong together."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest

from pytest_agentflow.core.doubts import Doubt, is_doubted, is_new, known_parts, unrepaired
from pytest_agentflow.core.model import Attempt, AttemptResult, Patch, Verdict, VerdictKind


def attempt(agent: str = "search") -> Attempt:
    return Attempt("r1-a1", 1, "c1", agent, 0, 0, "t", ("x",), (), (), (), key="k")


def result(kind: VerdictKind, agent: str = "search", near: Sequence[dict[str, Any]] = ()) -> AttemptResult:
    return AttemptResult(
        "r1-a1", Verdict(kind, "reason"), Patch("", ()), agent, notes={"near_misses": [*near]}
    )


def near(flips: str, breaks: str = "") -> dict[str, Any]:
    return {"edit": "comparison at m.py:1", "flips": flips.split(), "breaks": breaks}


@pytest.mark.parametrize(
    ("targets", "kinds", "agent", "doubted"),
    [
        ("xy", [VerdictKind.NO_PATCH], "search", True),
        ("xy", [VerdictKind.OVERFIT], "search", True),
        ("x", [VerdictKind.NO_PATCH], "search", False),  # one test has one cause
        (("x[1]", "x[2]"), [VerdictKind.NO_PATCH], "search", False),  # rows of one function
        ("xy", [VerdictKind.WEAK], "search", False),  # repaired
        ("xy", [VerdictKind.CONTRADICTION], "search", False),  # no repair is possible
        ("xy", [VerdictKind.NO_PATCH], "model", False),  # it saw the whole unit
    ],
)
def test_what_the_search_could_not_repair_together_may_have_several_causes(
    targets: tuple[str, ...], kinds: list[VerdictKind], agent: str, doubted: bool
) -> None:
    made = replace(attempt(agent), visible=tuple(targets))
    found = unrepaired({"r1-a1": made}, [result(kind, agent) for kind in kinds])
    assert found == (frozenset([Doubt(frozenset(targets))]) if doubted else frozenset())


@pytest.mark.parametrize(
    ("found", "part"),
    [
        ([near("a")], "a"),
        ([near("a"), near("a b[1] b[2]")], "a b[1] b[2]"),  # the most
        ([near("a b[1]")], "a"),  # only half of b's rows: an edit may well be made for them
        ([near("a", breaks="g")], ""),
        ([near("b[1]")], ""),
        ([near("a b[1] b[2] c")], ""),  # no part but the whole that is seen, which something else kept out
        ([], ""),
    ],
)
def test_the_functions_that_one_statement_repairs_belong_together(
    found: list[dict[str, Any]], part: str
) -> None:
    made = replace(attempt(), visible=("a", "b[1]", "b[2]", "c"))
    (doubt,) = unrepaired({"r1-a1": made}, [result(VerdictKind.TIMED_OUT, near=found)])
    assert doubt == Doubt(frozenset(made.targets), frozenset(part.split()))


def test_a_hidden_row_goes_with_the_rows_of_its_function_that_were_seen() -> None:
    made = replace(attempt(), visible=("a[1]", "b"), hidden_judge=("a[2]", "c"))
    (doubt,) = unrepaired({"r1-a1": made}, [result(VerdictKind.NO_PATCH, near=[near("a[1]")])])
    assert doubt.part == {"a[1]", "a[2]"}


def test_parts_of_what_was_doubted_before_are_new_only_with_evidence() -> None:
    whole = Doubt(frozenset("abc"))
    assert is_new([Doubt(frozenset("ab"))], ())
    assert not is_new([Doubt(frozenset("ab"))], [whole])
    assert is_new([Doubt(frozenset("ab"), frozenset("a"))], [whole])
    assert not is_new(
        [Doubt(frozenset("ab"), frozenset("a"))], [whole, Doubt(frozenset("ab"), frozenset("a"))]
    )
    assert not is_new((), ())


def test_a_group_is_taken_apart_by_the_closest_doubt_that_tells_how() -> None:
    doubted = [Doubt(frozenset("abcd"), frozenset("a")), Doubt(frozenset("bcd"), frozenset("bc"))]
    assert known_parts(("a", "b", "c", "d"), doubted) == (("a",), ("b", "c", "d"))
    assert known_parts(("b", "c", "d"), doubted) == (("b", "c"), ("d",))
    assert known_parts(("b", "x"), doubted) == (("b", "x"),)
    assert not is_doubted("abcd", doubted)
    assert is_doubted("ef", [Doubt(frozenset("ef"))])
