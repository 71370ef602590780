"""Flaky triage of a suite: screen, diagnose, measure, report, within a budget."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

from pytest_agentflow.adapters.sessions import RunSpec
from pytest_agentflow.core.flaky import Category, FlakyRecord
from pytest_agentflow.core.flaky_causes import shared_causes
from pytest_agentflow.core.flaky_report import TestLine, TriageReport
from pytest_agentflow.core.flaky_stats import bound_without_failure, interval
from pytest_agentflow.core.reproducer import command
from pytest_agentflow.core.triage_budget import Budget
from pytest_agentflow.stages.flaky_diagnose import diagnose, suspects
from pytest_agentflow.stages.flaky_lab import Lab
from pytest_agentflow.stages.flaky_order import complete
from pytest_agentflow.stages.flaky_screen import screen, screen_on, spend_the_rest

TIMELINE = 160  # runs shown per flaky test
# Plain runs per flaky test, apart from those that looked for failures: what the budget allows.
FEWEST, MOST = 10, 20
# Shares of the budget by which a stage has to end, so that what follows it can be done.
SCREENING, DIAGNOSIS, SCREENING_ON, SEARCHING = 0.6, 0.9, 0.95, 0.985
MEASURED = {
    Category.RNG_UNSEEDED,
    Category.RANDOMNESS,
    Category.NETWORK,
    Category.FLOAT_TOLERANCE,
    Category.RESOURCE_EXHAUSTION,
    Category.INFRASTRUCTURE,
    Category.THREAD_RACE,
    Category.ASYNC_TIMING,
    Category.LOAD_SENSITIVE,
    Category.CLOCK_WINDOW,
    Category.TIME_OF_DAY,
    Category.UNKNOWN,
}


def run_triage(
    spec: RunSpec,
    tree: Path,
    args: Sequence[str],
    budget: Budget,
    out: Path,
    progress: Callable[[str], None],
) -> TriageReport:
    """Triage the tests that `args` select in `tree`, a working copy that is ours to write in."""
    lab = Lab(spec, tree, out / "scratch", args, budget, progress)
    try:
        lab.share = SCREENING
        screen(lab)
        lab.progress("diagnosis")
        lab.share = DIAGNOSIS
        records = complete(lab, _diagnosed(lab, ()))
        lab.share, lab.kept = SCREENING_ON, FEWEST * len(_measurable(records))
        for _ in screen_on(lab):
            records += complete(lab, _diagnosed(lab, records))
        lab.share = SEARCHING
        spend_the_rest(lab)
        lab.share = 1.0
        records += _diagnosed(lab, records)
        lab.kept = 0
        return report(lab, share_causes(lab, sample(lab, records)))
    finally:
        lab.close()


def _diagnosed(lab: Lab, known: Sequence[FlakyRecord]) -> list[FlakyRecord]:
    done = {r.nodeid for r in known}
    return [r for t in suspects(lab) if t not in done and (r := diagnose(lab, t))]


def share_causes(lab: Lab, records: Sequence[FlakyRecord]) -> list[FlakyRecord]:
    """Tests whose setup fails in the same place with the same exception are one cause, not many flaky tests."""
    loose = {
        Category.RANDOMNESS,
        Category.RNG_UNSEEDED,
        Category.UNKNOWN,
        Category.NETWORK,
        Category.RESOURCE_EXHAUSTION,
    }
    candidates = [r.nodeid for r in records if r.category in loose]
    failures = {t: [s.failure for s in lab.table.sights[t] if s.red and s.failure] for t in candidates}
    causes = shared_causes(failures)
    return [
        replace(
            r,
            category=Category.INFRASTRUCTURE,
            cause=causes[r.nodeid],
            why=f"setup fails for several tests at once: {causes[r.nodeid]}",
        )
        if r.nodeid in causes
        else r
        for r in records
    ]


def sample(lab: Lab, records: Sequence[FlakyRecord]) -> list[FlakyRecord]:
    """How often they fail when nothing is held still: a fixed number of runs, decided before the first.

    Every run has seeds of its own for every test, and an hour of its own.
    """
    tests = _measurable(records)
    allowed = range(MOST, FEWEST - 1, -1) if tests else ()
    runs = next((n for n in allowed if lab.left(n * len(tests))), 0)
    if not runs and tests:
        lab.reach("the failure rates of flaky tests", FEWEST * len(tests))
    lab.progress("failure rates")
    for _ in range(runs):
        lab.run([lab.plain(tests, "sample")])
    return [_measured(lab, record) for record in records]


def _measurable(records: Sequence[FlakyRecord]) -> list[str]:
    return [r.nodeid for r in records if r.category in MEASURED]


def _measured(lab: Lab, record: FlakyRecord) -> FlakyRecord:
    # Runs with everything held still say nothing about the rate of what chance or timing decides.
    arms = ("sample",) if record.category in MEASURED else _plain(record)
    sights = lab.table.of(record.nodeid, *arms)
    failures = sum(s.red for s in sights)
    low, high = interval(failures, len(sights))
    known = replace(record, runs=len(sights), failures=failures, low=low, high=high)
    return replace(known, reproducer=command(known))


def _plain(record: FlakyRecord) -> tuple[str, ...]:
    """Which runs say how often it fails in ordinary ones: all of the sweep over hash seeds, else those in the usual order here."""
    return ("hash",) if record.category is Category.HASH_SEED else ("suite", "hash")


def report(lab: Lab, records: Sequence[FlakyRecord]) -> TriageReport:
    flaky = {r.nodeid for r in records}
    lab.notes += [f"{t} ends the process ({o}): left out of every order" for t, o in lab.killers.items()]
    lines = []
    for test in lab.tests:
        if test in flaky:
            continue
        sights = [s for s in lab.table.sights[test] if s.arm not in ("load", "disk")]
        red = sum(s.red for s in sights)
        state = "failing" if sights and red == len(sights) else "unclear" if red else "no flip seen"
        if test in lab.killers:
            state = f"ends the process: {lab.killers[test]}"
        samples = lab.table.samples(test, sights)
        bound = bound_without_failure(samples) if not red else 1.0
        lines.append(TestLine(test, state, len(sights), red, bound, samples, lab.table.held(test)))
    return TriageReport(
        tests=len(lab.tests),
        records=tuple(sorted(records, key=lambda r: (-r.low, r.category, r.nodeid))),
        others=tuple(lines),
        executions=lab.table.steps,
        seconds=lab.seconds,
        cpu=lab.cpu,
        budget=lab.budget.words(),
        not_reached=tuple(lab.skipped),
        notes=tuple(lab.notes),
        timelines={t: tuple((s.arm, s.red) for s in lab.table.sights[t][:TIMELINE]) for t in flaky},
    )
