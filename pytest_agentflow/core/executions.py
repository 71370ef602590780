"""What was run, under which conditions, and what came of it?"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from pytest_agentflow.core.conditions import Conditions
from pytest_agentflow.core.model import Outcome, TestResult


@dataclass(frozen=True, slots=True)
class Job:
    """One order of tests in one fresh copy of the collected session."""

    ids: tuple[str, ...]  # a test may appear twice
    conditions: Conditions = field(default_factory=Conditions)
    seeds: tuple[int, ...] = ()  # the random seed before each test; else only the one at the start
    entropies: tuple[int, ...] = ()  # the same for the operating system's entropy
    label: str = ""  # which experiment asks
    probe: bool = False  # also watch what each test leans on
    keep_files: bool = False  # do not clean the tree afterwards
    timeout: float = 300.0
    each: float = 10.0  # seconds that one test may take
    prepare: tuple[str, object] | None = (
        None  # "module:function" called with (session, payload) before the tests
    )


@dataclass(frozen=True, slots=True)
class Step:
    """One test's run inside an execution."""

    result: TestResult
    uses: tuple[str, ...] = ()
    writes: tuple[
        str, ...
    ] = ()  # paths that another session could use too, relative to the tree where inside it; `$TMPDIR/x`, `port 8080`
    made: tuple[str, ...] = ()  # paths outside the tree that the process had made by then

    shared: tuple[str, ...] = ()  # those among them that fixtures of a whole session or module wrote
    at: float | None = None  # the moved clock when it began, epoch seconds

    @property
    def nodeid(self) -> str:
        return self.result.nodeid

    @property
    def outcome(self) -> Outcome:
        return self.result.outcome


@dataclass(frozen=True, slots=True)
class Execution:
    """A job's outcome. `steps` is shorter than the job's ids when a test took the process with it."""

    job: Job
    steps: tuple[Step, ...]
    problem: str | None = None
    cpu: float = 0.0
    wall: float = 0.0

    @property
    def complete(self) -> bool:
        return len(self.steps) == len(self.job.ids) and self.problem is None

    def last(self) -> Step | None:
        return self.steps[-1] if self.steps else None

    def step(self, nodeid: str) -> Step | None:
        """The first run of `nodeid` in it."""
        return next((s for s in self.steps if s.nodeid == nodeid), None)


def by_test(executions: Iterable[Execution]) -> Iterator[tuple[Execution, int, Step]]:
    """Every test run with its execution and position."""
    for execution in executions:
        for position, step in enumerate(execution.steps):
            yield execution, position, step
