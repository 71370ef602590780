"""localise: which source units are suspect for which failing tests, and which failures share a cause?"""

from __future__ import annotations

import ast
import math
import shutil
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from pytest_agentflow.adapters.coverage_map import CoverageMap
from pytest_agentflow.adapters.snapshot import materialise
from pytest_agentflow.core.codec import decode, encode
from pytest_agentflow.core.events import LOCALISED, content_key
from pytest_agentflow.core.model import Cluster, LineScore, Observation, SourceUnit, Suspect
from pytest_agentflow.stages.run import Run


def localise(
    observation: Observation,
    coverage: CoverageMap,
    tree: Path,
    repo_top: Path | None,
    targets: tuple[str, ...],
) -> tuple[Cluster, ...]:
    passing = set(observation.passing)
    by_top: dict[str, list[str]] = {}
    ranked: dict[str, list[Suspect]] = {}
    for target in targets:
        suspects = _rank([target], passing, coverage, tree)
        ranked[target] = suspects
        by_top.setdefault(suspects[0].unit.key if suspects else target, []).append(target)
    clusters = []
    for n, group in enumerate(by_top.values(), 1):
        suspects = _rank(group, passing, coverage, tree)
        lines = tuple(LineScore(s.unit.path, line, s.score) for s in suspects for line in s.lines)
        clusters.append(Cluster(f"c{n}", tuple(group), tuple(suspects[:20]), lines[:200]))
    return tuple(clusters)


def _units(tree: Path, path: str) -> list[SourceUnit]:
    try:
        module = ast.parse((tree / path).read_bytes())
    except (SyntaxError, OSError, ValueError):
        return []
    found: list[SourceUnit] = []

    def walk(node: ast.AST, prefix: str) -> None:
        for child in ast.iter_child_nodes(node):
            if isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef):
                found.append(
                    SourceUnit(path, prefix + child.name, child.lineno, child.end_lineno or child.lineno)
                )
                walk(child, prefix + child.name + ".")
            elif isinstance(child, ast.ClassDef):
                walk(child, prefix + child.name + ".")
            else:
                walk(child, prefix)

    walk(module, "")
    return found


def _rank(failing: Sequence[str], passing: set[str], coverage: CoverageMap, tree: Path) -> list[Suspect]:
    found: list[Suspect] = []
    for path in coverage.paths():
        if (
            path.startswith("tests/")
            or "/tests/" in path
            or Path(path).name.startswith(("test_", "conftest"))
        ):
            continue
        for unit in _units(tree, path):
            body = range(unit.first_line + 1, unit.last_line + 1)
            tests = set(coverage.tests_reaching(path, body))
            ef, ep = len(tests & set(failing)), len(tests & passing)
            if ef:
                score = ef / math.sqrt(len(failing) * (ef + ep))
                lines = sorted({n for t in failing for n in coverage.lines_of(t).get(path, ()) if n in body})
                found.append(
                    Suspect(
                        unit,
                        score,
                        tuple(lines),
                        f"reached by {ef} of {len(failing)} failing and {ep} passing tests",
                    )
                )
    return sorted(found, key=lambda s: (-s.score, s.unit.last_line - s.unit.first_line, s.unit.key))


def localise_round(
    run: Run, number: int, observation: Observation, targets: tuple[str, ...]
) -> tuple[Cluster, ...]:
    """The round's clusters, journalled; recalled when the same failures on the same tree were localised before."""
    key = content_key(observation.tree, sorted(targets), run.bounds.fingerprint)
    data = run.journal.once(
        LOCALISED, key, lambda: {"round": number, "clusters": _clusters(run, observation, targets)}
    )
    return tuple(decode(Cluster, c) for c in data["clusters"])


def _clusters(run: Run, observation: Observation, targets: tuple[str, ...]) -> list[object]:
    from pytest_agentflow.stages.plan import load_coverage

    tree = run.temp / "localise"
    try:
        materialise(run.snapshot(observation.tree), tree)
        found = localise(observation, load_coverage(run, observation), tree, run.repository.top, targets)
    finally:
        shutil.rmtree(tree, ignore_errors=True)
    ranked = [(c, run.plugins.hook.pytest_agentflow_rank(cluster=c)) for c in found]
    return [encode(replace(c, suspects=tuple(order)) if order else c) for c, order in ranked]
