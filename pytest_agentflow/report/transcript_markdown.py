"""What does a person read about a run in a pull request, an editor or a terminal?"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime

from pytest_agentflow.report.model import AttemptReport, Round, RunReport
from pytest_agentflow.report.terminal import (
    delivered_words,
    others_words,
    resume_command,
    run_spend_words,
    spend_words,
)
from pytest_agentflow.report.text import count, one_line, percent, seconds, visible


def render(report: RunReport) -> str:
    """The whole transcript as Markdown."""
    parts = [_head(report), _rounds(report), _targets(report), _probe(report)]
    parts += [_round_details(r) for r in report.rounds if r.units or r.flaky or r.set_aside or r.questions]
    if report.attempts:
        parts += ["## Attempts\n", *(attempt_section(a) for a in report.attempts)]
    return "\n".join(part for part in parts if part)


def _head(report: RunReport) -> str:
    when = (
        datetime.fromtimestamp(report.began, UTC).strftime("%Y-%m-%d %H:%M UTC")
        if report.began
        else "unknown"
    )
    before, after = report.before, report.after
    rate = (
        f"{percent(before.passed, before.total)} to {percent(after.passed, after.total)}"
        if before and after
        else "n/a"
    )
    facts = [
        ("started", when),
        ("duration", seconds(report.duration)),
        ("pass rate", rate),
        ("exit code", "none: the run did not finish" if report.exit_code is None else str(report.exit_code)),
        ("not selected", others_words(report)),
        ("stopped", one_line(report.stop_reason) or "not said"),
        ("patches", delivered_words(report) or "none"),
        ("spend", run_spend_words(report)),
        ("command", code(report.command)),
        ("base", code(report.base) if report.base else ""),
        ("python", code(report.python) if report.python else ""),
        ("sandbox", report.sandbox),
        ("resume with", "" if report.finished else code(resume_command(report))),
    ]
    rows = [(name, text if text.startswith("`") else escape(text)) for name, text in facts if text]
    return f"# agentflow run {escape(report.run)}\n\n{table(('', ''), rows)}"


def _rounds(report: RunReport) -> str:
    rows = [
        (
            str(r.number),
            f"{r.rate.passed}/{r.rate.total}",
            percent(r.rate.passed, r.rate.total),
            str(len(r.failing)),
            str(len(r.flaky)),
            str(len(r.attempts)),
            str(len(r.integrated)),
        )
        for r in report.rounds
    ]
    if report.after and report.rounds and report.rounds[-1].integrated:
        after = report.after
        rows.append(
            ("after", f"{after.passed}/{after.total}", percent(after.passed, after.total), "", "", "", "")
        )
    names = ("round", "passed", "pass rate", "failing", "flaky", "attempts", "fixes")
    return f"## Pass rate\n\n{table(names, rows)}" if rows else ""


def _targets(report: RunReport) -> str:
    rows = [
        (
            str(t.state),
            code(t.nodeid),
            t.attempt and link(t.attempt),
            escape(one_line(t.reason, 300)),
        )
        for t in report.targets
    ]
    return f"## Targets\n\n{table(('state', 'test', 'attempt', 'reason'), rows)}" if rows else ""


def _probe(report: RunReport) -> str:
    lines = [f"- {escape(one_line(line, 400))}" for line in report.probe]
    return "\n".join(["## What the model predicted before the fan-out\n", *lines, ""]) if lines else ""


def _round_details(r: Round) -> str:
    lines = [f"## Round {r.number}\n"]
    for unit in r.units:
        lines.append(
            f"**Unit {escape(unit.id)}**, {count(len(unit.targets), 'target')}: {_listed(unit.targets)}\n"
        )
        rows = [
            (
                f"{s.score:.3f}",
                code(f"{s.path}:{s.first_line}"),
                code(s.qualname),
                escape(one_line(s.why, 200)),
            )
            for s in unit.suspects[:8]
        ]
        if rows:
            lines.append(table(("suspicion", "where", "unit", "why"), rows))
    for name, entries in (("Flaky", r.flaky), ("Set aside", r.set_aside)):
        for e in entries:
            evidence = f" ({escape(one_line(e.evidence, 300))})" if e.evidence else ""
            lines.append(f"- {name}: {code(e.nodeid)}: {escape(one_line(e.why, 300))}{evidence}")
    if r.questions:
        lines.append("")
        lines += [
            f"- {escape(name)}: {escape(one_line(_said(answer), 400))}"
            for name, answer in r.questions.items()
        ]
    return "\n".join(lines) + "\n"


def _said(answer: object) -> str:
    if isinstance(answer, dict):
        return ", ".join(f"{k} {_said(v)}" for k, v in answer.items())
    return str(answer)


def attempt_section(a: AttemptReport) -> str:
    """One attempt: what it was sent after, every finding, its diff."""
    where = f", lane {a.lane}" + (f" ({a.worker})" if a.worker else "") if a.lane else ""
    lines = [
        f"### {escape(a.id)}\n",
        f"{escape(a.agent)} on unit {escape(a.cluster)}{escape(where)}: "
        f"**{escape((a.verdict or 'unfinished').replace('_', ' '))}**{escape(f' - {one_line(a.reason)}' if a.reason else '')}\n",
        f"Targets: {_listed(a.targets)}\n",
        f"Spend: {escape(spend_words(a.spend))}\n",
    ]
    if a.tree:
        lines.append(f"Tree with it: {code(a.tree)}\n")
    if a.refusal:
        lines.append(f"Refused at integration: {escape(one_line(a.refusal))}\n")
    if a.context_cut:
        lines.append(f"Notes over the cap: {escape(one_line('; '.join(a.context_cut), 500))}\n")
    if a.same_wrong:
        lines.append(f"Repeated: {escape(a.same_wrong)}\n")
    if a.left_out:
        lines.append(f"Left out: {escape(one_line(a.left_out))}\n")
    if a.message:
        lines.append(f"The agent's words (not evidence): {escape(one_line(a.message, 500))}\n")
    if a.log:
        lines.append(f"Its turns, tool calls and their results: {code(f'attempts/{a.id}/agent.log')}\n")
    if a.findings:
        rows = [(escape(f.layer), str(f.status), escape(one_line(f.reason, 400))) for f in a.findings]
        lines.append(table(("layer", "finding", "reason"), rows))
    if a.patch:
        lines.append(fence(a.patch, "diff"))
    return "\n".join(lines)


def _listed(names: Sequence[str], limit: int = 12) -> str:
    more = f" and {len(names) - limit} more" if len(names) > limit else ""
    return ", ".join(code(n) for n in names[:limit]) + more if names else "none"


def table(names: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A Markdown table of cells that are Markdown already."""
    lines = [f"| {' | '.join(names)} |", f"|{' --- |' * len(names)}"]
    lines += [f"| {' | '.join(cell.replace('|', BAR) for cell in row)} |" for row in rows]
    return "\n".join(lines) + "\n"


