"""What happened in a run, as one frozen record that every rendering reads."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from pytest_agentflow.core.model import Finding, Spend


class TargetState(StrEnum):
    """How a failing test ended, in the words of the summary; in the order of the table."""

    FIXED = "fixed"
    WEAK = "plausible but weak"
    CONTRADICTION = "contradiction"
    AMBIGUOUS = "ambiguous"
    FLAKY = "flaky"
    SET_ASIDE = "set aside"
    PENDING = "not integrated"  # a plausible patch was found, and the run ended before it went in
    NO_PATCH = "no patch"
    NOT_TRIED = "not tried"


@dataclass(frozen=True, slots=True)
class Rate:
    """Passing tests of all tests that count. Rounding is the renderer's: never up to 100."""

    passed: int = 0
    total: int = 0


@dataclass(frozen=True, slots=True)
class SetAside:
    """A failing test that no agent was sent after, and why."""

    nodeid: str
    why: str
    evidence: str = ""


@dataclass(frozen=True, slots=True)
class SuspectLine:
    """One suspect source unit of a cluster."""

    path: str
    qualname: str
    first_line: int
    last_line: int
    score: float
    why: str = ""


@dataclass(frozen=True, slots=True)
class Unit:
    """A work unit: failing tests that share a cause, and where to look."""

    id: str
    targets: tuple[str, ...]
    suspects: tuple[SuspectLine, ...] = ()


@dataclass(frozen=True, slots=True)
class Integration:
    """One accepted patch that went in. `tree` is the git tree with it and everything integrated before it."""

    attempt: str
    tree: str
    targets: tuple[str, ...]
    verdict: str


@dataclass(frozen=True, slots=True)
class Round:
    """One turn of the loop, from observe to integrate. The last one may only have been observed."""

    number: int
    rate: Rate
    tree: str = ""
    collected: int = 0
    selected: int = 0
    counts: Mapping[str, int] = field(default_factory=dict)
    failing: tuple[str, ...] = ()
    others_failing: tuple[str, ...] = ()  # outside of the user's selection
    duration: float = 0.0
    targets: tuple[str, ...] = ()
    flaky: tuple[SetAside, ...] = ()
    set_aside: tuple[SetAside, ...] = ()
    units: tuple[Unit, ...] = ()
    attempts: tuple[str, ...] = ()
    questions: Mapping[str, Any] = field(default_factory=dict)
    integrated: tuple[Integration, ...] = ()
    refused: tuple[tuple[str, str], ...] = ()  # attempt id, reason


@dataclass(frozen=True, slots=True)
class AttemptReport:
    """One attempt: what it was sent after, what it did, how it was judged. `verdict` is "" while it is unfinished."""

    id: str
    round: int = 0
    cluster: str = ""
    agent: str = ""
    retry: int = 0
    visible: tuple[str, ...] = ()
    targets: tuple[str, ...] = ()
    lane: str = ""
    worker: str = ""
    began: float | None = None  # seconds after the run's start
    ended: float | None = None
    verdict: str = ""
    reason: str = ""
    findings: tuple[Finding, ...] = ()
    spend: Spend = Spend()
    paths: tuple[str, ...] = ()
    lines_changed: int = 0
    patch: str = ""
    context_cut: tuple[str, ...] = ()  # notes of the repository that the agent was not shown whole
    same_wrong: str = ""  # in words: which attempts ended in this same refused patch
    left_out: str = ""  # in words: which changes of the agent's patch no test needs
    message: str = ""
    log: str = ""
    agent_events: Mapping[str, int] = field(default_factory=dict)  # how many of each kind
    tree: str = ""  # the git tree once the patch was in; "" while it is not
    refusal: str = ""  # why integration refused an accepted patch

    @property
    def accepted(self) -> bool:
        return self.verdict in ("plausible", "weak")


@dataclass(frozen=True, slots=True)
class TargetReport:
    """One failing test at the end of the run, with the reason in words."""

    nodeid: str
    state: TargetState
    reason: str = ""
    attempt: str = ""
    tree: str = ""


@dataclass(frozen=True, slots=True)
class Delivered:
    """Where the accepted patches went."""

    how: str = ""
    branch: str = ""
    files: tuple[str, ...] = ()
    reason: str = ""


@dataclass(frozen=True, slots=True)
class RunReport:
    """A run as its journal tells it. Built by `report.building.build`, changed by nobody."""

    run: str
    version: str = ""
    argv: tuple[str, ...] = ()
    settings: Mapping[str, Any] = field(default_factory=dict)
    repository: Mapping[str, Any] = field(default_factory=dict)
    base: str = ""
    python: str = ""
    sandbox: str = ""
    began: float = 0.0  # unix seconds
    ended: float = 0.0
    rounds: tuple[Round, ...] = ()
    attempts: tuple[AttemptReport, ...] = ()
    targets: tuple[TargetReport, ...] = ()
    spend: Spend = Spend()
    before: Rate | None = None  # None: the suite was never observed
    after: Rate | None = None
    exit_code: int | None = None  # None: no `reported` event
    stop_reason: str = ""
    delivered: Delivered = Delivered()
    probe: tuple[str, ...] = ()  # how well the model predicted each unit before a paid fan-out
    unknown_events: int = 0

    @property
    def finished(self) -> bool:
        """False for an interrupted run, which can be resumed."""
        return self.exit_code is not None and self.exit_code != 2

    @property
    def command(self) -> str:
        """The command line as one would type it."""
        words = self.argv if self.argv[:1] == ("pytest",) else ("pytest", *self.argv)
        return " ".join(w if w and not set(w) & set(" \t'\"\\$&|<>;*?") else repr(w) for w in words)

    @property
    def duration(self) -> float:
        return max(0.0, self.ended - self.began)

    def attempt(self, attempt_id: str) -> AttemptReport | None:
        return next((a for a in self.attempts if a.id == attempt_id), None)

    @property
    def others_failing(self) -> tuple[str, ...]:
        """Tests outside of the selection that were red when the suite was last measured."""
        measured = [r for r in self.rounds if r.rate.total]
        return measured[-1].others_failing if measured else ()

    def count(self, *states: TargetState) -> int:
        return sum(t.state in states for t in self.targets)
