"""Where do a triage's renderings and memories go?"""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import replace
from datetime import date, timedelta
from pathlib import Path

from pytest_agentflow.adapters import gate_files, history
from pytest_agentflow.core.flaky import FlakyRecord
from pytest_agentflow.core.flaky_report import TriageReport
from pytest_agentflow.core.gate.identity import canonical
from pytest_agentflow.core.history import PastRun
from pytest_agentflow.core.reproducer import LONGEST, minimal_order
from pytest_agentflow.report import triage_html, triage_json, triage_markdown, triage_terminal, triage_words


def quarantined(report: TriageReport, file: Path) -> TriageReport:
    """The report with those records marked that have a valid entry in `file`."""
    today = date.today().toordinal()
    leaves = gate_files.read_quarantine(file, today).leaves

    def marked(record: FlakyRecord) -> FlakyRecord:
        leave = leaves.get(canonical(record.nodeid))
        return replace(record, quarantined=leave is not None and not leave.expired(today))

    return replace(report, records=tuple(map(marked, report.records)))


def with_order_files(report: TriageReport, directory: Path) -> TriageReport:
    """Long orders go into files that pytest reads with `@file`, so that a reproducer stays a line."""
    records = []
    for number, record in enumerate(report.records, 1):
        order = minimal_order(record)
        if len(order) > LONGEST:
            path = directory / "orders" / f"{number}.txt"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text("\n".join(order) + "\n", encoding="utf-8")
            head, _, _ = record.reproducer.partition(" -p pytest_agentflow.child.conditions")
            line = f"{head} -p pytest_agentflow.child.conditions '@{path}'"
            record = replace(record, reproducer=line)  # noqa: PLW2901
        records.append(record)
    return replace(report, records=tuple(records))


def write(directory: Path, report: TriageReport) -> Mapping[str, Path]:
    """triage.md, triage.html, triage.json and the suggested quarantine entries, which nobody applies by himself."""
    directory.mkdir(parents=True, exist_ok=True)
    report = with_order_files(report, directory)
    expires = (date.today() + timedelta(days=triage_words.QUARANTINE_DAYS)).isoformat()
    texts = {
        "triage.md": triage_markdown.markdown(report),
        "triage.html": triage_html.page(report),
        "triage.json": triage_json.render(report),
        "quarantine-suggested.toml": triage_words.quarantine(report, expires),
    }
    for name, text in texts.items():
        (directory / name).write_text(text, encoding="utf-8")
    return {name: directory / name for name in texts}


def remember(home: Path, tree: str, report: TriageReport) -> None:
    """One line in the history: every flaky test with both verdicts on this tree, the others with theirs."""
    verdicts = {r.nodeid: "fp" for r in report.records}
    for line in report.others:
        if line.runs:
            verdicts[line.nodeid] = "f" if line.failures == line.runs else "p"
    history.write(home, PastRun(tree, time.time(), "triage", verdicts))


def terminal(report: TriageReport, written: Mapping[str, Path], *, width: int, colour: bool) -> str:
    """The summary for the terminal, and where the rest is."""
    text = triage_terminal.summary(report, width=min(width, 120), colour=colour)
    if report.records:
        text += (
            f"suggested quarantine entries (owner to be filled in): {written['quarantine-suggested.toml']}\n"
        )
    return text + f"page: {written['triage.html']}"
