"""The verdict as workflow commands: GitHub shows ten annotations per kind and step, so the ten that matter are chosen."""

from __future__ import annotations

from pytest_agentflow.core.gate.result import GateResult, Level
from pytest_agentflow.report.gate_text import headline, left_out, visible, why, worth_showing

LIMIT = 10


def render(result: GateResult) -> str:
    """At most ten errors and one notice."""
    tests = [(cell, line) for cell, line in worth_showing(result) if not line.excused]
    reasons = [r for r in result.reasons if r.level is not Level.NOTE and not r.tests]
    room = LIMIT - min(len(reasons), 3)
    lines = [_command("error", r.text, title=f"Gate: {r.rule}") for r in reasons[:3]]
    for cell, line in tests[:room] if result.exit_code else ():
        title = f"{line.status}: {line.identity}" + (f" [{cell.cell}]" if cell.cell else "")
        lines.append(
            _command("error", why(line) or line.status.value, title=title, file=line.file, line=line.line)
        )
    more = len(tests) - room if result.exit_code else 0
    rest = f"; {left_out(more)} not annotated" if more > 0 else ""
    lines.append(_command("notice", f"{headline(result)}{rest}", title=f"Gate: {result.verdict}"))
    return "\n".join(lines) + "\n"


def _command(kind: str, message: str, *, title: str, file: str = "", line: int = 0) -> str:
    fields = [f"title={_field(visible(title, 200))}"]
    if file:
        fields.insert(0, f"file={_field(visible(file))}")
        if line:
            fields.insert(1, f"line={line}")
    return f"::{kind} {','.join(fields)}::{_data(visible(message, 1000))}"


def _data(text: str) -> str:
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _field(text: str) -> str:
    return _data(text).replace(":", "%3A").replace(",", "%2C")
