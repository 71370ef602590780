"""reruns: do the targets hold under other hash seeds, orders and clocks, as often as the stated confidence asks?"""

from __future__ import annotations

import math

from pytest_agentflow.core.flaky_stats import runs_to_believe
from pytest_agentflow.core.layers.base import Facts, Judged, error, failed, na, ok, some, weak
from pytest_agentflow.core.model import VerdictKind

NAME = "reruns"
RATE = 0.1  # the failure rate per run that is to be excluded


def repeats_for(confidence: float, rate: float = RATE) -> int:
    """How many passes in a row exclude a failure rate of `rate` or more at this confidence."""
    return math.ceil(math.log(1 - confidence) / math.log(1 - rate))


def excluded_rate(passes: int, confidence: float) -> float:
    """The smallest failure rate that so many passes in a row exclude."""
    return 1 - (1 - confidence) ** (1 / passes) if passes else 1.0


def judge(facts: Facts) -> Judged:
    """`sessions`: hash seed, clock offset in days, outcomes of the ordinary runs, repetitions per test."""
    dated = ""
    for session in facts["sessions"]:
        words = f"hash seed {session['hash_seed']}, clock {session['clock_days']:+d} days"
        if session["problem"]:
            return failed(
                NAME, VerdictKind.TAMPERED, f"under {words} the session ended oddly: {session['problem']}"
            )
        red = [i for i, o in session["outcomes"].items() if o != "passed"]
        if red and session["clock_days"] and not facts["clock_introduced"]:
            dated = f"{some(red)} fails under {words}: code or test depends on the date"
        elif red:
            return failed(NAME, VerdictKind.FLAKY, f"{some(red)} passes, and fails under {words}")
        shaky = _shaky(session)
        if shaky:
            return failed(NAME, VerdictKind.FLAKY, f"{shaky} under {words}")
    for nodeid, told in facts.get("flaky", {}).items():
        refused = _unconvincing(nodeid, told)
        if refused is not None:
            return refused
    if dated:
        return weak(NAME, dated)
    counts = _passes(facts)
    if not counts:
        return na(NAME, "no target to repeat")
    fewest = min(counts.values())
    bound = excluded_rate(fewest, facts["confidence"])
    return ok(
        NAME,
        f"at least {fewest} passes per target, failure rate < {bound:.0%} at {facts['confidence']:.0%} confidence{_convinced(facts)}",
        passes=fewest, bound=round(bound, 4),
    )  # fmt: skip


def _unconvincing(nodeid: str, told: Facts) -> Judged | None:
    """A target that was flaky must pass as often as its rate asks, and where it used to fail."""
    needed = runs_to_believe(*told["rate"])
    was = f"{nodeid} was flaky ({told['rate'][0]} of {told['rate'][1]} runs failed)"
    if any(outcome != "passed" for outcome in told["again"]) or len(told["again"]) < 2:
        return failed(
            NAME,
            VerdictKind.FLAKY,
            f"{was}, and under the inputs that made it fail: {some(told['again']) or 'not run'}",
        )
    if told["red"]:
        return failed(
            NAME, VerdictKind.FLAKY, f"{was}, and failed {told['red']} of {told['red'] + told['passed']} runs"
        )
    if told["passed"] < needed:
        return error(NAME, f"{was}: {told['passed']} green runs, {needed} are needed to believe a fix")
    return None


def _shaky(session: Facts) -> str:
    """A test that failed some of its repetitions, in words. Where all fail, the ordinary run has said so already."""
    for nodeid, told in session["repeats"].items():
        bad = told["red"] + told["lost"]
        if bad and session["outcomes"].get(nodeid) == "passed":
            return f"{nodeid} failed {bad} of {bad + told['passed']} repetitions"
    return ""


def _convinced(facts: Facts) -> str:
    """How often the flaky targets passed, in words."""
    told = facts.get("flaky", {})
    return "".join(
        f"; {t}, flaky before: {f['passed']} green runs and its reproducer" for t, f in told.items()
    )


def _passes(facts: Facts) -> dict[str, int]:
    """Passes per test, the judging session's included."""
    counts: dict[str, int] = {}
    for session in facts["sessions"]:
        for nodeid, outcome in session["outcomes"].items():
            repeated = session["repeats"].get(nodeid, {})
            counts[nodeid] = counts.get(nodeid, 1) + (outcome == "passed") + repeated.get("passed", 0)
    return counts
