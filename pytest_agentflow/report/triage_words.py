"""Which sentences say what a triage found, in every rendering alike?"""

from __future__ import annotations

from pytest_agentflow.core.flaky import FlakyRecord
from pytest_agentflow.core.flaky_report import TestLine, TriageReport
from pytest_agentflow.core.flaky_stats import green_runs_needed
from pytest_agentflow.report.text import count, one_line, seconds

QUARANTINE_DAYS = 14


def headline(report: TriageReport) -> str:
    return (
        f"{count(len(report.records), 'flaky test')} of {report.tests}, {count(len(report.causes()), 'cause')}; "
        f"{count(len(report.failing), 'test')} red in every run"
    )


def price(report: TriageReport) -> str:
    return (
        f"{report.executions} executions ({report.per_test:.1f} per test), {seconds(report.seconds)}, "
        f"{report.cpu:.1f} CPU s; budget {report.budget}"
    )


def odds(report: TriageReport) -> list[str]:
    """The chance of a spurious red, now and after fixing the worst causes."""
    lines = [f"chance that flaky tests alone turn a run red: {report.spurious():.1%} now"]
    fixed = [k for k in (1, 3, 5) if k < len(report.causes())]
    lines += [f"after fixing the worst {k}: {report.spurious(k):.1%}" for k in fixed]
    return lines


def rate(record: FlakyRecord) -> str:
    if not record.runs:
        return "rate not measured"
    return f"fails {record.failures} of {record.runs} (95 %: {record.low:.1%} to {record.high:.1%})"


def verdicts(record: FlakyRecord) -> tuple[str, str]:
    """The two differing verdicts."""
    return (_seen(record, good=True), _seen(record, good=False))


def _seen(record: FlakyRecord, good: bool) -> str:
    sighting = record.passing if good else record.failing
    before = len(sighting.order) - 1
    where = "alone" if before <= 0 else f"after {count(before, 'test')}"
    note = f", {sighting.note}" if sighting.note else ""
    what = f" ({one_line(sighting.what, 100)})" if sighting.what else ""
    return f"{sighting.outcome} {where}{note}, {sighting.conditions.words()}{what}"


def acceptance(record: FlakyRecord) -> str:
    """What a fix must show."""
    p = record.failures / record.runs if record.runs and record.failures else max(record.low, 0.05)
    return f"a fix is believed after {count(green_runs_needed(min(p, 0.999)), 'green run')} and a green reproducer"


def bounds(report: TriageReport) -> list[str]:
    """What can be said of the tests that never flipped. Never: not flaky.

    Tests for which every run counts come apart from those whose clock, chance or hash seed was mostly held still.
    """
    quiet = [line for line in report.others if line.state == "no flip seen" and line.runs]
    groups: dict[tuple[str, ...], list[TestLine]] = {}
    for line in quiet:
        groups.setdefault(line.held if line.samples < line.runs else (), []).append(line)
    return [_bound(held, groups[held]) for held in sorted(groups, key=lambda held: (len(held), held))]


def _bound(held: tuple[str, ...], lines: list[TestLine]) -> str:
    worst, fewest = max(line.bound for line in lines), min(line.samples for line in lines)
    may = f" that may hang on {' and '.join(held)}" if held else ""
    differ = f" that differ in {' and in '.join(held)}" if held else ""
    return (
        f"{count(len(lines), 'test')}{may} showed no flip: each p < {worst:.0%} with 95 % confidence "
        f"after {count(fewest, 'run')} or more{differ}"
    )


def origin(report: TriageReport, most: int = 10) -> list[str]:
    """Which red or flaky tests ran no line that was changed."""
    if not report.elsewhere:
        return []
    more = f" and {len(report.elsewhere) - most} more" if len(report.elsewhere) > most else ""
    names = ", ".join(report.elsewhere[:most])
    return [f"not from this change (they run no line changed since {report.base}): {names}{more}"]


def quarantine(report: TriageReport, expires: str) -> str:
    """Suggested entries, to be copied by a person who fills in the owner."""
    lines = ["version = 1"]
    for record in report.records:
        if not record.quarantined:
            lines += [
                "",
                "[[quarantine]]",
                f'test = "{record.nodeid}"',
                'owner = ""  # who answers for it',
                f'reason = "{one_line(record.category + ": " + record.why, 120)}"'.replace("\\", "/"),
                f"expires = {expires}",
            ]
    return "\n".join(lines) + "\n"
