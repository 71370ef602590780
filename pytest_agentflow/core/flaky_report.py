"""What does a triage say as a whole: which causes, how likely a spurious red, what was not looked at?"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from pytest_agentflow.core.flaky import FlakyRecord
from pytest_agentflow.core.flaky_causes import causes
from pytest_agentflow.core.flaky_stats import after_fixing, spurious_red


@dataclass(frozen=True, slots=True)
class TestLine:
    """A test that is not accused: what was seen of it, and how often it may still fail."""

    nodeid: str
    state: str  # "no flip seen", "failing", "unclear", "ends the process: …"
    runs: int
    failures: int
    bound: float  # p is below this with 95 % confidence
    samples: int = 0  # runs between which all that the test leans on differed: the bound counts these alone
    held: tuple[str, ...] = ()  # what it leans on and most runs held still

    __test__ = False


@dataclass(frozen=True, slots=True)
class TriageReport:
    """Everything that the renderings show."""

    tests: int
    records: tuple[FlakyRecord, ...]  # worst first
    others: tuple[TestLine, ...]
    executions: int
    seconds: float
    cpu: float
    budget: str
    not_reached: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    timelines: Mapping[str, tuple[tuple[str, bool], ...]] = field(
        default_factory=dict
    )  # (experiment, red) per run
    elsewhere: tuple[
        str, ...
    ] = ()  # red or flaky tests whose coverage misses every changed line: not from this change
    base: str = ""  # what the change is measured from

    @property
    def per_test(self) -> float:
        return self.executions / max(self.tests, 1)

    @property
    def failing(self) -> tuple[str, ...]:
        return tuple(line.nodeid for line in self.others if line.state == "failing")

    def causes(self) -> list[tuple[str, list[FlakyRecord]]]:
        return causes(self.records)

    def rates(self) -> list[float]:
        """One rate per cause: tests that fail together turn a run red once."""
        return [max(r.failures / r.runs if r.runs else 0.0 for r in group) for _, group in self.causes()]

    def spurious(self, fixed: int = 0) -> float:
        """The chance of a red run by flaky tests alone, now or after fixing the worst `fixed` causes."""
        return after_fixing(self.rates(), fixed) if fixed else spurious_red(self.rates())

    def exit_code(self) -> int:
        """1 while an unquarantined test is flaky or fails."""
        return int(any(not r.quarantined for r in self.records) or bool(self.failing))
