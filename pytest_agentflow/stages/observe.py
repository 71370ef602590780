"""observe: which tests fail, which pass, and which lines does each one reach, on one tree?"""

from __future__ import annotations

import json
import os
import shutil
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from pytest_agentflow.adapters import coverage_map, history, snapshot
from pytest_agentflow.adapters.sessions import run_session
from pytest_agentflow.child.recorder import ENVIRONMENT as RECORDER_ENVIRONMENT
from pytest_agentflow.core.events import OBSERVED, content_key
from pytest_agentflow.core.importable import not_on_path
from pytest_agentflow.core.model import Observation, Outcome, SessionRecord, TestResult
from pytest_agentflow.core.plan import pass_rate
from pytest_agentflow.errors import AgentflowError
from pytest_agentflow.stages.build import BUILD, build
from pytest_agentflow.stages.run import Run
from pytest_agentflow.stages.unsteady import believed

MAX_RESTARTS = 20  # a suite in which more tests kill or hang the process is not observed further
RECORDER = "pytest_agentflow.child.recorder"


def observe(run: Run, number: int, tree: str) -> Observation:
    """The suite as measured on `tree` in the judge's own environment; recalled when it was measured before."""
    key = content_key(tree, run.bounds.fingerprint)
    if run.journal.state().recall(OBSERVED, key) and run.observation_file(tree).exists():
        return run.load_observation(tree)
    workspace = run.temp / f"observe-{number}"
    scratch = run.temp / f"observe-{number}-scratch"
    try:
        snapshot.materialise(run.snapshot(tree), workspace)
        observation = _measure(run, tree, workspace, scratch)
    finally:
        shutil.rmtree(workspace, ignore_errors=True)
        shutil.rmtree(scratch, ignore_errors=True)
    run.save_observation(observation)
    history.append(run.directory.parent.parent, tree, observation.results, f"observe of {run.id}")
    run.journal.append(OBSERVED, {**summary(observation), "round": number, "key": key})
    return observation


def summary(observation: Observation) -> dict[str, object]:
    """What the journal says of an observation."""
    counts = Counter(str(r.outcome) for r in observation.results.values())
    return {
        "tree": observation.tree,
        "collected": len(observation.collected),
        "selected": len(observation.selected),
        "counts": dict(counts),
        "pass_rate": list(pass_rate(observation)),
        "failing": list(observation.failing),
        "others_failing": list(observation.others_failing),
        "duration": round(observation.duration, 3),
        "coverage": observation.coverage,
    }


def _measure(run: Run, tree: str, workspace: Path, scratch: Path) -> Observation:
    out = scratch / "coverage"
    built = _build(run, workspace, scratch)
    known = _known(run, tree)
    selected = _steady(run, tree, _session(run, workspace, scratch, out, known, narrowed=True))
    _believable(run, selected)
    everything = selected
    if run.selection.narrows:
        known = known or selected.collected  # the same tree: whatever changed, changes by itself
        everything = _steady(run, tree, _session(run, workspace, scratch, out, known, narrowed=False))
        _believable(run, everything)
    recorded = coverage_map.read(out, workspace)
    where = run.directory / "coverage" / f"{tree}.map"
    where.parent.mkdir(parents=True, exist_ok=True)
    where.write_bytes(recorded.to_bytes())
    return Observation(
        tree=tree,
        selected=(*built, *selected.results),
        collected=tuple(dict.fromkeys([*built, *everything.results, *selected.results])),
        results={**built, **everything.results, **selected.results},
        duration=everything.duration,
        coverage=str(where.relative_to(run.directory)),
    )


def _known(run: Run, tree: str) -> tuple[str, ...]:
    """The ids that tests have had in this run from its beginning."""
    seen = tree != run.base.tree and run.observation_file(run.base.tree).exists()
    return run.load_observation(run.base.tree).collected if seen else ()


def _steady(run: Run, tree: str, record: SessionRecord) -> SessionRecord:
    """On a tree with patches, only the tree without them can say that ids change by themselves."""

    def on_base(ids: Sequence[str], hash_seed: int) -> SessionRecord:
        limit = run.seconds_left(run.settings.agent_suite_timeout)
        scratch = run.temp / "unsteady-scratch"
        with run.pool.lease(run.base, "unsteady") as workspace:
            found = run_session(
                run.spec, workspace, ids=ids, scratch=scratch, timeout=limit, hash_seed=hash_seed
            )
        shutil.rmtree(scratch, ignore_errors=True)
        return found

    return record if tree == run.base.tree else believed(record, run.base.tree, 0, on_base)


