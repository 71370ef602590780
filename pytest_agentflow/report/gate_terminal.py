"""The verdict for a terminal or a log: plain lines, no colours, nothing that a CI system takes for a command."""

from __future__ import annotations

from pytest_agentflow.core.gate.policy import floored
from pytest_agentflow.core.gate.result import GateResult, Level
from pytest_agentflow.report.gate_text import headline, left_out, rates, visible, where, why, worth_showing

_MARKS = {Level.CONFIG: "error", Level.BLOCK: "block", Level.UNJUDGED: "gap", Level.NOTE: "note"}


def render(result: GateResult, limit: int = 25) -> str:
    """The first line is the verdict with its reason; then rates, every reason, and the tests that matter most."""
    lines = [f"gate: {result.verdict}: {headline(result)}"]
    lines.append(f"  rate   {rates(result)}; threshold {floored(result.threshold / 100, result.places)} %")
    lines += [f"  {_MARKS[r.level]:<6} {where(r)}{visible(r.text, 500)}" for r in result.reasons]
    tests = worth_showing(result)
    for cell, line in tests[:limit]:
        label = f"[{visible(cell.cell, 60)}] " if cell.cell else ""
        excused = " (excused)" if line.excused else ""
        text = why(line)
        lines.append(
            f"    {label}{line.status}{excused}  {visible(line.identity)}" + (f"  {text}" if text else "")
        )
    if len(tests) > limit:
        lines.append(f"    … {left_out(len(tests) - limit)}")
    return "\n".join(lines) + "\n"