BAR = "\\|"  # also inside a code span: tables are split before spans are read
_MARKUP = re.compile(r"([\\`*_{}\[\]<>#&~$@!])")


def escape(text: object) -> str:
    """Text in which no character means anything to Markdown or HTML."""
    return _MARKUP.sub(r"\\\1", visible(text)).replace("\n", " ")


def code(text: object) -> str:
    """A code span that its content cannot leave."""
    flat = " ".join(visible(text).split())
    if not flat:
        return ""
    ticks = "`" * (_longest(flat) + 1)
    pad = " " if flat.startswith("`") or flat.endswith("`") else ""
    return f"{ticks}{pad}{flat}{pad}{ticks}"


def fence(text: str, language: str) -> str:
    """A code block that its content cannot leave."""
    ticks = "`" * max(3, _longest(text) + 1)
    return f"{ticks}{language}\n{visible(text).rstrip()}\n{ticks}\n"


def link(attempt: str) -> str:
    """A link to the attempt's section."""
    return f"[{escape(attempt)}](#{_anchor(attempt)})"


def _anchor(heading: str) -> str:
    return re.sub(r"[^a-z0-9_-]", "", heading.lower().replace(" ", "-"))


def _longest(text: str) -> int:
    return max((len(run) for run in re.findall("`+", text)), default=0)
