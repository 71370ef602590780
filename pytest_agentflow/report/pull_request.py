"""What does a reviewer on a forge read about one accepted fix: what was checked, what was not, and how to see it again?"""

from __future__ import annotations

import shlex
from collections.abc import Sequence

from pytest_agentflow.core.model import Finding, FindingStatus
from pytest_agentflow.report.model import AttemptReport, RunReport
from pytest_agentflow.report.terminal import spend_words
from pytest_agentflow.report.text import one_line, visible
from pytest_agentflow.report.transcript_markdown import code, escape

TITLE_CAP = 72
MANY = 20


def title(attempt: AttemptReport, targets: Sequence[str]) -> str:
    """One line for the commit and the pull request; it claims no more than what was measured."""
    first = targets[0].rpartition("::")[2] if targets else attempt.id
    more = f" and {len(targets) - 1} more" if len(targets) > 1 else ""
    flag = " (weak oracle)" if attempt.verdict == "weak" else ""
    return one_line(f"Make {first}{more} pass{flag}", TITLE_CAP)


def body(
    report: RunReport, attempt: AttemptReport, targets: Sequence[str], *, branch: str, needs: str
) -> str:
    """The text of one pull request, in Markdown."""
    parts = [
        f"A {escape(attempt.verdict)} patch by the agent {code(attempt.agent)}: it passed every check below. "
        "Plausible is not proven; please read the diff.",
        f"This branch stands on {code(needs)}: merge that one first." if needs else "",
        "Its first commit is work that was not committed when the run began; the fix is the last commit."
        if report.repository.get("dirty")
        else "",
        _targets(targets),
        _section("What was checked", [f for f in attempt.findings if f.status is FindingStatus.OK]),
        _section("What could not be checked", [f for f in attempt.findings if f.status is FindingStatus.NA]),
        _section("Where the oracle is weak", [f for f in attempt.findings if f.status is FindingStatus.WEAK]),
        _reproduce(report, targets, branch),
        _origin(report, attempt),
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def _targets(targets: Sequence[str]) -> str:
    shown = [f"- {code(target)}" for target in targets[:MANY]]
    more = [f"- and {len(targets) - MANY} more"] if len(targets) > MANY else []
    return "\n".join(["## Tests that failed before and pass with it", "", *shown, *more])


def _section(heading: str, findings: Sequence[Finding]) -> str:
    if not findings:
        return ""
    rows = [f"- **{escape(f.layer)}**: {escape(one_line(f.reason, 300))}" for f in findings]
    return "\n".join([f"## {heading}", "", *rows])


def _reproduce(report: RunReport, targets: Sequence[str], branch: str) -> str:
    quoted = " ".join(shlex.quote(visible(t)) for t in targets[:MANY])
    lines = [
        f"git switch --detach {branch}~1   # red",
        f"python -m pytest {quoted}",
        f"git switch {branch}   # green",
        f"python -m pytest {quoted}",
        f"agentflow verify {report.run}   # every verdict of the run again, without a model",
    ]
    return "\n".join(["## See it yourself", "", "```console", *lines, "```"])


def _origin(report: RunReport, attempt: AttemptReport) -> str:
    rows = [
        f"- run {code(report.run)}, attempt {code(attempt.id)}, sandbox {escape(report.sandbox or 'not said')}",
        f"- files: {', '.join(code(path) for path in attempt.paths) or 'none'}; lines changed: {attempt.lines_changed}",
        f"- spend: {escape(spend_words(attempt.spend))}",
    ]
    return "\n".join(["## Where it comes from", "", *rows])
