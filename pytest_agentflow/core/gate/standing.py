"""What is the one verdict on a test, over all its attempts in all the reports of a cell? The worst attempt counts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from pytest_agentflow.core.gate.labels import lineage
from pytest_agentflow.core.gate.records import Case, Execution, Report
from pytest_agentflow.core.gate.signature import signature
from pytest_agentflow.core.model import Outcome


class State(StrEnum):
    """Settled by the worst attempt; `flaky` failed and passed."""

    PASSED = "passed"
    FAILED = "failed"
    FLAKY = "flaky"
    SKIPPED = "skipped"
    XFAILED = "xfailed"


@dataclass(frozen=True, slots=True)
class Standing:
    """One test in one cell."""

    identity: str
    parts: frozenset[State]  # what its attempts did: passed, failed, skipped, xfailed
    attempts: int = 1
    settled: bool = True  # every shard's last attempt passed
    streak: int = 0  # passes in a row at the end
    signatures: tuple[str, ...] = ()  # of the failed attempts that left one, distinct, sorted
    message: str = ""
    cause: str = ""
    body: str = ""
    file: str = ""
    line: int = 0
    copies: int = 1
    xpassed: bool = False

    @property
    def state(self) -> State:
        if State.FAILED in self.parts:
            return State.FLAKY if State.PASSED in self.parts else State.FAILED
        if State.SKIPPED in self.parts:
            return State.SKIPPED
        return State.XFAILED if State.XFAILED in self.parts else State.PASSED

    @property
    def failed_once(self) -> bool:
        return State.FAILED in self.parts


_PASSED = frozenset({State.PASSED})
_PART = {
    Outcome.PASSED: State.PASSED, Outcome.XPASSED: State.PASSED, Outcome.SKIPPED: State.SKIPPED, Outcome.XFAILED: State.XFAILED,
}  # fmt: skip
_CAUSES = ("collection", "suite", "crash", "lost")  # weightiest first


def settle(reports: Sequence[Report]) -> dict[str, Standing]:
    """Every test of one cell. The order of the reports on the command line changes nothing."""
    ordered = sorted(reports, key=lambda r: (r.attempt, r.started or 0.0, r.source, r.digest))
    seen: dict[str, list[tuple[str, Case]]] = {}
    for report in ordered:
        shard = lineage(report)
        for case in report.cases:
            found = seen.get(case.identity)
            if found is None:
                seen[case.identity] = [(shard, case)]
            else:
                found.append((shard, case))
    return {identity: _standing(identity, cases) for identity, cases in seen.items()}


def _standing(identity: str, found: list[tuple[str, Case]]) -> Standing:
    case = found[0][1]
    attempts = case.attempts if len(found) == 1 else tuple(a for _, c in found for a in c.attempts)
    if len(attempts) == 1 and attempts[0].outcome is Outcome.PASSED:
        return Standing(
            identity,
            _PASSED,
            streak=1,
            file=case.file,
            line=case.line,
            copies=case.copies,
        )
    bad = [a for a in attempts if a.bad]
    worst = next((a for a in bad if a.message and a.cause != "retried"), bad[0] if bad else attempts[0])
    last = {shard: c.attempts[-1] for shard, c in found}
    return Standing(
        identity,
        frozenset(_PART.get(a.outcome, State.FAILED) for a in attempts),
        len(attempts),
        settled=all(a.outcome is Outcome.PASSED for a in last.values()),
        streak=_streak(attempts),
        signatures=tuple(sorted({signature(a) for a in bad if a.cause != "retried"})),
        message=worst.message,
        cause=next((cause for cause in _CAUSES if any(a.cause == cause for a in attempts)), ""),
        file=case.file,
        line=case.line,
        copies=max(c.copies for _, c in found),
        xpassed=any(a.outcome is Outcome.XPASSED for a in attempts),
    )


def _streak(attempts: Sequence[Execution]) -> int:
    count = 0
    for attempt in reversed(attempts):
        if attempt.outcome is not Outcome.PASSED:
            break
        count += 1
    return count
