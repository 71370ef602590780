"""review: does a plausible patch stand up to readers who try to refute it?

Their counterexamples are run here, cold and boxed, on the patched tree and, for the record, on base; every one is kept in
the attempt's directory, with what came of it. Nothing a reviewer says changes a tree.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path, PurePosixPath
from typing import Any

from pytest_agentflow.adapters import snapshot
from pytest_agentflow.adapters.sessions import RunSpec, run_session
from pytest_agentflow.adapters.snapshot import Snapshot
from pytest_agentflow.adapters.workspaces import Pool
from pytest_agentflow.agents.anthropic import KNOWN
from pytest_agentflow.agents.base import Bench, Brief
from pytest_agentflow.agents.reviewer import Reviewer, failed
from pytest_agentflow.core.model import Failure, Outcome, Patch, SessionRecord
from pytest_agentflow.core.review import SILENCE, Objection, Ran, admissible
from pytest_agentflow.settings import Settings
from pytest_agentflow.stages.brief import agent_config

TIMEOUT = 120.0  # seconds for one counterexample on one tree
FOLDER = "reviews"


@dataclass(frozen=True, slots=True)
class ReviewContext:
    """What a review needs. `bench(workspace, name)` lends a reviewer its bench; `reviewers` are (name, section) pairs."""

    spec: RunSpec
    base: Snapshot
    pool: Pool
    scratch: Path
    directory: Path  # the attempt's
    bench: Callable[[Path, str], Bench]
    reviewers: Sequence[tuple[str, Mapping[str, Any]]]


def review(
    brief: Brief, patch: Patch, earlier: Sequence[Objection], context: ReviewContext
) -> tuple[Ran, ...]:
    """Ask every reviewer about the patch and run what they bring. `earlier` counterexamples of the unit are run first.

    When one of those still fails, the patch is refuted already and nobody is asked.
    """
    patched = snapshot.apply(context.base, patch)
    ran = [_run(objection, n, patched, context) for n, objection in enumerate(earlier)]
    if not any(r.refutes for r in ran):
        for name, section in context.reviewers:
            with context.pool.lease(patched, f"{brief.attempt.id}-{name}") as workspace:
                bench = context.bench(workspace, name)
                made, report = Reviewer(name, section).review(
                    replace(brief, workspace=workspace), patch, bench
                )
            ran += [_run(objection, len(ran) + n, patched, context) for n, objection in enumerate(made)]
            if failed(report):
                ran.append(Ran(Objection(name, report.message), None, None, SILENCE))
    _keep(ran, context)
    return tuple(ran)


def reviewers_of(
    count: int, section: Mapping[str, Any], review_section: Mapping[str, Any]
) -> list[tuple[str, Any]]:
    """`count` reviewers on the author's model, or on the one that `[tool.agentflow.agents.reviewer]` names.

    An author that is no model of ours (the search, a command) lends them nothing but prices.
    """
    foreign = {"argv", "instance", "plan", "rules", "factory"} & set(section)
    lent = {k: v for k, v in section.items() if k == "prices" or (not foreign and k in KNOWN)}
    return [(f"reviewer{n}", {**lent, **review_section}) for n in range(1, count + 1)]


def reviewer_config(settings: Settings, cascade: Sequence[str], plugins: Any = None) -> dict[str, Any]:
    """What a reviewer of the last agent's patches is configured with."""
    author = agent_config(settings, cascade[-1], plugins) if cascade else {}
    ((_, config),) = reviewers_of(1, author, settings.sections.get("agents", {}).get("reviewer", {}))
    return dict(config)


def _run(objection: Objection, number: int, patched: Snapshot, context: ReviewContext) -> Ran:
    if not objection.test:
        return Ran(objection, None, None, "no counterexample was given")
    reason = admissible(objection.test, _modules(context.base, context.spec))
    if reason:
        return Ran(objection, None, None, reason)
    name = f"test_agentflow_counterexample_{number + 1}.py"
    on_patched, problem = _outcome(objection.test, name, patched, context)
    on_base, _ = _outcome(objection.test, name, context.base, context)
    return Ran(objection, on_patched, on_base, problem, f"{FOLDER}/{name}")


def _outcome(source: str, name: str, tree: Snapshot, context: ReviewContext) -> tuple[Outcome, str]:
    """The worst outcome of the file's tests on one tree, and why it proves nothing, if it does not."""
    folder = PurePosixPath(context.spec.rootdir)
    path = name if folder == PurePosixPath(".") else f"{folder}/{name}"
    with_test = snapshot.with_files(tree, {path: source.encode()})
    with context.pool.lease(with_test, f"counterexample-{name}") as workspace:
        record = run_session(
            context.spec, workspace, ids=None, paths=(name,), scratch=context.scratch / f"{name}-{tree.tree[:8]}",
            timeout=TIMEOUT,
        )  # fmt: skip
    return _worst(record)


def _worst(record: SessionRecord) -> tuple[Outcome, str]:
    if record.problem:
        return Outcome.ERROR, f"its run cannot be trusted: {record.problem}"
    if record.collect_errors:
        return Outcome.ERROR, f"it does not load: {record.collect_errors[0].kind}"
    outcomes = {result.outcome for result in record.results.values()}
    failures = [r.failure for r in record.results.values() if r.outcome is Outcome.FAILED and r.failure]
    if any(_states(failure) for failure in failures):
        return Outcome.FAILED, ""
    if failures:
        return Outcome.FAILED, f"it fails by its own {failures[0].kind}, not by what the project does"
    red = [outcome for outcome in outcomes if outcome.red]
    if red:
        return red[0], f"it ended as {red[0]}, not in an assertion of its own"
    return Outcome.PASSED if outcomes == {Outcome.PASSED} else Outcome.SKIPPED, ""


def _states(failure: Failure) -> bool:
    """An assertion that did not hold, or an exception that came out of the project's code."""
    if failure.kind in ("AssertionError", "Failed"):
        return True
    return bool(failure.frames) and "test_agentflow_counterexample" not in failure.frames[-1].path


def _modules(base: Snapshot, spec: RunSpec) -> tuple[str, ...]:
    """Dotted names of the project's modules, seen from every import root."""
    names = set()
    for root in spec.import_roots or (".",):
        prefix = () if root == "." else PurePosixPath(root).parts
        for path in base.files:
            parts = PurePosixPath(path).parts
            if path.endswith(".py") and parts[: len(prefix)] == prefix:
                names.add(".".join(PurePosixPath(*parts[len(prefix) :]).with_suffix("").parts))
    return tuple(sorted(names))


def _keep(ran: Sequence[Ran], context: ReviewContext) -> None:
    folder = context.directory / FOLDER
    folder.mkdir(parents=True, exist_ok=True)
    for one in ran:
        if one.file:
            (context.directory / one.file).write_text(one.objection.test, encoding="utf-8")
    rows = [{**asdict(one), "refutes": one.refutes} for one in ran]
    (folder / "reviews.json").write_text(json.dumps(rows, indent=1, default=str), encoding="utf-8")
