"""Which runs do JUnit files from CI tell of: shards of one run together, retries of a test kept as attempts?"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

from pytest_agentflow.adapters.junit import read_report
from pytest_agentflow.core.gate.records import Case, Report
from pytest_agentflow.core.history import PastRun
from pytest_agentflow.core.model import Outcome

_SILENT = (Outcome.SKIPPED, Outcome.XFAILED, Outcome.MISSING)


def read(paths: Sequence[Path], commit: str = "") -> tuple[list[PastRun], list[str]]:
    """Past runs in order of time, and what could not be read. Folders are searched for *.xml.

    `commit` is that of the reports that name none.
    """
    reports, problems = [], []
    for path in _files(paths):
        report = read_report(path)
        fatal = [p.text for p in report.problems if p.fatal]
        if report.cases:
            reports.append((path, report))
        else:
            problems += fatal or [f"{path}: the report holds no tests"]
    return sorted(_runs(reports, commit), key=lambda r: r.when), problems


def _files(paths: Iterable[Path]) -> list[Path]:
    found: list[Path] = []
    for path in paths:
        found += sorted(path.rglob("*.xml")) if path.is_dir() else [path]
    return found


def _runs(reports: Iterable[tuple[Path, Report]], commit: str) -> list[PastRun]:
    """One past run per report. Shards are runs of different tests; an uploaded copy (same digest) counts once."""
    seen: set[str] = set()
    runs = []
    for path, report in reports:
        if report.digest and report.digest in seen:
            continue
        seen.add(report.digest)
        when = report.started if report.started is not None else report.modified or 0.0
        verdicts = {_name(report, case): letters(case) for case in report.cases}
        runs.append(
            PastRun(report.commit or commit, when, str(path), {t: v for t, v in verdicts.items() if v})
        )
    return runs


def _name(report: Report, case: Case) -> str:
    return f"{case.identity} [{report.cell}]" if report.cell else case.identity


def letters(case: Case) -> str:
    """Every attempt's verdict in order. A pass that only closes a retried attempt was folded by the reader."""
    return "".join("f" if a.bad else "p" for a in case.attempts if a.outcome not in _SILENT)
