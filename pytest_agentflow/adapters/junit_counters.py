"""Does a report hold what its own counters claim? The cases count; a claim of more is evidence that was lost on the way."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from pytest_agentflow.adapters.junit_xml import Suite, Walk
from pytest_agentflow.adapters.oracle_files import Oracle
from pytest_agentflow.core.gate.records import Case, Problem, ProblemKind

_COUNTERS = ("tests", "failures", "errors", "skipped", "disabled")
_HUGE = 10**12


def contradictions(walked: Walk, cases: Sequence[Case], oracle: Oracle, name: str) -> Iterator[Problem]:
    """What the attributes of a suite claim, against what is in it; fatal where they claim more."""
    broken = next((f'{key}="{v[:40]}"' for s in walked.suites for key, v in _broken(s)), None)
    if broken is not None:
        yield _contradiction(f"{name}: its counter {broken} is no number")
    for suite in walked.suites:
        counted = _claims(suite)
        again = suite.reruns if oracle.counts == "runs" else 0
        for what, claimed, held in (
            (
                "tests",
                counted["tests"] if oracle.counts in ("cases", "tests", "runs") else 0,
                suite.cases + again,
            ),
            ("failures", counted["failures"] + counted["errors"], suite.red + again),
            ("skipped tests", counted["skipped"] + counted["disabled"], suite.skips),
        ):
            if claimed > held and cases:
                text = f"{name}: its counters claim {claimed} {what}, but it holds {held}{_in(suite)}"
                yield _contradiction(text)
                return
    claims = _outermost(walked)
    if oracle.counts == "tests" and cases and claims["tests"] > len(cases):
        text = f"{name}: its counters claim {claims['tests']} tests, but it holds {len(cases)} different ones"
        yield _contradiction(text)
    last = sum(case.attempts[-1].bad for case in cases)
    if last and "failures" in _keys(walked) and not claims["failures"] + claims["errors"]:
        text = f"{name}: its counters say 0 failures, {last} test case(s) failed; the cases count"
        yield _contradiction(text, fatal=False)


def surplus(walked: Walk, oracle: Oracle, name: str) -> Problem | None:
    """Tests that pytest counted and wrote no case for: subtests that passed, or cases that got lost."""
    claimed, held = _outermost(walked)["tests"], sum(suite.cases for suite in _tops(walked))
    if oracle.counts != "subtests" or claimed <= held:
        return None
    return _contradiction(
        f"{name}: its counters claim {claimed} tests, but it holds {held} cases, and no test's source found here uses subtests "
        "(run the gate beside the tests, or give --source or --collected)"
    )


def _contradiction(text: str, *, fatal: bool = True) -> Problem:
    return Problem(ProblemKind.CONTRADICTION, text, fatal)


def _broken(suite: Suite) -> Iterator[tuple[str, str]]:
    for key in _COUNTERS:
        text = suite.attrs.get(key, "").strip().replace(",", "")
        if text and not text.isdecimal():
            yield key, suite.attrs[key]


def _claims(suite: Suite) -> dict[str, int]:
    texts = {key: suite.attrs.get(key, "").strip().replace(",", "") for key in _COUNTERS}
    return {
        key: (int(text) if len(text) < 13 else _HUGE) if text.isdecimal() else 0
        for key, text in texts.items()
    }


def _tops(walked: Walk) -> list[Suite]:
    """The outermost suites that have counters."""
    root = walked.suites[0]
    return (
        [root] if root.tag == "testsuite" or "tests" in root.attrs else [s for s in walked.suites if s.outer]
    )


def _outermost(walked: Walk) -> dict[str, int]:
    found = [_claims(suite) for suite in _tops(walked)]
    return {key: sum(claims[key] for claims in found) for key in _COUNTERS}


def _keys(walked: Walk) -> set[str]:
    return {key for suite in _tops(walked) for key in suite.attrs}


def _in(suite: Suite) -> str:
    name = suite.attrs.get("name", "")
    return f" (suite {name[:80]!r})" if name else ""
