"""What did a forked execution say, message by message, and what does it amount to?"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from pytest_agentflow.core.executions import Execution, Job, Step
from pytest_agentflow.core.model import Failure, Frame, Outcome, TestResult
from pytest_agentflow.core.outcomes import outcome_of


class Fold:
    """Gathers one job's messages."""

    def __init__(self, job: Job) -> None:
        self.job = job
        self.steps: list[Step] = []
        self.current: int | None = None
        self.broken: str | None = None
        self.end: dict[str, Any] | None = None

    def add(self, message: Mapping[str, Any]) -> None:
        match message["e"]:
            case "start":
                self.current = message["i"]
            case "done":
                nodeid = self.job.ids[len(self.steps)]
                self.steps.append(step_of(nodeid, message))
                self.current = None
            case "broken":
                self.broken = message["why"]
            case "end":
                self.end = dict(message)

    def finish(self, collected: Sequence[str]) -> Execution:
        steps, problem = list(self.steps), self.broken
        if self.end is None:
            return Execution(self.job, tuple(steps), "the collected session died")
        if self.current is not None and self.broken is None:
            nodeid = collected[self.current]
            outcome = Outcome.TIMEOUT if self.end["timeout"] else Outcome.CRASHED
            text = "the harness ended it" if self.end["timeout"] else f"exit status {self.end['status']}"
            failure = Failure("call", outcome.value, text)
            steps.append(Step(TestResult(nodeid, outcome, self.end["wall"], failure=failure)))
        return Execution(self.job, tuple(steps), problem, self.end["cpu"], self.end["wall"])


def step_of(nodeid: str, message: Mapping[str, Any]) -> Step:
    """One test's message as a record."""
    phases = [(when, outcome, xfail) for when, outcome, xfail, _ in message["phases"]]
    failure = None
    if raw := message.get("failure"):
        frames = tuple(Frame(*frame) for frame in raw.get("frames", ()))
        failure = Failure(raw["phase"], raw["kind"], raw["message"], frames, raw.get("text", ""))
    result = TestResult(
        nodeid,
        outcome_of(phases),
        sum(duration for *_, duration in message["phases"]),
        tuple((when, outcome) for when, outcome, _ in phases),
        failure,
    )
    return Step(
        result,
        uses=tuple(message.get("uses", ())),
        writes=tuple(message.get("writes", ())),
        made=tuple(message.get("made", ())),
        shared=tuple(message.get("shared", ())),
        at=message["at"],
    )
