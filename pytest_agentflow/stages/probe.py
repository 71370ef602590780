"""probe: which units does the model misread, said before money is spent on them?"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from pytest_agentflow.agents.base import Bench
from pytest_agentflow.agents.prober import predict
from pytest_agentflow.core.model import Cluster, Observation
from pytest_agentflow.core.probe import Score, choose, score

UNITS = 3  # suspects of a cluster whose code is shown


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
    scores = []
    for cluster in clusters:
        asked = choose(cluster.targets, guards.get(cluster.id, ()), seed)
        units = [s.unit for s in cluster.suspects[:UNITS]]
        name = units[0].key if units else cluster.id
        code = {u.key: _lines(tree / u.path, u.first_line, u.last_line) for u in units}
        tests = {path: _lines(tree / path) for path in dict.fromkeys(t.partition("::")[0] for t in asked)}
        answers = predict(name, asked, code, tests, bench, config)
        scored = score(name, asked, answers, truth)
        bench.record("probe", {"unit": name, "line": scored.line, "misread": scored.misread})
        scores.append(scored)
    return tuple(scores)


def _lines(path: Path, first: int = 1, last: int | None = None) -> str:
    text = path.read_text(encoding="utf-8", errors="replace") if path.is_file() else ""
    return "\n".join(text.splitlines()[first - 1 : last])
