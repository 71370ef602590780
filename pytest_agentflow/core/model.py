"""Which records flow through the eight stages.

Node ids and paths are relative to the git top level, POSIX style; lines are 1-based and inclusive; times are seconds.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum


class Outcome(StrEnum):
    """One verdict per test: the worst of its phases."""

    PASSED = "passed"
    FAILED = "failed"  # the call phase failed
    ERROR = "error"  # setup or teardown failed
    SKIPPED = "skipped"
    XFAILED = "xfailed"
    XPASSED = "xpassed"
    CRASHED = "crashed"  # the process died while it ran
    TIMEOUT = "timeout"  # the harness ended it
    MISSING = "missing"  # collected, never reported

    @property
    def red(self) -> bool:
        """True for an outcome that can be a target."""
        return self in (Outcome.FAILED, Outcome.ERROR, Outcome.CRASHED, Outcome.TIMEOUT)


@dataclass(frozen=True, slots=True)
class Frame:
    """One traceback entry. `path` is relative to the top level for project files, absolute otherwise."""

    path: str
    line: int
    function: str


@dataclass(frozen=True, slots=True)
class Failure:
    """Why a test failed: the exception, where it went, and a short text for people and models."""

    phase: str  # "setup", "call", "teardown" or "collect"
    kind: str  # exception type name, e.g. "AssertionError"
    message: str
    frames: tuple[Frame, ...] = ()  # outermost first
    text: str = ""  # short traceback, capped


@dataclass(frozen=True, slots=True)
class TestResult:
    """What one test did in one session."""

    nodeid: str
    outcome: Outcome
    duration: float = 0.0
    phases: tuple[tuple[str, str], ...] = ()  # ("setup", "passed"), ("call", "failed"), …
    failure: Failure | None = None

    __test__ = False  # the name is the field's; pytest must not collect it


@dataclass(frozen=True, slots=True)
class SessionRecord:
    """Everything the private channel and the process itself said about one child session.

    Collected and results are kept apart on purpose: a collected test without a result is evidence.
    `problem` is None or a named reason why the session cannot be trusted:
    "timeout", "no finish event", "exit code disagrees", "channel broken", "usage error", "internal error".
    """

    collected: tuple[str, ...]
    results: Mapping[str, TestResult]
    exit_code: int | None
    finish_status: int | None
    collect_errors: tuple[Failure, ...] = ()
    collect_error_ids: tuple[
        str, ...
    ] = ()  # node ids of the collectors that failed, parallel to collect_errors
    foreign_files: tuple[str, ...] = ()  # project modules imported from outside the workspace
    duration: float = 0.0
    cpu: float = 0.0
    problem: str | None = None
    output_tail: str = ""
    renamed: Mapping[str, str] = field(default_factory=dict)  # id of a test now -> id that it is known by
    extra: Mapping[str, object] = field(default_factory=dict)  # payloads of further child plugins, by name


@dataclass(frozen=True, slots=True)
class SourceUnit:
    """A function, method or `<module>` top-level code."""

    path: str
    qualname: str
    first_line: int
    last_line: int

    @property
    def key(self) -> str:
        return f"{self.path}::{self.qualname}"


@dataclass(frozen=True, slots=True)
class Suspect:
    """A source unit with its suspiciousness in 0..1 and the reason in words; `lines` most suspect first."""

    unit: SourceUnit
    score: float
    lines: tuple[int, ...] = ()
    why: str = ""


@dataclass(frozen=True, slots=True)
class LineScore:
    path: str
    line: int
    score: float


@dataclass(frozen=True, slots=True)
class Cluster:
    """Failing tests that share a cause: one work unit."""

    id: str
    targets: tuple[str, ...]
    suspects: tuple[Suspect, ...]
    ranked_lines: tuple[LineScore, ...] = ()
    asked: tuple[str, ...] = ()  # targets on which edits were tried, so that they cannot be held out any more
    # Edits of one statement, none of which broke a passing test that was asked, turned all of `asked` green.
    one_statement: bool = False


@dataclass(frozen=True, slots=True)
class Observation:
    """The suite as measured on one tree: who failed, who passed, and which lines each test reached."""

    tree: str  # git tree id of the snapshot
    selected: tuple[str, ...]  # node ids of the user's selection
    collected: tuple[str, ...]  # node ids of the default suite (a superset where that makes sense)
    results: Mapping[str, TestResult]
    duration: float = 0.0
    coverage: str = ""  # path of the coverage map, relative to the run directory
    unit_hits: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    @property
    def failing(self) -> tuple[str, ...]:
        return tuple(n for n in self.selected if n in self.results and self.results[n].outcome.red)

    @property
    def others_failing(self) -> tuple[str, ...]:
        """Failing tests that the user did not select. Only those that fail where a selected one does are targets: `core/alike.py`."""
        chosen = set(self.selected)
        return tuple(
            n for n in self.collected if n not in chosen and n in self.results and self.results[n].outcome.red
        )

    @property
    def passing(self) -> tuple[str, ...]:
        return tuple(
            n for n in self.collected if n in self.results and self.results[n].outcome is Outcome.PASSED
        )


@dataclass(frozen=True, slots=True)
class Attempt:
    """One agent's try at one cluster. The id, such as `r1-a2`, is its directory, commit trailer and field in every event."""

    id: str
    round: int
    cluster: str
    agent: str
    retry: int  # 0 for the first attempt on this cluster
    seed: int
    base: str  # tree id
    visible: tuple[str, ...]  # targets the agent sees
    hidden_choose: tuple[str, ...]  # tests held out from the agent, used to choose among candidates
    hidden_judge: tuple[str, ...]  # tests held out from agent and choice, used once to judge
    guards: tuple[str, ...]  # tests that passed and must go on passing
    suspects: tuple[Suspect, ...] = ()
    ranked_lines: tuple[LineScore, ...] = ()
    history: tuple[str, ...] = ()  # what earlier attempts tried and why they were refused, in words
    timeout: float = 900.0
    key: str = ""  # content key: nothing with this key is run or paid twice

    @property
    def targets(self) -> tuple[str, ...]:
        """Every failing test this attempt must flip, shown or not."""
        return self.visible + tuple(t for t in self.hidden_choose + self.hidden_judge if t not in self.guards)


