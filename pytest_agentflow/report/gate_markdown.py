"""The verdict as Markdown: for a job summary (1 MiB) and for a comment (64 KiB), newest and worst first."""

from __future__ import annotations

from pytest_agentflow.core.gate.policy import floored
from pytest_agentflow.core.gate.result import GateResult, Level
from pytest_agentflow.report.gate_text import (
    code,
    cut,
    headline,
    left_out,
    middle,
    prose,
    rate,
    where,
    why,
    worth_showing,
)

SUMMARY_BYTES = 1024 * 1024 - 1
COMMENT_BYTES = 65_536 - 1
MARKER = "<!-- agentflow-gate -->"  # lets a workflow find its own comment again
_ICON = {0: "✅", 1: "❌", 2: "⚠️", 3: "⚠️"}
_TITLE = {Level.CONFIG: "Configuration", Level.BLOCK: "Why it is blocked", Level.UNJUDGED: "What cannot be judged", Level.NOTE: "Notes"}  # fmt: skip
_REASONS = 200
_NAME = 120  # a longer name would push the other columns out of sight


def summary(result: GateResult) -> str:
    return render(result, SUMMARY_BYTES)


def comment(result: GateResult) -> str:
    return render(result, COMMENT_BYTES)


def render(result: GateResult, size: int) -> str:
    """Head and reasons first, then as many tests as fit."""
    head, dropped = cut(_head(result), size * 3 // 4)
    head += ["", f"… {left_out(dropped)} lines, left out to stay within the size limit."] if dropped else []
    tests = worth_showing(result)
    cells = len(result.cells) > 1
    table = [
        "| " + ("cell | " if cells else "") + "test | standing | why |",
        "|" + " --- |" * (4 if cells else 3),
    ]
    rows = []
    for cell, line in tests:
        first = f"| {code(cell.cell, 60)} " if cells else ""
        excused = " (excused)" if line.excused else ""
        name = code(middle(line.identity, _NAME), 2 * _NAME)
        rows.append(f"{first}| {name} | {line.status}{excused} | {prose(why(line), 400)} |")
    room = size - sum(len(x.encode()) + 1 for x in (*head, *table)) - 2
    kept, missing = cut(rows, room)
    body = ["", *table, *kept] if kept else []
    if missing:
        body += [
            "",
            f"… {left_out(missing)}, left out to stay within the size limit; the JSON report has them all.",
        ]
    return "\n".join([*head, *body, ""])


def _head(result: GateResult) -> list[str]:
    wanted = floored(result.threshold / 100, result.places)
    lines = [
        MARKER,
        f"### {_ICON[result.exit_code]} Gate: {result.verdict}",
        "",
        f"**{prose(headline(result))}**",
        "",
    ]
    lines += [f"- {prose(rate(cell, result.places))} (threshold {wanted} %)" for cell in result.cells[:50]]
    if len(result.cells) > 50:
        lines.append(f"- … {left_out(len(result.cells) - 50)} cells")
    for level in (Level.CONFIG, Level.BLOCK, Level.UNJUDGED, Level.NOTE):
        found = result.at(level)
        if found:
            lines += ["", f"**{_TITLE[level]}**", ""]
            lines += [f"- {prose(where(r) + r.text, 400)}" for r in found[: _REASONS // 4]]
            if len(found) > _REASONS // 4:
                lines.append(f"- … {left_out(len(found) - _REASONS // 4)}")
    return lines
