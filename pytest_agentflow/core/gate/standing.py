"""What is the one verdict on a test, over all its attempts in all the reports of a cell? The worst attempt counts."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
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
    state: State
    attempts: int = 1
    settled: bool = True  # a flaky test whose every shard ended in a pass
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
    def failed_once(self) -> bool:
        return self.state in (State.FAILED, State.FLAKY)


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
            State.PASSED,
            streak=1,
            body=case.body,
            file=case.file,
            line=case.line,
            copies=case.copies,
        )
    state = _state(attempts)
    bad = [a for a in attempts if a.bad]
    worst = next((a for a in bad if a.message and a.cause != "retried"), bad[0] if bad else attempts[0])
    last = {shard: c.attempts[-1] for shard, c in found}
    return Standing(
        identity,
        state,
        len(attempts),
        all(a.outcome is Outcome.PASSED for a in last.values())
        and not any(a.outcome in (Outcome.SKIPPED, Outcome.XFAILED) for a in attempts),
        _streak(attempts),
        tuple(sorted({signature(a) for a in bad if a.cause != "retried"})),
        worst.message,
        next((a.cause for a in bad if a.cause not in ("", "retried", "teardown")), ""),
        next((c.body for _, c in found if c.body), ""),
        case.file,
        case.line,
        max(c.copies for _, c in found),
        any(a.outcome is Outcome.XPASSED for a in attempts),
    )


def _state(attempts: Iterable[Execution]) -> State:
    outcomes = {a.outcome for a in attempts}
    bad = any(o.red or o is Outcome.MISSING for o in outcomes)
    passed = Outcome.PASSED in outcomes or Outcome.XPASSED in outcomes
    if bad:
        return State.FLAKY if passed else State.FAILED
    if Outcome.SKIPPED in outcomes:
        return State.SKIPPED
    return State.XFAILED if Outcome.XFAILED in outcomes else State.PASSED


def _streak(attempts: Sequence[Execution]) -> int:
    count = 0
    for attempt in reversed(attempts):
        if attempt.outcome is not Outcome.PASSED:
            break
        count += 1
    return count
