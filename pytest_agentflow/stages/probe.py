"""probe: which units does the model misread, said before money is spent on them?"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from pytest_agentflow.agents import preflight, registry
from pytest_agentflow.agents.anthropic import AnthropicAgent
from pytest_agentflow.agents.base import Bench
from pytest_agentflow.agents.prober import predict
from pytest_agentflow.core.budget import PROBE
from pytest_agentflow.core.model import Attempt, Cluster, Observation
from pytest_agentflow.core.probe import Score, choose, score
from pytest_agentflow.stages.bench import LaneBench
from pytest_agentflow.stages.brief import agent_config
from pytest_agentflow.stages.desk import Desk
from pytest_agentflow.stages.run import Run

UNITS = 3  # suspects of a cluster whose code is shown
NEIGHBOURS = 20  # passing tests of a cluster that may be asked about
AT_ONCE = 8  # calls


def before_fan_out(run: Run, desk: Desk) -> None:
    """With more units than a pilot needs, or on request: one cheap call per unit, and the user reads what is misread."""
    waiting = list(desk.pending)
    if not waiting or not (run.settings.agent_probe or len({a.cluster for a in waiting}) > preflight.FAN_OUT):
        return
    paid = next((name for name in run.bounds.agents if name in desk.paid), None)
    if paid is None:
        return
    config = agent_config(run.settings, paid, run.plugins)
    if not isinstance(registry.resolve(paid, config), AnthropicAgent):
        if run.settings.agent_probe:
            run.progress("note", {"text": f"no probe: agent {paid!r} is a program, not a model to be asked"})
        return
    desk.open_account(PROBE)
    observation = run.load_observation(waiting[0].base)
    clusters = [Cluster(a.cluster, a.visible, a.suspects) for a in waiting]
    guards = {a.cluster: _shown_neighbours(a) for a in waiting}
    with run.pool.lease(run.snapshot(waiting[0].base), PROBE) as tree:
        bench = LaneBench(desk, PROBE, tree, run.temp / "probe-scratch", run.spec, observation.collected)
        scores = probe(clusters, observation, guards, tree, bench, config, run.bounds.seed)
    for one in scores:
        if one.misread:
            run.progress("note", {"text": f"probe: {one.line}"})
    run.progress("note", {"text": _summary(scores)})


def probe(
    clusters: Sequence[Cluster],
    observation: Observation,
    guards: Mapping[str, Sequence[str]],
    tree: Path,
    bench: Bench,
    config: Mapping[str, Any],
    seed: int = 0,
) -> tuple[Score, ...]:
    """One call per cluster, scored against the observation. `guards` maps a cluster to passing tests that reach it."""
    truth = {nodeid: result.outcome for nodeid, result in observation.results.items()}

    def ask(cluster: Cluster) -> Score:
        asked = choose(cluster.targets, guards.get(cluster.id, ()), seed)
        units = [s.unit for s in cluster.suspects[:UNITS]]
        name = units[0].key if units else cluster.id
        code = {u.key: _lines(tree / u.path, u.first_line, u.last_line) for u in units}
        tests = {path: _lines(tree / path) for path in dict.fromkeys(t.partition("::")[0] for t in asked)}
        answers = predict(name, asked, code, tests, bench, config)
        scored = score(name, asked, answers, truth)
        bench.record("probe", {"unit": name, "line": scored.line, "misread": scored.misread})
        return scored

    with ThreadPoolExecutor(AT_ONCE) as pool:
        return tuple(pool.map(ask, clusters))


def _summary(scores: Sequence[Score]) -> str:
    misread = sum(one.misread for one in scores)
    silent = sum(one.asked > 0 and len(one.unanswered) == one.asked for one in scores)
    unasked = f", {silent} without an answer" if silent else ""
    return f"probe: of {len(scores)} units the model misreads {misread}{unasked}"


def _shown_neighbours(attempt: Attempt) -> tuple[str, ...]:
    """Passing tests beside the visible targets; a held-out test is never shown, not even to a probe."""
    hidden = {*attempt.hidden_choose, *attempt.hidden_judge}
    files = {t.partition("::")[0] for t in attempt.visible}
    near = [g for g in attempt.guards if g not in hidden and g.partition("::")[0] in files]
    return tuple(near[:NEIGHBOURS])


def _lines(path: Path, first: int = 1, last: int | None = None) -> str:
    text = path.read_text(encoding="utf-8", errors="replace") if path.is_file() else ""
    return "\n".join(text.splitlines()[first - 1 : last])
