"""plan: which attempts, on which units, with which tests shown and hidden, and what may it cost at worst?"""

from __future__ import annotations

import ast
from collections.abc import Collection, Sequence
from pathlib import Path

from pytest_agentflow.adapters import snapshot
from pytest_agentflow.adapters.coverage_map import CoverageMap
from pytest_agentflow.adapters.files import write_json
from pytest_agentflow.agents import costs, preflight
from pytest_agentflow.core import codec
from pytest_agentflow.core.doubts import Doubt
from pytest_agentflow.core.events import PLANNED, content_key
from pytest_agentflow.core.fruitless import Tried, fail_alike, same_unit, untouched
from pytest_agentflow.core.gitobjects import changed
from pytest_agentflow.core.model import Attempt, Cluster, Observation
from pytest_agentflow.core.plan import first_attempts
from pytest_agentflow.core.questions import Bill, Questions, questions
from pytest_agentflow.stages.brief import agent_config
from pytest_agentflow.stages.review import reviewer_config
from pytest_agentflow.stages.run import Run

REVIEWING = "anthropic"  # the agent that a reviewer is
NEIGHBOUR_UNITS = 3  # passing tests that reach one of the first suspects are a cluster's neighbours


def plan(
    run: Run,
    number: int,
    observation: Observation,
    clusters: Sequence[Cluster],
    flaky: int,
    coverage: CoverageMap,
    doubted: Collection[Doubt] = (),
    tried: Sequence[Tried] = (),
) -> tuple[Attempt, ...]:
    """The round's first attempts; `plan.json` and the journal hold what they are and why.

    What an earlier round `tried` and what would end as it did is not made again.
    """
    neighbours = {c.id: _neighbours(c, observation, coverage) for c in clusters}
    made = first_attempts(number, clusters, observation, neighbours, run.bounds, doubted)
    attempts = [a for a in made if not _made_before(run, a, observation, coverage, tried)]
    left_out = len(made) - len(attempts)
    run.plugins.hook.pytest_agentflow_modify_attempts(attempts=attempts)
    answers = _questions(run, observation, clusters, flaky, coverage)
    write_json(run.directory / "plan.json", plan_document(run.id, clusters, answers))
    key = content_key(observation.tree, [a.key for a in attempts], run.bounds.fingerprint)
    told = [
        {"id": a.id, "cluster": a.cluster, "agent": a.agent, "visible": list(a.visible), "retry": a.retry}
        for a in attempts
    ]
    planned = {"round": number, "attempts": told, "left_out": left_out, "questions": codec.encode(answers)}
    run.journal.once(PLANNED, key, lambda: planned)
    return tuple(attempts)


def _made_before(
    run: Run, attempt: Attempt, now: Observation, coverage: CoverageMap, tried: Sequence[Tried]
) -> bool:
    """Whether it would end as one that was made before; mostly a unit whose files no fix has touched."""
    if any(attempt.key == earlier.attempt.key for earlier in tried):
        return True
    reached = [coverage.bits_of(target) for target in attempt.targets]
    files = run.snapshot(now.tree).files
    return any(
        same_unit(attempt, earlier)
        and untouched(reached, changed(run.snapshot(earlier.attempt.base).files, files), coverage.paths())
        and fail_alike(attempt.targets, run.load_observation(earlier.attempt.base), now)
        for earlier in tried
    )


def plan_document(run_id: str, clusters: Sequence[Cluster], answers: Questions) -> dict[str, object]:
    """`plan.json`, version 1: docs/reference/plan.md."""
    return {
        "version": 1,
        "run": run_id,
        "questions": codec.encode(answers),
        "clusters": [
            {
                "id": cluster.id,
                "targets": list(cluster.targets),
                "suspects": [
                    {**codec.encode(s.unit), "score": s.score, "lines": list(s.lines), "why": s.why}
                    for s in cluster.suspects
                ],
                "ranked_lines": [codec.encode(line) for line in cluster.ranked_lines],
                "asked": list(cluster.asked),
                "one_statement": cluster.one_statement,
            }
            for cluster in clusters
        ],
    }


def _neighbours(cluster: Cluster, observation: Observation, coverage: CoverageMap) -> tuple[str, ...]:
    passing = set(observation.passing)
    near: dict[str, None] = {}
    for suspect in cluster.suspects[:NEIGHBOUR_UNITS]:
        # The `def` line runs at import and is reached by every test of the module: the body is what counts.
        lines = range(suspect.unit.first_line + 1, suspect.unit.last_line + 1)
        near.update(
            dict.fromkeys(t for t in coverage.tests_reaching(suspect.unit.path, lines) if t in passing)
        )
    return tuple(near)


def _questions(
    run: Run, observation: Observation, clusters: Sequence[Cluster], flaky: int, coverage: CoverageMap
) -> Questions:
    tree = run.snapshot(observation.tree)
    covered = total = 0
    for path in sorted({s.unit.path for c in clusters for s in c.suspects[:NEIGHBOUR_UNITS]}):
        statements = _statement_lines(snapshot.content(tree, path) or b"")
        total += len(statements)
        covered += len(statements & coverage.lines_reached(path))
    return questions(
        clusters,
        len(observation.failing),
        flaky,
        observation.duration,
        (covered, total),
        _bill(run, len(clusters)),
        "search" in run.bounds.agents,
    )


def _bill(run: Run, clusters: int) -> Bill:
    """What it costs if every attempt is made, reviewed, and each call is as dear as it can be."""
    settings = run.settings
    configs = {name: agent_config(settings, name, run.plugins) for name in run.bounds.agents}
    cases = [costs.worst_case(name, config) for name, config in configs.items()]
    spends = any(case.tokens or case.usd != 0 for case in cases)
    reviews = settings.agent_reviewers
    reviews = (preflight.REVIEWERS if spends else 0) if reviews is None else reviews
    reviewer = reviewer_config(settings, run.bounds.agents, run.plugins) if reviews else {}
    asked = next((config for name, config in configs.items() if name == "anthropic"), None)
    probes = asked is not None and (settings.agent_probe or clusters > preflight.FAN_OUT)
    return costs.bill(
        cases,
        costs.worst_case(REVIEWING, reviewer) if reviews else None,
        costs.probe_case(asked or {}) if probes else None,
        costs.Plan(
            units=clusters,
            rounds=settings.agent_rounds,
            retries=run.bounds.retries,
            reviews=reviews,
            most_attempts=run.bounds.max_attempts,
            usd=settings.agent_budget_usd,
            tokens=settings.agent_budget_tokens,
        ),
    )


def _statement_lines(source: bytes) -> set[int]:
    try:
        nodes = list(ast.walk(ast.parse(source)))
    except (SyntaxError, ValueError):
        return set()
    return {
        n.lineno
        for n in nodes
        if isinstance(n, ast.stmt) and not isinstance(n, ast.FunctionDef | ast.ClassDef)
    }


def load_coverage(run: Run, observation: Observation) -> CoverageMap:
    """The map recorded with an observation."""
    return CoverageMap.from_bytes(Path(run.directory / observation.coverage).read_bytes())
