"""triage: which failures are real targets, and which are flaky on unchanged code and no agent's business?"""

from __future__ import annotations

import shutil
from dataclasses import dataclass

from pytest_agentflow.adapters import snapshot
from pytest_agentflow.adapters.sessions import run_session
from pytest_agentflow.core.events import TRIAGED, content_key
from pytest_agentflow.core.model import Observation, Outcome
from pytest_agentflow.stages.run import Run


@dataclass(frozen=True, slots=True)
class Triaged:
    """Failing tests, sorted: targets for agents, and flaky ones with the evidence that sets them aside."""

    targets: tuple[str, ...]
    flaky: tuple[dict[str, str], ...] = ()


def triage_round(run: Run, number: int, observation: Observation) -> Triaged:
    """Rerun the failing tests on unchanged code in fresh processes; two different verdicts on identical inputs are flaky."""
    key = content_key(
        observation.tree, list(observation.failing), run.settings.agent_triage_runs, run.bounds.fingerprint
    )
    data = run.journal.once(TRIAGED, key, lambda: {"round": number, **_measure(run, observation)})
    return Triaged(tuple(data["targets"]), tuple(data["flaky"]))


def _measure(run: Run, observation: Observation) -> dict[str, object]:
    failing = [i for i in observation.failing if "::" in i]
    seen: dict[str, list[str]] = {i: [str(observation.results[i].outcome)] for i in failing}
    workspace, scratch = run.temp / "triage", run.temp / "triage-scratch"
    try:
        snapshot.materialise(run.snapshot(observation.tree), workspace)
        for n in range(run.settings.agent_triage_runs if failing else 0):
            record = run_session(
                run.spec,
                workspace,
                ids=failing,
                scratch=scratch / str(n),
                timeout=run.seconds_left(run.settings.agent_suite_timeout),
                stall=run.settings.agent_test_timeout,
                text=False,
            )
            for i in failing:
                seen[i].append(str(record.results[i].outcome) if i in record.results else "missing")
    finally:
        shutil.rmtree(workspace, ignore_errors=True)
        shutil.rmtree(scratch, ignore_errors=True)
    flaky = [i for i in failing if Outcome.PASSED in seen[i]]
    aside = set() if run.settings.agent_flaky else set(flaky)
    return {
        "targets": [i for i in observation.failing if i not in aside],
        "flaky": [
            {"nodeid": i, "why": "passes and fails on unchanged code", "evidence": ", ".join(seen[i])}
            for i in flaky
        ],
        "set_aside": [],
    }
