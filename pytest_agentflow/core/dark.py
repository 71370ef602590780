"""Which units does no test reach, and which of them matter most?"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from pytest_agentflow.core.model import SourceUnit
from pytest_agentflow.core.syntax import Source


@dataclass(frozen=True, slots=True)
class Dark:
    """A function without a test; `called` when tested code names it in a call."""

    unit: SourceUnit
    statements: int
    called: bool


def dark_units(sources: Mapping[str, Source], tested: Mapping[str, set[int]]) -> list[Dark]:
    """Functions none of whose lines a test ran: what tested code calls first, then the largest."""
    calls: set[str] = set()
    found = []
    for path, source in sources.items():
        reached = tested.get(path, set())
        bodies: dict[int, list[bool]] = {}
        for statement in source.statements:
            hit = any(n in reached for n in range(statement.first_line, statement.last_line + 1))
            if hit:
                calls |= statement.calls
            if statement.unit and statement.kind != "def":
                bodies.setdefault(statement.unit, []).append(hit)
        found += [(source.units[u], len(hits)) for u, hits in bodies.items() if not any(hits)]
    dark = [Dark(unit, size, unit.qualname.rpartition(".")[2] in calls) for unit, size in found]
    return sorted(dark, key=lambda d: (not d.called, -d.statements, d.unit.key))
