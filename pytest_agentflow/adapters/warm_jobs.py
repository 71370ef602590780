"""What is asked of the warm runner, and what was seen: jobs, limits, verdicts, and how a fork's words become one."""

from __future__ import annotations

import json
import signal
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from pytest_agentflow.child.forking import Message
from pytest_agentflow.child.warm_bare import HANGS as HANGS  # noqa: PLC0414 - both ends need it
from pytest_agentflow.child.warm_bare import failed_as
from pytest_agentflow.child.warm_bare import steady as steady  # noqa: PLC0414 - both ends need it
from pytest_agentflow.core.model import Failure, Outcome
from pytest_agentflow.core.session_fold import failure_from

HOT, FRESH, COLD = "hot", "fresh", "cold"
BATCH = "batch"  # many candidates in one process: good for screening out, for nothing else
OUT_OF_CPU = (signal.SIGPROF, signal.SIGVTALRM)


@dataclass(frozen=True, slots=True)
class Limits:
    """CPU seconds per test (by id, `default` for the rest), and what ends a run early."""

    default: float = 10.0
    per_test: Mapping[str, float] = field(default_factory=dict)
    wall: float = 60.0
    startup: float = 30.0  # CPU seconds a fresh import may take
    stop: bool = True  # at the first test that is not green …
    keep_going: frozenset[str] = frozenset()  # … except these
    if_green: frozenset[str] = frozenset()  # too slow to be run once one of those is red


@dataclass(frozen=True, slots=True)
class Job:
    """One candidate (whole file contents by path, empty for the base) and the tests to run on it, in order."""

    files: Mapping[str, bytes]
    ids: tuple[str, ...]
    limits: Limits = Limits()
    mode: str = HOT  # the fastest mode to try
    tag: Any = None  # the caller's own
    texts: bool = False  # tell failures as a session does, with tracebacks; costs more than the test


@dataclass(frozen=True, slots=True)
class WarmVerdict:
    """What was seen. `outcomes` holds the tests that ran; what was not reached because of `stop` is absent."""

    outcomes: Mapping[str, Outcome]
    messages: Mapping[str, str]
    mode: str
    rung: bool  # every patched place was entered in this process
    complete: bool  # it said its last word
    seconds: Mapping[str, float] = field(default_factory=dict)
    killed: str = ""  # "", "cpu", "wall", "crash", "invalid" (no Python), "lost" (in a batch: had no turn)
    cpu: float = 0.0
    wall: float = 0.0
    why: str = ""  # why not faster
    failures: Mapping[str, Failure] = field(default_factory=dict)  # where the job asked for texts
    programs: frozenset[str] = frozenset()  # tests that started a program, which found the tree on disk

    def green(self, ids: Sequence[str]) -> bool:
        return all(self.outcomes.get(i) is Outcome.PASSED for i in ids)


def lost(why: str = "") -> WarmVerdict:
    return WarmVerdict({}, {}, BATCH, rung=False, complete=False, killed="lost", why=why)


def lines(said: str) -> list[Message]:
    """What a fork said; the project's code could have written to the pipe too, and nonsense is not a message."""
    found = []
    for line in said.splitlines():
        try:
            message = json.loads(line) if line else None
        except ValueError:
            continue
        if isinstance(message, dict):
            found.append(message)
    return found


def verdict(job: Job, mode: str, why: str, message: Message, said: Sequence[Message]) -> WarmVerdict:
    """What one fork's words, and the way it ended, say about a job."""
    tests = [m for m in said if "id" in m]
    outcomes = {m["id"]: Outcome(m["outcome"]) for m in tests}
    last = next((m for m in said if "done" in m), None)
    killed = ""
    if any("invalid" in m for m in said):
        killed = "invalid"
    elif last is None:
        killed = "wall" if message["stopped"] else "cpu" if message["signal"] in OUT_OF_CPU else "crash"
        running = next((i for i in job.ids if i not in outcomes), None)
        if running is not None:
            outcomes[running] = Outcome.CRASHED if killed == "crash" else Outcome.TIMEOUT
    elif not (job.limits.stop and any(o.red for o in outcomes.values())):
        outcomes.update({i: Outcome.MISSING for i in job.ids if i not in outcomes})
    return WarmVerdict(
        outcomes,
        {m["id"]: m["message"] for m in tests if m["message"]},
        mode,
        rung=bool(last and last["rung"]),
        complete=last is not None,
        seconds={m["id"]: m["cpu"] for m in tests},
        killed=killed,
        cpu=message.get("cpu", 0.0),
        wall=message.get("wall", 0.0),
        why=why,
        failures={m["id"]: failure_from(m["failure"]) for m in tests if m.get("failure")},
        programs=frozenset(m["id"] for m in tests if m.get("program")),
    )


def batch_verdicts(
    jobs: Sequence[Job], expect: str, said: Sequence[Message], message: Message
) -> list[WarmVerdict]:
    """One verdict per job of a batch; `complete` only when the base failed as before at the end."""
    by_place: dict[int, Message] = {}
    for m in said:
        if "c" in m:
            by_place[m["c"]] = {**by_place.get(m["c"], {}), **m}
    last = by_place.get(len(jobs), {})
    clean = "outcome" not in last or failed_as(Outcome(last["outcome"]), last["message"], expect)
    share = message.get("cpu", 0.0) / max(1, len(by_place))
    died_of_cpu = not message["stopped"] and message["signal"] in OUT_OF_CPU
    return [_of_batch(job, by_place.get(n, {}), clean, share, died_of_cpu) for n, job in enumerate(jobs)]


def _of_batch(job: Job, m: Message, clean: bool, share: float, died_of_cpu: bool) -> WarmVerdict:
    test = job.ids[0]
    if "invalid" in m:
        return replace(lost(), killed="invalid")
    if m.get("outcome") == Outcome.TIMEOUT or ("begun" in m and "outcome" not in m and died_of_cpu):
        hung = {test: Outcome.TIMEOUT}
        why = m.get("stale", "")
        return WarmVerdict(hung, {}, BATCH, False, clean, killed="cpu", cpu=m.get("cpu", share), why=why)
    if "outcome" in m:
        seen = {test: Outcome(m["outcome"])}
        took = {test: m["cpu"]}
        said = {test: m["message"]}
        return WarmVerdict(seen, said, BATCH, False, clean, took, "", share, why=m.get("stale", ""))
    return replace(lost(m.get("refused", "")), cpu=share)
