"""How are many candidates held against one failing test in one process, for screening out only?

Whoever passes is tried again in a process of its own, and so may be who fails after an exchange of code that had run during
collection: what that code left behind is old, and the outcome says so. State may leak from one candidate to the next, so the last run is the
base's again: when it does not fail as it did, nothing that was said here counts. Where the test is a plain function it is
called without the protocol of pytest around it, once that has been seen to fail in the same words.
"""

from __future__ import annotations

import pytest
from _pytest.warnings import catch_warnings_for_item

from pytest_agentflow.child.alarm import Alarm, OutOfTime, cpu_seconds
from pytest_agentflow.child.forking import Message, Voice
from pytest_agentflow.child.hotswap import LiveCode
from pytest_agentflow.child.recompile import why_not
from pytest_agentflow.child.warm_bare import Params, plain_call
from pytest_agentflow.child.warm_run import MESSAGE, Runner
from pytest_agentflow.core.model import Outcome

KEPT = 0.02  # seconds that what is said may wait, to be said together


def run_batch(item: pytest.Item, live: LiveCode, request: Message, runner: Runner, say: Voice) -> None:
    """Say each candidate's outcome as `c` (its place); the base comes last, with the place behind the last candidate."""
    limit, params = request["cpu"][""], Params(item)
    alarm = Alarm(limit, say.flush, precise=True)
    with catch_warnings_for_item(item.config, item.ihook, "runtest", item, record=True):
        bare = plain_call(item, request["expect"], alarm)
        if bare is None:
            alarm = Alarm(limit, say.flush)
        for n, files in enumerate([*request["batch"], {}]):
            try:
                planned = live.plan(files, screening=True)
                undo = planned.apply()
            except SyntaxError as error:
                say({"c": n, "invalid": str(error)})
                continue
            except Exception as error:  # noqa: BLE001 - see `why_not`
                say({"c": n, "refused": why_not(error)})
                continue
            say({"c": n, "begun": True}, KEPT)
            params.renew()
            began = cpu_seconds()
            outcome, message = bare.call(alarm) if bare else in_protocol(item, runner, alarm)
            took = cpu_seconds() - began
            undo.apply()
            told = {"outcome": outcome.value, "cpu": took, "message": message[:MESSAGE]}
            say({"c": n, **told, "stale": planned.stale}, KEPT)
    say({"done": True})


def in_protocol(item: pytest.Item, runner: Runner, alarm: Alarm) -> tuple[Outcome, str]:
    try:
        alarm.set()
        outcome, _ = runner.one(item, None)
        alarm.off()
    except OutOfTime:
        alarm.off()
        return Outcome.TIMEOUT, ""
    return (Outcome.TIMEOUT, "") if alarm.rung else (outcome, runner.phases.message)
