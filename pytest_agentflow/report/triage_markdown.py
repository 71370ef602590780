"""What does a triage look like in an issue or a job summary?"""

from __future__ import annotations

from pytest_agentflow.core.flaky import FlakyRecord
from pytest_agentflow.core.flaky_report import TriageReport
from pytest_agentflow.report.text import one_line
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

MOST_BYTES = 60_000  # a comment takes 64 KiB, a summary is dropped whole above 1 MiB


def markdown(report: TriageReport) -> str:
    """The report, cut to what a comment takes; what was left out is said."""
    parts = [
        f"# Flaky triage: {headline(report)}\n",
        *(f"- {line}" for line in odds(report) if report.records),
    ]
    parts += ["", "| cause | tests | fails | why |", "|---|---|---|---|"]
    groups = report.causes()
    parts += [_row(group) for _, group in groups[:50]]
    tail = [
        "",
        f"*{price(report)}.*",
        *(f"- {_cell(line)}" for line in bounds(report)),
        *(f"- not reached: {n}" for n in report.not_reached),
    ]
    tail += [f"- {_cell(line)}" for line in origin(report)]
    tail += [f"- note: {_cell(n)}" for n in report.notes]
    size = sum(len(p) for p in (*parts, *tail))
    for shown, (_, group) in enumerate(groups):
        block = _details(group)
        size += len(block)
        if size > MOST_BYTES:
            parts.append(f"\n…and {len(groups) - shown} more causes; the JSON has all of them.")
            break
        parts.append(block)
    return "\n".join([*parts, *tail]) + "\n"


def _row(group: list[FlakyRecord]) -> str:
    first = group[0]
    return f"| {first.category} | {len(group)} | {_cell(rate(first))} | {_cell(first.why)} |"


def _details(group: list[FlakyRecord]) -> str:
    first = group[0]
    good, bad = verdicts(first)
    names = "\n".join(f"- {_code(r.nodeid)} {_cell(rate(r))}" for r in group[:20])
    return (
        f"\n<details><summary>{first.category}: {_cell(first.why)}</summary>\n\n{names}\n\n"
        f"- green: {_cell(good)}\n- red: {_cell(bad)}\n- {acceptance(first)}\n\n"
        f"```sh\n{one_line(first.reproducer).replace('```', '')}\n```\n</details>"
    )


def _cell(text: str) -> str:
    """Text that cannot break a table, a mention or a page."""
    flat = one_line(text, 300)
    for sign, safe in (
        ("&", "&amp;"),
        ("<", "&lt;"),
        (">", "&gt;"),
        ("|", "\\|"),
        ("`", "'"),
        ("@", "@\u2060"),
        ("::", ":\u2060:"),
    ):
        flat = flat.replace(sign, safe)
    return flat


def _code(text: str) -> str:
    return f"`{one_line(text).replace('`', chr(39))}`"
