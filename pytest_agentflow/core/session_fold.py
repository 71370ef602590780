"""What can be believed of a child session, given its messages and how its process ended?"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from pytest_agentflow.core.model import Failure, Frame, Outcome, SessionRecord, TestResult
from pytest_agentflow.core.outcomes import outcome_of

Message = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Ending:
    """How the process ended, as the harness saw it from outside. `duration` is wall-clock seconds."""

    exit_code: int | None
    timed_out: bool
    broken: str | None  # why the channel cannot be trusted
    duration: float
    output: str


@dataclass(slots=True)
class _Test:
    phases: list[tuple[str, str, bool]] = field(default_factory=list)
    failure: Failure | None = None
    seconds: float = 0.0
    started: bool = False

    def result(self, nodeid: str, ending: Ending, finished: bool) -> TestResult:
        outcome = outcome_of(self.phases)
        torn_down = any(when == "teardown" for when, _, _ in self.phases)
        if outcome is Outcome.MISSING and self.started and not torn_down and not finished:
            outcome = Outcome.TIMEOUT if ending.timed_out else Outcome.CRASHED
        if any(when == "???" for when, _, _ in self.phases):  # how xdist reports that a worker died
            outcome = Outcome.CRASHED
        phases = tuple((when, told) for when, told, _ in self.phases)
        return TestResult(nodeid, outcome, self.seconds, phases, self.failure)


def failure_from(data: Mapping[str, Any]) -> Failure:
    """A `Failure` from its JSON form."""
    frames = tuple(Frame(path, line, name) for path, line, name in data.get("frames", ()))
    return Failure(data["phase"], data["kind"], data.get("message", ""), frames, data.get("text", ""))


def fold(messages: Sequence[Message], ending: Ending) -> SessionRecord:
    """One record from everything that was said. `problem` is set on any disagreement: fail closed."""
    by_kind: dict[str, list[Message]] = {}
    for message in messages:
        by_kind.setdefault(message["e"], []).append(message)
    finish = by_kind.get("finish", [{}])[-1]
    status = finish.get("status")
    collected = _unique(i for m in by_kind.get("collected", ()) for i in m["ids"])
    tests = _tests(by_kind)
    nothing = _Test()
    extra: dict[str, list[object]] = {}
    for message in by_kind.get("extra", ()):
        extra.setdefault(message["name"], []).append(message["payload"])
    renamed: dict[str, str] = {}
    for told in extra.pop("renamed", ()):
        renamed.update(told)  # type: ignore[call-overload]
    errors = by_kind.get("collect_error", ())
    return SessionRecord(
        collected=collected,
        results={i: tests.get(i, nothing).result(i, ending, status is not None) for i in collected},
        exit_code=ending.exit_code,
        finish_status=status,
        collect_errors=tuple(failure_from(m["failure"]) for m in errors),
        collect_error_ids=tuple(m["id"] for m in errors),
        foreign_files=_unique(f for m in by_kind.get("foreign", ()) for f in m["files"]),
        duration=ending.duration,
        cpu=finish.get("cpu", 0.0),
        problem=problem_of(ending, status, lost_worker="worker_lost" in by_kind),
        output_tail=ending.output,
        renamed=renamed,
        extra=extra,
    )


def _unique(values: Iterable[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(values))


def _tests(by_kind: Mapping[str, Sequence[Message]]) -> dict[str, _Test]:
    tests: dict[str, _Test] = {}
    for message in by_kind.get("start", ()):
        tests.setdefault(message["id"], _Test()).started = True
    for message in by_kind.get("report", ()):
        test = tests.setdefault(message["id"], _Test())
        test.phases.append((message["when"], message["outcome"], message["xfail"]))
        test.seconds += message["duration"]
        if test.failure is None and message["failure"] is not None:
            test.failure = failure_from(message["failure"])
    return tests


def with_collectors(record: SessionRecord, ids: Iterable[str]) -> SessionRecord:
    """Give every selected id that names a module a result of its own, in place of its tests' results.

    A module that could not be collected before passes when it collects now and at least one of its tests passes.
    """
    modules = [i for i in ids if "::" not in i]
    if not modules:
        return record
    results = dict(record.results)
    for module in modules:
        inside = [i for i in results if i.startswith(module + "::")]
        outcomes = [results.pop(i).outcome for i in inside]
        broken = dict(zip(record.collect_error_ids, record.collect_errors, strict=True)).get(module)
        outcome = Outcome.MISSING
        if broken:
            outcome = Outcome.ERROR
        elif outcomes:
            outcome = Outcome.PASSED if Outcome.PASSED in outcomes else Outcome.FAILED
        results[module] = TestResult(module, outcome, failure=broken)
    return replace(record, results=results, collected=tuple(results))


def problem_of(ending: Ending, status: int | None, *, lost_worker: bool = False) -> str | None:
    """The named reason why a session cannot be trusted, or None."""
    if ending.timed_out:
        return "timeout"
    if ending.broken:
        return f"channel broken: {ending.broken}"
    if status is None:
        return "usage error" if ending.exit_code == 4 else f"no finish event (exit code {ending.exit_code})"
    if (
        status == 4 and ending.exit_code == 4
    ):  # one that pytest meets after the session began: `-k` is read that late
        return "usage error"
    if status != ending.exit_code:
        return f"exit code disagrees: the session finished with {status}, the process with {ending.exit_code}"
    if lost_worker:
        return "a worker was lost"
    return "internal error" if status == 3 else None
