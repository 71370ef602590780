"""The verdict as one self-contained page: for CI systems that show artefacts (GitLab, Jenkins) rather than Markdown."""

from __future__ import annotations

from pytest_agentflow.core.gate.policy import floored
from pytest_agentflow.core.gate.result import GateResult, Level
from pytest_agentflow.report.gate_text import (
    code,
    headline,
    inert,
    left_out,
    rate,
    visible,
    where,
    why,
    worth_showing,
)

LIMIT = 2000
_STYLE = """
:root { color-scheme: light dark; --line: #8884; --bad: #c62828; --good: #2e7d32; --gap: #b26a00 }
body { font: 15px/1.5 system-ui, sans-serif; max-width: 72rem; margin: 2rem auto; padding: 0 1rem }
h1 { font-size: 1.4rem; border-left: .5rem solid var(--tone); padding-left: .8rem }
table { border-collapse: collapse; width: 100%; table-layout: fixed } th, td { text-align: left; vertical-align: top;
padding: .35rem .6rem; border-bottom: 1px solid var(--line); overflow-wrap: anywhere }
th:first-child { width: 45% } th.standing { width: 12rem } .excused { opacity: .65 }
.block { color: var(--bad) } .gap { color: var(--gap) } code { font-size: .9em }
"""
_TONE = {0: "var(--good)", 1: "var(--bad)", 2: "var(--gap)", 3: "var(--gap)"}
_CLASS = {Level.BLOCK: "block", Level.UNJUDGED: "gap", Level.CONFIG: "gap", Level.NOTE: "note"}


def render(result: GateResult) -> str:
    """No script, no outside resource; names and messages are inert."""
    wanted = floored(result.threshold / 100, result.places)
    reasons = "".join(
        f'<li class="{_CLASS[r.level]}">{inert(visible(where(r) + r.text, 500))}</li>\n'
        for r in result.reasons[:500]
    )
    cells = "".join(f"<li>{inert(rate(c, result.places))}; threshold {wanted} %</li>\n" for c in result.cells)
    tests = worth_showing(result)
    rows = "".join(
        f'<tr class="{"excused" if line.excused else ""}"><td>{code(cell.cell, 60) + " " if cell.cell else ""}'
        f"{code(line.identity)}</td><td>{line.status}{' (excused)' if line.excused else ''}</td>"
        f"<td>{inert(why(line))}</td></tr>\n"
        for cell, line in tests[:LIMIT]
    )
    more = f"<p>… {left_out(len(tests) - LIMIT)} in the JSON report.</p>" if len(tests) > LIMIT else ""
    table = (
        f'<table><thead><tr><th>test</th><th class="standing">standing</th><th>why</th></tr></thead>\n<tbody>{rows}</tbody></table>'
        if rows
        else ""
    )
    return (
        f'<!doctype html>\n<html lang="en"><head><meta charset="utf-8"><title>Gate: {result.verdict}</title>\n'
        f'<meta name="viewport" content="width=device-width, initial-scale=1"><style>{_STYLE}</style></head>\n'
        f'<body style="--tone: {_TONE[result.exit_code]}"><h1>Gate: {result.verdict}</h1>\n'
        f"<p><strong>{inert(headline(result))}</strong></p>\n<ul>{cells}</ul>\n<ul>{reasons}</ul>\n{table}{more}</body></html>\n"
    )
