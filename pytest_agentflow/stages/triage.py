"""triage: which failing tests still fail when they run again, on unchanged code, in fresh processes?"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

from pytest_agentflow.adapters import history, snapshot
from pytest_agentflow.adapters.sessions import run_session
from pytest_agentflow.core import codec
from pytest_agentflow.core.alike import outside_alike
from pytest_agentflow.core.events import TRIAGED, content_key
from pytest_agentflow.core.flaky import FlakyRecord, TriageResult
from pytest_agentflow.core.model import Observation, SessionRecord
from pytest_agentflow.core.rerun_triage import Rerun, decide, undecided
from pytest_agentflow.core.triage_budget import Budget
from pytest_agentflow.stages import flaky_targets
from pytest_agentflow.stages.build import BUILD
from pytest_agentflow.stages.flaky_triage import run_triage
from pytest_agentflow.stages.run import Run

RunFresh = Callable[
    [Sequence[str], int], SessionRecord
]  # (ids in order, hash seed) -> a fresh process's record
LEAST_EXAMINING, MOST_EXAMINING = 60.0, 300.0  # seconds for the causes of flaky targets
MOSTLY_RED = 0.8  # above this share of failures a run says nothing about single tests


def triage_round(run: Run, number: int, observation: Observation) -> TriageResult:
    """The round's targets. Flaky and order-dependent failures are set aside, with both verdicts, in the journal.

    Tests outside of the selection that fail in the same place are targets too.
    """
    failing = (*(i for i in observation.failing if i != BUILD), *outside_alike(observation))
    builds = tuple(
        i for i in observation.failing if i == BUILD
    )  # no test: it is run again with every verdict
    key = content_key(observation.tree, failing, run.bounds.fingerprint, "triage")

    def compute() -> dict[str, object]:
        workspace = run.temp / f"triage-{number}"
        try:
            snapshot.materialise(run.snapshot(observation.tree), workspace)
            fresh = _fresh(run, workspace, observation.tree, observation.collected)
            result = triage(failing, observation, fresh, run.settings.agent_triage_runs)
            result = _examined(run, workspace, result, observation.duration)
        finally:
            shutil.rmtree(workspace, ignore_errors=True)
            shutil.rmtree(run.temp / f"triage-{number}-scratch", ignore_errors=True)
        return {"round": number, **_told(result), "result": codec.encode(result)}

    data = run.journal.once(TRIAGED, key, compute)
    result = codec.decode(TriageResult, data["result"])
    result = replace(result, targets=(*builds, *result.targets))
    return _opted_in(run, result)


def triage(
    failing: Sequence[str], observation: Observation, run_fresh: RunFresh, runs: int = 2
) -> TriageResult:
    """Run the failing tests again until each is a target or has two verdicts to show.

    `run_fresh` runs node ids, in the given order and under the given hash seed, in a fresh process on unchanged code.
    """
    if not failing:
        return TriageResult((), ())
    suite = tuple(t for t in observation.collected if t in observation.results)
    first = Rerun(suite, {t: r.outcome for t, r in observation.results.items()}, suite=True)
    notes = []
    if len(failing) > MOSTLY_RED * len(suite) and len(suite) > 5:
        notes.append("more than 80 % of the tests fail: taken as one cause, not as flaky")
    again = [_rerun(failing, run_fresh, seed) for seed in range(max(1, runs))]
    candidates = undecided(failing, again)
    if candidates:
        again += [_rerun((t,), run_fresh, 0) for t in candidates[:10]]
        again += [_rerun(suite, run_fresh, 0), _rerun(failing, run_fresh, 0)]
    sorted_ = decide(failing, [first, *again])
    return TriageResult(sorted_.targets, sorted_.flaky, tuple(notes))


def _examined(run: Run, workspace: Path, result: TriageResult, suite_seconds: float) -> TriageResult:
    """With --agent-flaky: cause, rate and reproducer by the experiments of `--flaky-triage`, within a bounded time."""
    if not (run.settings.agent_flaky and result.flaky):
        return result
    seconds = run.seconds_left(min(MOST_EXAMINING, max(LEAST_EXAMINING, 40 * suite_seconds)))
    out = workspace.with_name(workspace.name + "-scratch") / "flaky"
    report = run_triage(run.spec, workspace, [], Budget(seconds=seconds), out, lambda _: None)
    found = {r.nodeid: r for r in report.records}
    return replace(result, flaky=tuple(found.get(r.nodeid, r) for r in result.flaky))


def _rerun(ids: Sequence[str], run_fresh: RunFresh, hash_seed: int) -> Rerun:
    record = run_fresh(ids, hash_seed)
    return Rerun(tuple(ids), {t: r.outcome for t, r in record.results.items()}, hash_seed)


def _fresh(run: Run, workspace: Path, tree: str, known: Sequence[str]) -> RunFresh:
    scratch = workspace.with_name(workspace.name + "-scratch")

    def run_fresh(ids: Sequence[str], hash_seed: int) -> SessionRecord:
        record = run_session(
            run.spec,
            workspace,
            ids=ids,
            known=known,
            scratch=scratch,
            timeout=run.seconds_left(run.settings.agent_suite_timeout),
            stall=run.settings.agent_test_timeout,
            hash_seed=hash_seed,
            text=False,
            ordered=True,
        )
        history.append(run.directory.parent.parent, tree, record.results, f"triage of {run.id}")
        return record

    return run_fresh


def _told(result: TriageResult) -> dict[str, object]:
    """What people and the transcript read."""
    return {
        "targets": list(result.targets),
        "flaky": [
            {"nodeid": r.nodeid, "why": f"{r.category}: {r.why}", "evidence": evidence(r)}
            for r in result.flaky
        ],
        "notes": list(result.notes),
    }


def evidence(record: FlakyRecord) -> str:
    """Both verdicts in one line."""
    good, bad = record.passing, record.failing
    return (
        f"{record.failures} of {record.runs} runs failed; passed with {_setting(good.order, good.conditions.hash_seed)}, "
        f"failed with {_setting(bad.order, bad.conditions.hash_seed)}"
    )


def _setting(order: Sequence[str], hash_seed: int) -> str:
    before = f"{len(order) - 1} tests before it" if len(order) > 1 else "nothing before it"
    return f"{before}, PYTHONHASHSEED={hash_seed}"


def _opted_in(run: Run, result: TriageResult) -> TriageResult:
    """With --agent-flaky, flaky failures are targets too, unless a plugin keeps agents away from them."""
    extra = []
    for record in result.flaky:
        said = run.plugins.hook.pytest_agentflow_quarantined(nodeid=record.nodeid, evidence=evidence(record))
        if said is False or (said is None and run.settings.agent_flaky):
            extra.append(record.nodeid)
    if not extra:
        return result
    flaky_targets.save(run.directory, [r for r in result.flaky if r.nodeid in extra])
    return TriageResult(result.targets + tuple(extra), result.flaky, result.notes)