def _build(run: Run, workspace: Path, scratch: Path) -> dict[str, TestResult]:
    """The build as one more test, in front of all others."""
    command = run.settings.agent_build
    if not command:
        return {}
    return {BUILD: build(run.spec, workspace, scratch / "build", command, run.settings.agent_suite_timeout)}


def _session(
    run: Run, workspace: Path, scratch: Path, out: Path, known: Sequence[str], *, narrowed: bool
) -> SessionRecord:
    """One observed session; a test that kills or hangs the process is noted and the rest goes on without it."""
    chosen = run.selection if narrowed else replace(run.selection, options=(), paths=())
    # Test directories are recorded too: helpers that live there can be where a failure comes from.
    recorder = {"roots": ["."], "omit": [], "level": "lines", "processes": "auto", "out": str(out)}

    def once(ids: Sequence[str] | None, known: Sequence[str]) -> SessionRecord:
        return run_session(
            run.spec,
            workspace,
            ids=ids,
            known=known,
            paths=[_inside(p, run, workspace) for p in chosen.paths] if ids is None else (),
            scratch=scratch,
            timeout=run.seconds_left(run.settings.agent_suite_timeout),
            stall=run.settings.agent_test_timeout,
            extra_args=("-p", RECORDER, *chosen.options, *chosen.xdist),
            extra_env={RECORDER_ENVIRONMENT: json.dumps({**recorder, "top": os.path.realpath(workspace)})},
            cwd=chosen.cwd if ids is None else ".",
            writable=(out.parent,),
        )

    record = with_collect_errors(once(None, known))
    results, renamed = dict(record.results), dict(record.renamed)
    for _ in range(MAX_RESTARTS):
        left = [i for i, r in results.items() if r.outcome is Outcome.MISSING]
        if not left or not record.results or record.problem is None:
            break
        record = once(left, known or tuple(results))
        renamed.update(record.renamed)
        progress = {i: r for i, r in record.results.items() if r.outcome is not Outcome.MISSING}
        if not progress:
            break
        results.update(progress)
    return replace(record, results=results, collected=tuple(results), renamed=renamed)


def _inside(path: str, run: Run, workspace: Path) -> str:
    top = str(run.repository.top)
    return str(workspace) + path[len(top) :] if path.startswith(top + "/") else path


def with_collect_errors(record: SessionRecord) -> SessionRecord:
    """A module that cannot be collected counts as one failing test, named by its collector's id."""
    broken = {
        nodeid: TestResult(nodeid, Outcome.ERROR, failure=failure)
        for nodeid, failure in zip(record.collect_error_ids, record.collect_errors, strict=True)
    }
    return replace(record, results={**record.results, **broken})


def _believable(run: Run, record: SessionRecord) -> None:
    """Raise AgentflowError where no observation can be made of a session."""
    if record.foreign_files:
        shown = ", ".join(record.foreign_files[:3])
        raise AgentflowError(
            f"The tests import project code from the original tree instead of the workspace: {shown}.",
            "Make the import path come from the project (src layout, `pythonpath` in the ini), not from an absolute path.",
        )
    silent = all(r.outcome is Outcome.MISSING for r in record.results.values())
    if record.problem == "usage error" or (record.problem and silent):
        tail = "\n".join(record.output_tail.strip().splitlines()[-15:])
        gave = "; tests that were collected gave no result" if record.results else ""
        raise AgentflowError(
            f"The suite does not run in a workspace ({record.problem}{gave}):\n{tail}",
            "Run plain `pytest` first; if it works there, see docs/how-to/when-the-workspace-differs.md.",
            exit_code=4 if record.problem == "usage error" else 1,
        )
    if not record.results:
        raise AgentflowError(
            "No tests were collected.", "Check the selection; nothing was changed.", exit_code=5
        )
    if set(record.results) == set(record.collect_error_ids):
        found = not_on_path(record.collect_errors, run.base.files)
        if found:
            raise AgentflowError(
                f"The tests cannot import `{found[0]}`, although it is there, in `{found[1]}`.",
                f"Install the project (`pip install -e .`), or put `pythonpath = {found[1]}` into the pytest ini.",
            )
    run.progress("observed", {"tests": len(record.results)})
