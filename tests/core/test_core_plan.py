"""Attempts, splits, follow-ups and the reasons to stop."""

from __future__ import annotations

from dataclasses import replace

import pytest

from pytest_agentflow.core.doubts import Doubt
from pytest_agentflow.core.integration import Integration
from pytest_agentflow.core.model import (
    Attempt,
    AttemptResult,
    Cluster,
    Observation,
    Outcome,
    Patch,
    TestResult,
    Verdict,
    VerdictKind,
)
from pytest_agentflow.core.plan import (
    Bounds,
    StopReason,
    after_round,
    before_round,
    best,
    first_attempts,
    follow_up,
    pass_rate,
    reaches,
)


def observation(**outcomes: str) -> Observation:
    results = {name: TestResult(name, Outcome(outcome)) for name, outcome in outcomes.items()}
    return Observation(tree="t", selected=tuple(outcomes), collected=tuple(outcomes), results=results)


def attempt(agent: str = "search", retry: int = 0) -> Attempt:
    return Attempt("r1-a1", 1, "c1", agent, retry, 0, "t", ("x",), (), (), (), key="k")


def result(kind: VerdictKind, agent: str = "search", text: str = "") -> AttemptResult:
    return AttemptResult("r1-a1", Verdict(kind, "reason"), Patch(text, ()), agent)


def test_attempts_are_numbered_in_cluster_order_and_keyed_by_content() -> None:
    clusters = [Cluster(f"c{n}", (f"t{n}",), ()) for n in range(3)]
    made = first_attempts(1, clusters, observation(t0="failed"), {}, Bounds(("search",)))
    assert [a.id for a in made] == ["r1-a1", "r1-a2", "r1-a3"]
    assert len({a.key for a in made}) == 3


CASCADE = Bounds(("search", "model"), retries=2)
PATCH = "--- a/x.py\n+++ b/x.py\n@@ -1 +1 @@\n-x = 1\n+x = 2\n"


@pytest.mark.parametrize(
    ("agent", "tried", "bounds", "following"),
    [
        ("search", [result(VerdictKind.PLAUSIBLE)], CASCADE, None),
        ("search", [result(VerdictKind.CONTRADICTION)], CASCADE, None),
        ("search", [result(VerdictKind.NO_CHANGE)], CASCADE, "model"),
        ("search", [result(VerdictKind.WEAK)], CASCADE, "model"),
        ("search", [result(VerdictKind.NO_CHANGE)], Bounds(("search",)), None),
        ("search", [result(VerdictKind.LOST)], Bounds(("search",)), "search"),
        ("model", [result(VerdictKind.UNFIXED, "model", "p")], Bounds(("model",), retries=2), "model"),
        (
            "model",
            [result(VerdictKind.UNFIXED, "model", PATCH)] * 2,
            Bounds(("model",), retries=9),
            "model",
        ),
        (
            "model",
            [result(VerdictKind.UNFIXED, "model", PATCH)] * 3,
            Bounds(("model",), retries=9),
            None,
        ),
        (
            "model",
            [result(VerdictKind.UNFIXED, "model", "p"), result(VerdictKind.UNFIXED, "model", "q")],
            Bounds(("model",), retries=2),
            None,
        ),
        ("model", [result(VerdictKind.OVER_BUDGET, "model")], Bounds(("model",)), None),
    ],
)
def test_who_tries_next(agent: str, tried: list, bounds: Bounds, following: str | None) -> None:
    made = follow_up(attempt(agent, len(tried) - 1), tried, bounds)
    assert (made.agent if made else None) == following
    if made:
        assert made.id == f"r1-a1-{len(tried) + 1}"
        assert made.history and made.key != "k"


def test_a_repeated_wrong_patch_is_told_to_the_next_attempt_as_one() -> None:
    made = follow_up(
        attempt("model", 1), [result(VerdictKind.UNFIXED, "model", PATCH)] * 2, Bounds(("model",), retries=3)
    )
    assert made is not None
    assert "same_wrong_patch x2" in made.history[-1]
    assert "Do not write it again" in made.history[-1]


def test_a_plausible_patch_beats_an_earlier_weak_one() -> None:
    weak, plausible = result(VerdictKind.WEAK), result(VerdictKind.PLAUSIBLE, "model")
    assert best([weak, plausible]) is plausible
    assert best([weak]) is weak
    assert best([result(VerdictKind.UNFIXED)]) is None


def test_the_honest_rate_counts_missing_tests_and_leaves_expected_skips_out() -> None:
    seen = observation(a="passed", b="failed", c="skipped", d="xfailed", e="xpassed", f="missing")
    assert pass_rate(seen) == (2, 4)
    unreported = replace(seen, collected=(*seen.collected, "g"))
    assert pass_rate(unreported) == (2, 5)


@pytest.mark.parametrize(
    ("rate", "threshold", "held"),
    [
        ((998, 1000), 99.8, True),
        ((498, 499), 99.8, False),
        ((1, 1), 100, True),
        ((0, 0), 0, False),
        ((1, 2), None, False),
    ],
)
def test_a_threshold_is_held_exactly_or_not(
    rate: tuple[int, int], threshold: float | None, held: bool
) -> None:
    assert reaches(rate, threshold) is held


@pytest.mark.parametrize(
    ("outcomes", "number", "threshold", "fixed", "reason"),
    [
        ({}, 1, None, False, StopReason.NOTHING_COLLECTED),
        ({"a": "passed"}, 1, None, False, StopReason.NOTHING_TO_FIX),
        ({"a": "passed"}, 2, None, True, StopReason.CONVERGED),
        ({"a": "passed", "b": "missing"}, 1, None, False, StopReason.UNREPORTED),
        ({"a": "passed", "b": "missing"}, 2, None, True, StopReason.UNREPORTED),
        ({"a": "passed", "b": "failed"}, 1, 50, False, StopReason.RATE_REACHED),
        ({"a": "failed"}, 6, None, True, StopReason.ROUNDS),
        ({"a": "failed"}, 1, None, False, None),
    ],
)
def test_why_a_fresh_observation_ends_the_loop(
    outcomes: dict, number: int, threshold: float | None, fixed: bool, reason: StopReason | None
) -> None:
    assert before_round(observation(**outcomes), number, 5, threshold, fixed) is reason


def test_a_round_in_which_nothing_went_in_ends_the_loop_unless_a_doubt_is_new() -> None:
    nothing, failed = Integration("t", ()), [result(VerdictKind.NO_PATCH)]
    assert after_round(nothing, failed, None) is StopReason.STAGNATED
    assert after_round(nothing, failed, None, doubts=True) is None
    assert after_round(nothing, failed, "attempts", doubts=True) is StopReason.ATTEMPTS


def test_parts_of_a_doubted_unit_share_the_time_that_twice_a_whole_one_has() -> None:
    seen, bounds = observation(a="failed", b="failed", c="failed", d="failed"), Bounds(("search",))
    parts = [Cluster(f"c{n}", (test,), ()) for n, test in enumerate("abcd", 1)]
    whole = [made.timeout for made in first_attempts(2, parts, seen, {}, bounds)]
    shared = [made.timeout for made in first_attempts(2, parts, seen, {}, bounds, [Doubt(frozenset("abc"))])]
    assert whole == [90.0] * 4
    assert shared == [60.0, 60.0, 60.0, 90.0]
