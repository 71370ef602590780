"""What does the gate know about one report, one test in it, and one execution of that test?"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from pytest_agentflow.core.model import Outcome


@dataclass(frozen=True, slots=True)
class Execution:
    """One attempt at one test, as a report tells it. `cause` is "", "crash", "retried", "collection" or "suite"."""

    outcome: Outcome
    kind: str = ""  # exception type where the report names one
    message: str = ""  # capped
    cause: str = ""

    @property
    def bad(self) -> bool:
        return self.outcome.red


PASS = Execution(Outcome.PASSED)


@dataclass(frozen=True, slots=True)
class Case:
    """One test of one report: every execution kept apart, in the order of the report."""

    identity: str  # the same whatever the report's flavour: `classname::name` for pytest
    attempts: tuple[Execution, ...]
    time: float = 0.0  # all attempts together
    file: str = ""  # where the report says it lives, if it does
    line: int = 0
    copies: int = 1  # same-named tests in a report whose producer allows them

    @property
    def message(self) -> str:
        """The message of the worst attempt."""
        return next((a.message for a in self.attempts if a.bad), self.attempts[0].message)


class ProblemKind(StrEnum):
    """Why a report, or a set of them, cannot be judged."""

    ABSENT = "absent"
    UNREADABLE = "unreadable"
    TOO_LARGE = "too large"
    EMPTY = "empty"
    MALFORMED = "malformed"
    REFUSED = "refused"
    NOT_JUNIT = "not junit"
    NO_TESTS = "no tests"
    CONTRADICTION = "contradiction"
    STALE = "stale"
    SHARDS = "shards"
    EXIT_CODE = "exit code"
    STOPPED = "stopped early"
    LOST = "lost"
    UNKNOWN_TEST = "unknown test"


@dataclass(frozen=True, slots=True)
class Problem:
    """Missing or untrustworthy evidence: never green. `fatal` is False for what is only said aloud."""

    kind: ProblemKind
    text: str
    fatal: bool = True
    tests: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Report:
    """One file, read. `problems` says what about it cannot be trusted; the cases are what it did say."""

    source: str  # the path as given
    cases: tuple[Case, ...] = ()
    problems: tuple[Problem, ...] = ()
    producer: str = ""
    cell: str = ""  # matrix cell: never averaged with another
    shard: str = ""
    attempt: int = 1  # of the shard or the whole run
    timestamp: str = ""  # as written
    started: float | None = None  # the same as seconds since the epoch
    modified: float | None = None  # the file's own time
    commit: str = ""
    digest: str = ""
    properties: Mapping[str, str] = field(default_factory=dict)
    surplus: Problem | None = None  # counted tests without a case: lost, unless the tests' source explains it
