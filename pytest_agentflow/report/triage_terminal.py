"""What does a triage look like at the end of a terminal session: worst first, causes instead of lists."""

from __future__ import annotations

from pytest_agentflow.core.flaky_report import TriageReport
from pytest_agentflow.report.text import count, one_line, paint, visible
from pytest_agentflow.report.triage_words import (
    acceptance,
    bounds,
    headline,
    odds,
    origin,
    price,
    rate,
    verdicts,
)

MOST_TESTS = 6  # tests of one cause that are named


def summary(report: TriageReport, *, width: int = 100, colour: bool = False, verbose: bool = False) -> str:
    """The whole report as text."""
    lines = [paint(f" flaky triage: {headline(report)} ".center(width, "="), "bold", colour=colour)]
    for number, (_, group) in enumerate(report.causes(), 1):
        first = group[0]
        title = f"{number}. {first.category} ({first.confidence:.0%}), {count(len(group), 'test')}"
        lines += ["", paint(title, "yellow", "bold", colour=colour) + f": {one_line(first.why, 300)}"]
        lines += [f"   {visible(r.nodeid)}  {rate(r)}" for r in group[:MOST_TESTS]]
        if len(group) > MOST_TESTS:
            lines.append(f"   … and {len(group) - MOST_TESTS} more with the same cause")
        good, bad = verdicts(first)
        lines += [f"   green: {visible(good)}", f"   red:   {visible(bad)}"]
        if first.cleaners:
            lines.append(f"   undone by: {', '.join(first.cleaners)}")
        lines.append(f"   again:  {visible(first.reproducer)}")
        if verbose:
            lines.append(f"   {acceptance(first)}")
    lines += ["", *_rest(report)]
    return "\n".join(lines) + "\n"


def _rest(report: TriageReport) -> list[str]:
    lines = odds(report) if report.records else []
    if report.failing:
        lines.append(f"red in every run so far: {', '.join(map(visible, report.failing[:5]))}")
    unclear = [line.nodeid for line in report.others if line.state == "unclear"]
    if unclear:
        lines.append(f"two verdicts, not shown twice, so not accused: {', '.join(map(visible, unclear[:5]))}")
    lines += bounds(report)
    lines += map(visible, origin(report))
    lines += [f"not reached: {name}" for name in report.not_reached]
    lines += [f"note: {visible(note)}" for note in report.notes]
    return [*lines, price(report)]
