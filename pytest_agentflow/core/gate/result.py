"""What did the gate decide, why, and about which tests? One record that every output is rendered from."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import IntEnum, StrEnum
from fractions import Fraction


class Status(StrEnum):
    """How one test stands against the baseline, the quarantine and the policy."""

    PASSED = "passed"
    FIXED = "fixed"  # a known failure that passes now
    UNEXPECTED_PASS = "unexpected pass"
    MOVED = "moved"
    FAILED = "failed"  # without a baseline
    NEW_FAILURE = "new failure"
    NEW_TEST_FAILED = "new test fails"
    CHANGED_FAILURE = "changed failure"
    KNOWN_FAILURE = "known failure"
    FLAKY = "flaky"
    FLAKY_NEW = "new or changed test is flaky"
    QUARANTINED = "quarantined"
    EXPIRED = "quarantine expired"
    BROKEN = "broken, not flaky"
    SKIPPED = "skipped"  # as expected
    COUNTED_SKIP = "skipped, not expected"  # without a baseline
    NEW_SKIP = "newly skipped"
    XFAILED = "expected failure"
    WEAKENED = "weakened"
    MISSING = "missing"
    ACCEPTED = "removal accepted"
    LOST = "collected, not reported"
    NOT_RUN = "not run"  # the evidence is incomplete, so nothing is said about it
    COLLECTION = "collection error"
    SUITE = "error outside any test"


# What is listed first: new and worst before known and mild.
ORDER = tuple(
    Status(s)
    for s in (
        Status.COLLECTION, Status.SUITE, Status.NEW_TEST_FAILED, Status.NEW_FAILURE, Status.CHANGED_FAILURE,
        Status.FLAKY_NEW, Status.WEAKENED, Status.MISSING, Status.LOST, Status.NEW_SKIP, Status.BROKEN,
        Status.EXPIRED, Status.FAILED, Status.FLAKY, Status.COUNTED_SKIP, Status.KNOWN_FAILURE,
        Status.QUARANTINED, Status.FIXED, Status.UNEXPECTED_PASS, Status.MOVED, Status.ACCEPTED, Status.NOT_RUN,
        Status.SKIPPED, Status.XFAILED, Status.PASSED,
    )
)  # fmt: skip
RANK = {status: n for n, status in enumerate(ORDER)}

GOOD = frozenset({Status.PASSED, Status.FIXED, Status.UNEXPECTED_PASS})
QUIET = frozenset({Status.PASSED, Status.SKIPPED, Status.XFAILED, Status.NOT_RUN})


class Worth(IntEnum):
    """What one test adds to the rate. Ordered: against any threshold a higher worth is never the weaker one."""

    NOTHING = 0  # expected, and did not pass
    OUTSIDE = 1  # not counted
    EXCUSED = 2  # expected, did not pass, and counts for the threshold all the same
    PASSED = 3


_OUTSIDE = (Status.SKIPPED, Status.XFAILED, Status.MOVED, Status.ACCEPTED, Status.SUITE, Status.COLLECTION)
_WORTH = dict.fromkeys(GOOD, Worth.PASSED) | dict.fromkeys(_OUTSIDE, Worth.OUTSIDE)


def worth_of(status: Status, *, excused: bool = False) -> Worth:
    return Worth.EXCUSED if excused else _WORTH.get(status, Worth.NOTHING)


@dataclass(frozen=True, slots=True)
class TestLine:
    """One test worth a line; `detail` says why or what."""

    identity: str
    status: Status  # the worst
    message: str = ""
    detail: str = ""
    worth: Worth = Worth.NOTHING
    also: tuple[Status, ...] = ()  # what its other attempts amount to: rules look at them too
    attempts: int = 1
    cause: str = ""
    file: str = ""
    line: int = 0
    known: bool = True  # in the baseline

    __test__ = False

    @property
    def excused(self) -> bool:
        return self.worth is Worth.EXCUSED


class Level(StrEnum):
    BLOCK = "block"
    UNJUDGED = "cannot judge"
    CONFIG = "configuration"
    NOTE = "note"


@dataclass(frozen=True, slots=True)
class Reason:
    """One line of why. `rule` is its stable name, for machines."""

    level: Level
    rule: str
    text: str
    tests: tuple[str, ...] = ()
    cell: str = ""


@dataclass(frozen=True, slots=True)
class CellResult:
    """One cell of a matrix (or the whole, under the name "")."""

    cell: str
    passed: int
    excused: int
    expected: int
    complete: bool  # False: the evidence has gaps, so there is no rate
    lines: tuple[TestLine, ...]  # without the quiet ones, worst first
    counts: Mapping[str, int] = field(default_factory=dict)
    baseline: bool = False
    infrastructure: str = ""  # the one failure that explains most of them
    reports: tuple[str, ...] = ()
    quiet: tuple[TestLine, ...] = ()  # passed, skipped as expected, not run; by name

    @property
    def rate(self) -> Fraction | None:
        """Passed in every attempt, over all expected tests."""
        return Fraction(self.passed, self.expected) if self.complete and self.expected else None

    @property
    def judged(self) -> Fraction | None:
        """The rate that the threshold is held against: excused tests count."""
        return (
            Fraction(self.passed + self.excused, self.expected) if self.complete and self.expected else None
        )


EXIT = {Level.BLOCK: 1, Level.UNJUDGED: 2, Level.CONFIG: 3}
WORDS = {0: "pass", 1: "blocked", 2: "cannot judge", 3: "bad configuration"}


@dataclass(frozen=True, slots=True)
class GateResult:
    """The verdict. A proof of a block wins over gaps in the evidence; gaps are never green."""

    threshold: Fraction
    places: int
    cells: tuple[CellResult, ...]
    reasons: tuple[Reason, ...]

    @property
    def exit_code(self) -> int:
        levels = {reason.level for reason in self.reasons}
        for level in (Level.CONFIG, Level.BLOCK, Level.UNJUDGED):
            if level in levels:
                return EXIT[level]
        return 0

    @property
    def verdict(self) -> str:
        return WORDS[self.exit_code]

    def at(self, level: Level) -> tuple[Reason, ...]:
        return tuple(r for r in self.reasons if r.level is level)
