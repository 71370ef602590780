"""Do a failing test and the passing ones demand different things of the code?"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Contradiction:
    """`demand` is what the target wants of one call; each of `against` is a passing test that then fails."""

    target: str
    line: int
    demand: str
    against: tuple[Mapping[str, Any], ...]

    def words(self) -> str:
        first = self.against[0]
        more = f" (and {len(self.against) - 1} more)" if len(self.against) > 1 else ""
        through = f", by way of {first['through']}" if "through" in first else ""
        return (
            f"{self.target} line {self.line} demands {self.demand}; then {first['test']} fails in line {first['line']}{through}: "
            f"{first['has']} where it wants {first['wants']}{more}"
        )


def contradictions(payloads: list[Mapping[str, Any]]) -> tuple[Contradiction, ...]:
    """From what the experiments told."""
    return tuple(
        Contradiction(p["target"], p["line"], p["demand"], tuple(p["against"]))
        for p in payloads
        if p.get("against")
    )
