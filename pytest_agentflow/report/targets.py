"""How did each failing test end, and why?"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from pytest_agentflow.report.model import AttemptReport, Integration, Round, TargetReport, TargetState

# The verdicts that say something about the test itself, not only about one patch.
SPEAKING = {"contradiction": TargetState.CONTRADICTION, "ambiguous": TargetState.AMBIGUOUS}
ORDER = list(TargetState)


def judge(
    rounds: Sequence[Round], attempts: Sequence[AttemptReport], stop_reason: str, finished: bool
) -> tuple[TargetReport, ...]:
    """One row for every test that was red when a round began, in the order of the table."""
    if not finished:  # a resumed run repeats what was lost when this one stopped
        attempts = [a for a in attempts if a.verdict != "lost"]
    red = set(_still_red(rounds))
    went_in = {t: c for r in rounds for c in r.integrated for t in c.targets}
    aside = _aside(rounds)
    rows = [
        _row(nodeid, nodeid in red, went_in.get(nodeid), aside.get(nodeid))
        or _without_patch(nodeid, _tries(nodeid, rounds, attempts), stop_reason)
        for nodeid in dict.fromkeys(n for r in rounds for n in (*r.failing, *r.targets, *_names(r)))
    ]
    return tuple(sorted(rows, key=lambda row: ORDER.index(row.state)))


def _row(
    nodeid: str, red: bool, went_in: Integration | None, aside: tuple[TargetState, str] | None
) -> TargetReport | None:
    if went_in and not red:
        state = TargetState.WEAK if went_in.verdict == "weak" else TargetState.FIXED
        return TargetReport(nodeid, state, "", went_in.attempt, went_in.tree)
    if aside:
        return TargetReport(nodeid, *aside)
    if not red:
        return TargetReport(nodeid, TargetState.FIXED, "green since another unit's patch went in")
    return None


def _without_patch(nodeid: str, tries: Sequence[AttemptReport], stop_reason: str) -> TargetReport:
    """Still red: the most telling attempt says why, else the run's stop reason."""
    for attempt in reversed(tries):
        if attempt.verdict in SPEAKING:
            return TargetReport(nodeid, SPEAKING[attempt.verdict], attempt.reason, attempt.id)
    finished = [a for a in tries if a.verdict]
    if not finished:
        why = f"no attempt finished ({stop_reason})" if stop_reason else "no attempt finished"
        return TargetReport(nodeid, TargetState.NOT_TRIED, why)
    last = finished[-1]
    state, why = TargetState.NO_PATCH, last.verdict.replace("_", " ")
    if last.refusal:
        why += f" alone, refused at integration: {last.refusal}"
    elif last.tree:
        why += " and integrated, yet red in the last observation"
    elif last.accepted:
        state, why = TargetState.PENDING, f"{why} patch found before the run ended"
    elif last.reason:
        why += f": {last.reason}"
    if last.same_wrong:
        why += f"; {last.same_wrong}"
    return TargetReport(nodeid, state, why, last.id)


def _tries(nodeid: str, rounds: Sequence[Round], attempts: Sequence[AttemptReport]) -> list[AttemptReport]:
    units = {(r.number, u.id) for r in rounds for u in r.units if nodeid in u.targets}
    return [a for a in attempts if nodeid in a.targets or (a.round, a.cluster) in units]


def _still_red(rounds: Sequence[Round]) -> list[str]:
    """The failing tests of the last observation, minus what was integrated after it."""
    observed = [r for r in rounds if r.rate.total or r.counts or r.failing]
    if not observed:
        return []
    last = observed[-1]
    fixed = {t for c in last.integrated for t in c.targets}
    return [n for n in last.failing if n not in fixed]


def _aside(rounds: Sequence[Round]) -> Mapping[str, tuple[TargetState, str]]:
    found: dict[str, tuple[TargetState, str]] = {}
    for r in rounds:
        for entry in r.set_aside:
            found[entry.nodeid] = (TargetState.SET_ASIDE, entry.why)
        for entry in r.flaky:
            reason = f"{entry.why} ({entry.evidence})" if entry.evidence else entry.why
            found[entry.nodeid] = (TargetState.FLAKY, reason)
    return found


def _names(r: Round) -> tuple[str, ...]:
    return tuple(entry.nodeid for entry in (*r.flaky, *r.set_aside))
