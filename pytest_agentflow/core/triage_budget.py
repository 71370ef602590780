"""How much may a triage spend: seconds of wall clock, or executions per test?"""

from __future__ import annotations

from dataclasses import dataclass

from pytest_agentflow.core.durations import parse_duration

DEFAULT_PER_TEST = 40.0


@dataclass(frozen=True, slots=True)
class Budget:
    """One of the two is set. The other does not limit."""

    seconds: float | None = None
    per_test: float | None = None

    def words(self) -> str:
        return f"{self.seconds:g} s" if self.seconds is not None else f"{self.per_test:g} executions per test"


def parse_budget(text: str | None) -> Budget:
    """`90`, `90s`, `5m`, `2h` or `40x`; nothing is 40 executions per test. Raises ValueError with what is allowed."""
    if not text:
        return Budget(per_test=DEFAULT_PER_TEST)
    number = text.removesuffix("x")
    try:
        if number != text:
            value = float(number)
            if value > 0:
                return Budget(per_test=value)
        else:
            seconds = float(parse_duration(text))
            if seconds > 0:
                return Budget(seconds=seconds)
    except ValueError:
        pass
    raise ValueError(f"{text!r} is no budget; write seconds (90, 90s, 5m, 2h) or executions per test (40x)")
