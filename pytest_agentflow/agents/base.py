"""What an agent is: something that edits a workspace. Nothing it says is a result."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Any, Protocol

from pytest_agentflow.core.model import Attempt, Failure, SessionRecord, Spend
from pytest_agentflow.core.scope import ScopePolicy


class AgentOutcome(StrEnum):
    """How the agent ended, in the harness's words. `CHANGED` only means that the tree differs."""

    CHANGED = "changed"
    NO_CHANGE = "no_change"
    GAVE_UP = "gave_up"  # says test and code disagree, with evidence
    ERROR = "error"
    TIMED_OUT = "timed_out"
    OVER_BUDGET = "over_budget"
    REFUSED = "refused"  # a model declined
    CANCELLED = "cancelled"


@dataclass(frozen=True, slots=True)
class Candidate:
    """One candidate patch as whole new file contents, by path relative to the top level, best first in a report."""

    files: Mapping[str, bytes]
    label: str = ""
    score: float = 0.0


@dataclass(frozen=True, slots=True)
class AgentReport:
    """What the agent leaves behind.

    `candidates` is optional: an agent that offers several patches lists them best first and leaves the workspace at base;
    an agent that edits the workspace lists none, and the harness diffs the tree.
    """

    outcome: AgentOutcome
    message: str = ""
    spend: Spend = Spend()
    candidates: tuple[Candidate, ...] = ()
    evidence: str = ""  # for GAVE_UP: which test and which code disagree, and why
    notes: Mapping[str, Any] = field(
        default_factory=dict
    )  # versions, candidates tried, near misses: journalled and shown


@dataclass(frozen=True, slots=True)
class Brief:
    """What an agent is told. Paths and node ids are relative to `workspace`, a private copy that it may edit."""

    attempt: Attempt
    workspace: Path
    directory: Path  # the attempt's own directory for logs and transcripts; not visible from the workspace
    failures: Mapping[str, Failure]  # visible targets only
    passing_seconds: Mapping[str, float]  # durations of visible guards and targets as observed
    scope: tuple[str, ...]  # globs that may be edited
    notes: Mapping[str, str] = field(default_factory=dict)  # AGENTS.md and the like: untrusted data, capped
    deadline: float = 900.0  # seconds this attempt may take, from now
    limit: str = ""  # in words: what set the deadline of a search, and what raises it
    config: Mapping[str, Any] = field(default_factory=dict)  # the agent's own section of the configuration
    protected: tuple[str, ...] = ()  # globs that may not be edited although they lie inside the scope

    @property
    def policy(self) -> ScopePolicy:
        """What the judge lets a patch touch: told to the agent before it edits."""
        return ScopePolicy.of(self.scope, self.protected)


class Bench(Protocol):
    """What the harness lends an agent during one attempt."""

    def run_tests(self, nodeids: Sequence[str], *, timeout: float | None = None) -> SessionRecord:
        """Run visible tests on the workspace as it is now, sandboxed; screening only, never a verdict."""

    def reserve(self, *, tokens: int, usd: float, seconds: float = 0.0) -> str:
        """Reserve before a paid call; returns a reservation id. Raises `OverBudget` when any cap would break."""

    def settle(self, reservation: str, spend: Spend) -> None:
        """Settle a reservation from what the call really used."""

    def progress(self, text: str, **numbers: float) -> None:
        """One live line: candidates tried, best so far, turn number."""

    def record(self, kind: str, payload: Mapping[str, Any]) -> None:
        """Journal an agent event (a turn, a sleep, a tool call); payload must be JSON."""

    def replay(self, request_hash: str) -> Mapping[str, Any] | None:
        """A completed paid call with this request hash from an earlier, interrupted run, or None."""

    def cancelled(self) -> bool:
        """True once the run is stopping: return what there is."""

    def sandboxed(self, argv: Sequence[str], **popen: Any) -> Any:
        """Start `argv` in the attempt's sandbox, cwd the workspace; returns a `subprocess.Popen`."""

    def secret(self, name: str) -> str | None:
        """A credential handed over by the controller; never in the environment."""


class Agent(Protocol):
    """One attempt in, one report out. Raise nothing for an ordinary failure: report it."""

    name: str
    paid: bool

    def fingerprint(self, config: Mapping[str, Any]) -> str:
        """Versions of program, model and tools: part of the attempt's content key."""

    def attempt(self, brief: Brief, bench: Bench) -> AgentReport: ...


class OverBudget(Exception):
    """A reservation that would break a cap; the message names the cap.

    `temporary` says that only calls in flight stand in the way: it may fit once they are settled.
    """

    temporary = False
