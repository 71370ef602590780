"""Do these tests pass on this tree? Asked cold, while patches are put together."""

from __future__ import annotations

import shutil
from collections.abc import Sequence

from pytest_agentflow.adapters.sessions import run_session
from pytest_agentflow.core.model import Observation, Outcome
from pytest_agentflow.stages.run import Run


def green(run: Run, before: Observation, tree: str, wanted: Sequence[str]) -> bool:
    """Whether every one of them, by its id in `before`, is reported as passed.

    A module that must be collected needs the whole suite's word: no.
    """
    if any("::" not in i for i in wanted):
        return False
    scratch = run.temp / "green-scratch"
    with run.pool.lease(run.snapshot(tree), "green") as workspace:
        record = run_session(
            run.spec,
            workspace,
            ids=wanted,
            known=before.collected,
            scratch=scratch,
            timeout=run.seconds_left(run.settings.agent_suite_timeout),
            stall=run.settings.agent_test_timeout,
            text=False,
        )
    shutil.rmtree(scratch, ignore_errors=True)
    return all(i in record.results and record.results[i].outcome is Outcome.PASSED for i in wanted)
