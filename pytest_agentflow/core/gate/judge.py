"""The gate itself: reports, rules and what is known from before go in, one verdict comes out. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from fractions import Fraction

from pytest_agentflow.core.gate.baseline import Baseline, Entry
from pytest_agentflow.core.gate.classify import Setting, classify
from pytest_agentflow.core.gate.edits import RuleChange
from pytest_agentflow.core.gate.evidence import problems_of
from pytest_agentflow.core.gate.identity import canonical
from pytest_agentflow.core.gate.policy import Policy, floored
from pytest_agentflow.core.gate.quarantine import Quarantine
from pytest_agentflow.core.gate.records import Problem, Report
from pytest_agentflow.core.gate.result import CellResult, GateResult, Level, Reason
from pytest_agentflow.core.gate.rules import judge_cell, tally
from pytest_agentflow.core.gate.standing import Standing, settle


@dataclass(frozen=True, slots=True)
class Exit:
    """How a test process ended. `meaning`: "passed", "failed" or why it is neither."""

    code: int
    meaning: str
    cell: str = ""


@dataclass(frozen=True, slots=True)
class Floor:
    """A second measure with a floor of its own, such as line coverage."""

    name: str
    covered: int
    total: int
    least: Fraction  # percent


@dataclass(frozen=True, slots=True)
class Brief:
    """Everything the gate looks at."""

    reports: Sequence[Report]
    policy: Policy
    today: int  # proleptic ordinal
    baseline: Baseline | None = None
    quarantine: Quarantine = field(default_factory=lambda: Quarantine({}))
    collected: frozenset[str] | None = None
    history: Mapping[str, tuple[bool, ...]] = field(default_factory=dict)
    exits: Sequence[Exit] = ()
    changed_paths: frozenset[str] | None = None
    rule_changes: Sequence[RuleChange] = ()
    approved: Sequence[str] = ()  # globs of paths whose edits are approved
    floors: Sequence[Floor] = ()
    bodies: Mapping[str, str] = field(default_factory=dict)  # identity -> hash of the test's source
    not_before: float | None = None
    commit: str = ""
    expected_cells: tuple[str, ...] = ()
    extra: Sequence[Problem] = ()
    notes: Sequence[str] = ()


def judge(case: Brief) -> GateResult:
    """Judge every cell by itself, then what belongs to none."""
    reasons: list[Reason] = []
    cells: list[CellResult] = []
    for cell in sorted({report.cell for report in case.reports}):
        result, found = _judge_cell(cell, [r for r in case.reports if r.cell == cell], case)
        cells.append(result)
        reasons += found
    if not case.reports:
        reasons.append(Reason(Level.UNJUDGED, "no-report", "there is no report to judge"))
    reasons += _missing_cells(case)
    reasons += [Reason(Level.UNJUDGED, p.kind.value.replace(" ", "-"), p.text, p.tests) for p in case.extra]
    reasons += _rules_changed(case) + [r for floor in case.floors for r in _floor(floor, case.policy)]
    reasons += [Reason(Level.NOTE, "note", text) for text in case.notes]
    order = {Level.CONFIG: 0, Level.BLOCK: 1, Level.UNJUDGED: 2, Level.NOTE: 3}
    reasons.sort(key=lambda r: order[r.level])  # stable: cells by name, rules in order of weight
    return GateResult(case.policy.threshold, case.policy.places, tuple(cells), tuple(reasons))


def _judge_cell(cell: str, reports: list[Report], case: Brief) -> tuple[CellResult, list[Reason]]:
    standings = _with_bodies(settle(reports), case.bodies)
    base = case.baseline.of(cell) if case.baseline is not None else None
    accepted = frozenset(map(canonical, case.policy.accepted))
    collected = frozenset(map(canonical, case.collected)) - accepted if case.collected is not None else None
    exits = [e for e in case.exits if e.cell in ("", cell)]
    problems = problems_of(
        reports, standings, base, case.policy, collected=collected, accepted=accepted, exits=[(e.code, e.meaning) for e in exits],
        not_before=case.not_before, commit=case.commit,
    )  # fmt: skip
    complete = not any(p.fatal for p in problems) and not case.extra
    setting = Setting(
        case.policy,
        case.today,
        base,
        case.quarantine,
        collected,
        _changed(case),
        case.history,
        complete,
        accepted,
    )
    lines = classify(standings, setting)
    result = tally(
        cell, lines, complete=complete, baseline=base is not None, reports=[r.source for r in reports]
    )
    reasons = judge_cell(result, lines, base, case.policy)
    reasons += [
        Reason(
            Level.UNJUDGED if p.fatal else Level.NOTE, p.kind.value.replace(" ", "-"), p.text, p.tests, cell
        )
        for p in problems
    ]
    if complete and not result.expected:
        text = "no test that counts: all are skipped or expected to fail"
        reasons.append(Reason(Level.UNJUDGED, "no-tests", text, (), cell))
    reasons += _releases(standings, case, cell)
    return result, reasons


def _with_bodies(standings: dict[str, Standing], bodies: Mapping[str, str]) -> dict[str, Standing]:
    if not bodies:
        return standings
    from dataclasses import replace

    return {n: replace(s, body=bodies[n]) if not s.body and n in bodies else s for n, s in standings.items()}


def _changed(case: Brief):  # type: ignore[no-untyped-def]  # Callable[[Standing, Entry], bool]
    """A test is changed when its body is, or when nothing better is known, when its file is."""

    def changed(standing: Standing, entry: Entry) -> bool:
        if standing.body and entry.body:
            return standing.body != entry.body
        if case.changed_paths is None:
            return False
        return any(_lives_in(standing, path) for path in case.changed_paths)

    return changed


def _lives_in(standing: Standing, path: str) -> bool:
    if standing.file:
        return standing.file == path or standing.file.endswith("/" + path)
    module = path.removesuffix(".py").replace("/", ".")
    return path.endswith(".py") and standing.identity.startswith((module + "::", module + "."))


def _releases(standings: Mapping[str, Standing], case: Brief, cell: str) -> list[Reason]:
    """Quarantined tests that deserve to come back, and entries for tests that nobody knows."""
    reasons = []
    present = {canonical(name): s for name, s in standings.items()} if case.quarantine.leaves else {}
    for identity, leave in sorted(case.quarantine.leaves.items()):
        standing = present.get(identity)
        if standing is None:
            text = f"the quarantine names {leave.test}, which no report has"
            reasons.append(Reason(Level.NOTE, "quarantine-unknown", text, (identity,), cell))
        elif not standing.failed_once:
            runs = (*case.history.get(identity, ()), False)
            streak = next((n for n, failed in enumerate(reversed(runs)) if failed), len(runs))
            if streak >= case.policy.release_after:
                text = f"ready to release: {leave.test} passed {streak} runs in a row"
                reasons.append(Reason(Level.NOTE, "quarantine-release", text, (identity,), cell))
    return reasons


def _missing_cells(case: Brief) -> list[Reason]:
    """Cells that were expected by name, or that the baseline knows, and that nobody reported."""
    known = [cell for cell in case.baseline.cells if cell] if case.baseline is not None else []
    present = {report.cell for report in case.reports}
    return [
        Reason(Level.UNJUDGED, "cells", f"no report for the matrix cell {cell}", (), cell)
        for cell in sorted({*case.expected_cells, *known} - present)
    ]


def _rules_changed(case: Brief) -> list[Reason]:
    reasons = []
    for change in sorted(case.rule_changes, key=lambda c: c.path):
        approved = next((g for g in case.approved if fnmatchcase(change.path, g)), None)
        if change.effect == "stricter":
            reasons.append(Reason(Level.NOTE, "rules-changed", f"{change.path}: {change.text}"))
        elif approved is not None:
            text = f"{change.path}: {change.text}; approved by the path rule {approved}"
            reasons.append(Reason(Level.NOTE, "rules-changed", text))
        else:
            text = (
                f"{change.path} holds rules of this gate and is edited by the change it judges: {change.text}"
            )
            reasons.append(Reason(Level.BLOCK, "rules-changed", text))
    return reasons


def _floor(floor: Floor, policy: Policy) -> list[Reason]:
    if floor.total <= 0:
        text = f"{floor.name}: nothing was measured"
        return [Reason(Level.UNJUDGED, "coverage", text)]
    share = Fraction(floor.covered, floor.total)
    shown, wanted = floored(share, policy.places), floored(floor.least / 100, policy.places)
    if share * 100 < floor.least:
        return [Reason(Level.BLOCK, "coverage", f"{floor.name} {shown} % is below {wanted} %")]
    return [Reason(Level.NOTE, "coverage", f"{floor.name} {shown} % (floor {wanted} %)")]
