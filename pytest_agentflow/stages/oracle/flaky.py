"""Do targets that were flaky pass as often as their failure rate asks, and under the inputs that made them fail?"""

from __future__ import annotations

from typing import Any

from pytest_agentflow.adapters.forkserver import ForkServer
from pytest_agentflow.core.conditions import Conditions
from pytest_agentflow.core.executions import Execution, Job
from pytest_agentflow.core.flaky import FlakyRecord
from pytest_agentflow.core.flaky_stats import runs_to_believe
from pytest_agentflow.stages.oracle.room import Room

AGAIN = 2  # runs under the inputs that made it fail


def measure(room: Room) -> dict[str, Any]:
    """Per flaky target: its rate, passes and failures of plain runs on the patched tree, and of the runs that used to fail."""
    wanted = set(room.attempt.targets) | set(room.attempt.hidden_judge)
    return {r.nodeid: _measured(room, r) for r in room.ctx.flaky if r.nodeid in wanted}


def _measured(room: Room, record: FlakyRecord) -> dict[str, Any]:
    needed = runs_to_believe(record.failures, record.runs)
    order = tuple(t for t in record.failing.order if t in room.ctx.baseline) or (record.nodeid,)
    files = tuple(dict.fromkeys(t.partition("::")[0] for t in order))
    each = 10.0 + 20 * room.expected_seconds([record.nodeid])
    whole = room.limit(order)
    seen = record.failing.conditions
    plain = [Job((record.nodeid,), Conditions(seed=n), timeout=whole, each=each) for n in range(needed)]
    seeds = (seen.seed,) * len(order) if seen.seed is not None else ()
    streams = (seen.entropy,) * len(order) if seen.entropy is not None else ()
    again = [Job(order, seen, seeds, streams, timeout=whole, each=each)] * AGAIN
    with (
        room.lease(room.patched) as (workspace, scratch, spec),
        ForkServer.start(spec, workspace, scratch, paths=files, hash_seed=seen.hash_seed) as server,
    ):
        if not set(order) <= set(server.collected):
            return {"rate": [record.failures, record.runs], "passed": 0, "red": 0, "again": []}
        outcomes = [_last(e) for e in server.execute([*again, *plain])]
    passed = sum(o == "passed" for o in outcomes[AGAIN:])
    return {
        "rate": [record.failures, record.runs],
        "passed": passed,
        "red": len(outcomes) - AGAIN - passed,
        "again": outcomes[:AGAIN],
    }


def _last(execution: Execution) -> str:
    """The test's own outcome; without one, the reason."""
    last = execution.last()
    complete = execution.complete and last is not None
    return str(last.outcome) if complete and last else execution.problem or "lost"