class FindingStatus(StrEnum):
    OK = "ok"
    FAILED = "failed"
    NA = "n/a"
    WEAK = "weak"
    ERROR = "error"  # the harness could not measure: never green


@dataclass(frozen=True, slots=True)
class Finding:
    """What one layer of the oracle says, with its reason in words for the user."""

    layer: str
    status: FindingStatus
    reason: str
    detail: Mapping[str, object] = field(default_factory=dict)


class VerdictKind(StrEnum):
    PLAUSIBLE = "plausible"
    WEAK = "weak"  # applied, flagged, counted as fixed
    AMBIGUOUS = "ambiguous"
    CONTRADICTION = "contradiction"
    UNFIXED = "unfixed"  # a target is still red
    REGRESSED = "regressed"  # a guard turned red
    TAMPERED = "tampered"  # scope, census, sentinels, twins or bare call refused it
    OVERFIT = "overfit"  # held-out tests refused it
    FLAKY = "flaky"
    CONFLICT = "conflict"
    NO_CHANGE = "no_change"
    NO_PATCH = "no_patch"
    OVER_BUDGET = "over_budget"
    TIMED_OUT = "timed_out"
    REFUTED = "refuted"  # a reviewer's counterexample fails on it; goes back once
    UNRESOLVED = "unresolved"  # reviewers disagree and it did not settle
    AGENT_ERROR = "agent_error"
    ERRORED = "errored"  # the harness could not judge
    LOST = "lost"  # no result came back

    @property
    def accepted(self) -> bool:
        return self in (VerdictKind.PLAUSIBLE, VerdictKind.WEAK)


@dataclass(frozen=True, slots=True)
class Verdict:
    """A pure function of evidence. `reason` is one line; `findings` are every layer's words, in order."""

    kind: VerdictKind
    reason: str
    findings: tuple[Finding, ...] = ()


@dataclass(frozen=True, slots=True)
class Spend:
    """What an attempt cost. Dollars are None when no price applies (an offline agent)."""

    seconds: float = 0.0
    cpu: float = 0.0
    input_tokens: int = 0
    output_tokens: int = 0
    cache_read_tokens: int = 0
    cache_write_tokens: int = 0
    usd: float = 0.0
    calls: int = 0

    def __add__(self, other: Spend) -> Spend:
        return Spend(*(getattr(self, f) + getattr(other, f) for f in self.__slots__))


@dataclass(frozen=True, slots=True)
class Patch:
    """The harness's own tree diff, as git's binary-safe patch text, and the paths it touches."""

    text: str
    paths: tuple[str, ...]

    def __bool__(self) -> bool:
        return bool(self.text)


@dataclass(frozen=True, slots=True)
class AttemptResult:
    """How one attempt ended. `candidates` counts the patches that were judged."""

    id: str
    verdict: Verdict
    patch: Patch
    agent: str
    spend: Spend = Spend()
    message: str = ""
    candidates: int = 0
    notes: Mapping[str, object] = field(default_factory=dict)
    behaviour: Mapping[str, str] = field(default_factory=dict)  # what each judged test did, by node id
