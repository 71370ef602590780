"""What does a run say on a CI job's summary page: the rate, every target, why it stopped, how to fetch the patch?"""

from __future__ import annotations

from pytest_agentflow.report.model import RunReport
from pytest_agentflow.report.terminal import delivered_words, others_words, resume_command, run_spend_words
from pytest_agentflow.report.text import count, one_line, percent, seconds
from pytest_agentflow.report.transcript_markdown import code, escape, table

MANY = 100  # targets shown; a page is refused whole when a step writes more than 1 MiB


def render(report: RunReport) -> str:
    """One section of Markdown."""
    parts = [f"## {_headline(report)}", _facts(report), _targets(report), _patch(report)]
    return "\n\n".join(part for part in parts if part).rstrip() + "\n"


def _headline(report: RunReport) -> str:
    before, after = report.before, report.after
    if not (before and after):
        return "agentflow: the suite was not measured"
    first, last = percent(before.passed, before.total), percent(after.passed, after.total)
    return f"agentflow: {first} → {last}" if before != after else f"agentflow: {last}, unchanged"


def _facts(report: RunReport) -> str:
    before, after = report.before, report.after
    rows = [
        (
            "tests passing",
            f"{before.passed} of {before.total} before, {after.passed} of {after.total} after"
            if before and after
            else "",
        ),
        ("not selected", escape(others_words(report))),
        ("stopped", escape(one_line(report.stop_reason)) or "not said"),
        ("exit code", "none: the run did not finish" if report.exit_code is None else str(report.exit_code)),
        ("took", f"{seconds(report.duration)}; {escape(run_spend_words(report))}"),
        ("run", code(report.run)),
    ]
    return table(("", ""), [row for row in rows if row[1]]).rstrip()


def _targets(report: RunReport) -> str:
    if not report.targets:
        return ""
    rows = [
        (str(t.state), code(t.nodeid), code(t.attempt), escape(one_line(t.reason, 200)))
        for t in report.targets[:MANY]
    ]
    more = len(report.targets) - MANY
    left = f"\n… and {more} more, in the transcript." if more > 0 else ""
    return table(("state", "test", "attempt", "why"), rows).rstrip() + left


def _patch(report: RunReport) -> str:
    if not report.finished:
        return f"Unfinished: {code(resume_command(report))} goes on."
    fixes = sum(bool(a.tree) for a in report.attempts)
    if not fixes:
        return ""
    lines = [
        f"agentflow show --diff {report.run} > fixes.patch   # in this job, or from its uploaded .agentflow"
    ]
    lines += ["git apply fixes.patch"]
    if report.delivered.branch:
        lines += [f"git log -p {report.delivered.branch}   # one commit per fix, in this job's checkout"]
    commands = "\n".join(one_line(line) for line in lines)
    where = escape(delivered_words(report))
    return f"### {count(fixes, 'fix', 'fixes')}\n\nPlausible, not proven: please read the diff. Patches: {where}.\n\n```console\n{commands}\n```"
