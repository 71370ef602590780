"""report: where do the accepted patches go, what is the exit code, and what does the user read?"""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from pytest_agentflow.adapters import delivery, snapshot
from pytest_agentflow.adapters.patches import save
from pytest_agentflow.core.events import DELIVERING, REPORTED
from pytest_agentflow.core.integration import Car
from pytest_agentflow.core.model import Observation
from pytest_agentflow.core.plan import StopReason, pass_rate
from pytest_agentflow.report import files, terminal, writing
from pytest_agentflow.stages.run import Run

EXIT = {
    StopReason.NOTHING_TO_FIX: 0,
    StopReason.CONVERGED: 0,
    StopReason.RATE_REACHED: 0,
    StopReason.PLAN_ONLY: 0,
    StopReason.INTERRUPTED: 2,
    StopReason.NOTHING_COLLECTED: 5,
}


def report(run: Run, before: Observation, after: Observation, cars: Sequence[Car], stop: StopReason) -> int:
    """Deliver what was accepted, write every rendering, and return the exit code."""
    delivered = _deliver(run, cars) if cars else {"how": "nothing", "branch": "", "files": [], "reason": ""}
    code = EXIT.get(stop, 1)
    if delivered.get("reason") and code == 0:
        code = 1  # fixed, and not in the tree: the user must act
    veto = run.plugins.hook.pytest_agentflow_gate(
        results=after.results, passed=pass_rate(after)[0], expected=pass_rate(after)[1]
    )
    if veto and code == 0:
        code, delivered = 1, {**delivered, "reason": f"held by a plugin: {veto}"}
    run.journal.append(
        REPORTED,
        {
            "exit_code": code,
            "stop_reason": str(stop),
            "before": list(pass_rate(before)),
            "after": list(pass_rate(after)),
            "delivered": delivered,
        },
    )
    write(run, after)
    return code


def write(run: Run, final: Observation | None) -> None:
    """Transcript and JUnit files into the run directory, and the summary of the CI job where there is one."""
    page = os.environ.get("GITHUB_STEP_SUMMARY")
    written = writing.write(
        run.directory,
        files.load(run.directory),
        final.collected if final else (),
        final.results if final else None,
        Path(page) if page else None,
    )
    for problem in written.problems:
        run.progress("note", {"text": problem})


def show(run: Run, *, colour: bool, verbosity: int) -> None:
    """The terminal's summary."""
    made = files.load(run.directory)
    transcript = run.directory / "transcript.html"
    width = shutil.get_terminal_size((100, 24)).columns
    paper = terminal.Paper(width, colour, verbosity)
    sys.stdout.write(
        terminal.summary(made, paper, transcript=files.from_here(transcript) if transcript.exists() else "")
        + "\n"
    )
    sys.stdout.flush()


def _deliver(run: Run, cars: Sequence[Car]) -> Mapping[str, Any]:
    """Branch first, then the tree, all or nothing; what cannot be applied stays as branch and patch files."""
    where = run.settings.agent_apply
    patches = run.directory / "patches"
    patches.mkdir(exist_ok=True)
    for n, car in enumerate(cars, 1):
        save(car.accepted.result.patch, patches / f"{n:04}-{car.accepted.result.id}.patch")
    if where == "none":
        return {"how": "patch files", "branch": "", "files": [str(patches)], "reason": ""}
    final = run.snapshot(cars[-1].tree)
    branch = delivery.write_branch(run.repository, f"agentflow/{run.id}", run.base, _commits(run, cars))
    if where == "branch":
        return {"how": "branch", "branch": branch, "files": [], "reason": ""}
    record = run.directory / "delivery.json"
    run.journal.append(DELIVERING, {"record": record.name, "tree": final.tree})
    done = delivery.apply_to_tree(run.repository, run.base, final, record)
    if not done.applied:
        return {"how": "branch", "branch": branch, "files": [str(patches)], "reason": done.reason}
    return {"how": "tree", "branch": branch, "files": list(done.files), "reason": ""}


def _commits(run: Run, cars: Sequence[Car]) -> list[delivery.Commit]:
    commits = []
    for car in cars:
        result = car.accepted.result
        trailers = [("Attempt", f"{run.id}/{result.id}")]
        trailers += [("Target", t) for t in car.accepted.targets[:20]]
        trailers.append(("Verdict", str(result.verdict.kind)))
        commits.append(
            delivery.Commit(
                snapshot=snapshot.load(run.store, car.tree),
                title=car.accepted.title,
                body=result.verdict.reason,
                trailers=tuple(trailers),
            )
        )
    return commits
