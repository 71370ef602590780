"""Bugs as localisation saw them, kept in directories, and the expected ranks of their true places. For the `localisation*.py` scripts."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from pytest_agentflow.adapters import coverage_map
from pytest_agentflow.adapters.coverage_map import CoverageMap
from pytest_agentflow.adapters.sessions import RunSpec, run_session
from pytest_agentflow.adapters.toolcache import tool_bytecode
from pytest_agentflow.core import codec
from pytest_agentflow.core.clusters import cluster
from pytest_agentflow.core.healing import Healed, reached_by_healed
from pytest_agentflow.core.localise import probabilities, score_statements
from pytest_agentflow.core.model import Observation
from pytest_agentflow.core.scope import ScopePolicy
from pytest_agentflow.core.weights import DEFAULT, Weights
from pytest_agentflow.stages import localise as stage
from pytest_agentflow.stages.survey import Ground, survey_groups

HEALED = "healed.json"
OMISSIONS = frozenset({"missing-call", "missing-update"})
IGNORED = shutil.ignore_patterns(".git", "__pycache__", "*.pyc", ".tox", "build", "*.egg-info")


@dataclass(frozen=True)
class Case:
    """One bug as observed: where it truly is, and everything needed to rank it again."""

    directory: Path
    name: str
    operator: str
    truth: tuple[tuple[str, int], ...]  # path and line in the buggy tree
    observation: Observation
    coverage: CoverageMap
    shown: tuple[str, ...]  # the failing tests that show it; empty: all of them
    tree: Path
    healed: Healed | None = None  # what edits did to failing tests; None: none were tried


# observing ---------------------------------------------------------------------------------------


def spec_of(tree: Path, python: str) -> RunSpec:
    """How the tests of a tree are run here."""
    root = "src" if (tree / "src").is_dir() else "."
    return RunSpec(
        python=python,
        import_roots=tuple(dict.fromkeys([root, "."])),
        env={"PATH": os.environ["PATH"]},
        pytest_args=("-p", "no:asyncio", "-p", "no:randomly", "-p", "no:cacheprovider", "-o", "addopts="),
    )


def observe(
    tree: Path,
    scratch: Path,
    python: str,
    paths: Sequence[str] = (),
    extra: Sequence[str] = (),
    timeout: float = 300,
    stall: float | None = None,
    ids: Sequence[str] | None = None,
    record: bool = True,
):
    """The suite's outcomes and coverage map (None when not asked to record)."""
    shutil.rmtree(scratch, ignore_errors=True)
    spec = spec_of(tree, python)
    options = {"roots": ["."], "omit": [], "level": "lines", "processes": "auto", "out": str(scratch / "out")}
    told = run_session(
        spec,
        tree,
        ids=ids,
        paths=paths,
        scratch=scratch,
        timeout=timeout,
        stall=stall,
        extra_args=extra,
        plugins={"pytest_agentflow.child.recorder": options} if record else None,
    )
    coverage = coverage_map.read(scratch / "out", tree) if record else None
    seen = tuple(told.results)
    return told, Observation("tree", seen, seen, told.results), coverage


def keep(
    directory: Path,
    name: str,
    operator: str,
    truth: Sequence[tuple[str, int]],
    observation: Observation,
    coverage: CoverageMap,
    shown: Sequence[str] = (),
    tree: str = "tree",
) -> None:
    """`shown`: the failing tests that show this bug, when others fail beside them."""
    directory.mkdir(parents=True, exist_ok=True)
    told = {
        "name": name,
        "operator": operator,
        "shown": list(shown),
        "tree": tree,
        "truth": [list(t) for t in truth],
        "observation": codec.encode(observation),
    }
    (directory / "case.json").write_text(json.dumps(told))
    (directory / "coverage.map").write_bytes(coverage.to_bytes())


def load(directory: Path) -> Case:
    told = json.loads((directory / "case.json").read_text())
    observation = codec.decode(Observation, told["observation"])
    coverage = CoverageMap.from_bytes((directory / "coverage.map").read_bytes())
    return Case(
        directory,
        told["name"],
        told["operator"],
        tuple((p, n) for p, n in told["truth"]),
        observation,
        coverage,
        tuple(told.get("shown", ())),
        directory / told.get("tree", "tree"),
        _healed(directory / HEALED),
    )


def _healed(file: Path) -> Healed | None:
    if not file.exists():
        return None
    told = json.loads(file.read_text())
    return {test: {(path, line): worth for path, line, worth in places} for test, places in told.items()}


def look_around(case: Case, python: str, scratch: Path) -> Healed:
    """Try edits on a case's failing tests, as the product does, and keep what they heal beside it."""
    ground = ground_of(case.tree.resolve(), python, scratch)
    failing, spectrum, sources, facts = measured(case)
    groups = cluster(failing, spectrum, sources, facts)
    told = (case.observation, case.coverage, spectrum, sources, facts)
    healed = survey_groups(replace(ground, policy=ScopePolicy(tuple(sources))), groups, *told)
    kept = {test: [[*place, worth] for place, worth in places.items()] for test, places in healed.items()}
    (case.directory / HEALED).write_text(json.dumps(kept))
    return healed


def ground_of(tree: Path, python: str, scratch: Path) -> Ground:
    """Where edits are tried, as in the product: bytecode of the tools is lent. Without a sandbox."""
    shutil.rmtree(scratch, ignore_errors=True)
    scratch.mkdir(parents=True)
    spec = spec_of(tree, python)
    spec = replace(spec, bytecode=str(tool_bytecode(spec, scratch.parent) or ""))
    return Ground(spec, tree, scratch, ScopePolicy(), holdout=0.25)


# ranking -----------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Ranks:
    function: float
    statement: float
    file: float


def expected(scores: Sequence[tuple[float, bool]]) -> float:
    """Expected rank of the first true element when elements of equal score are in random order."""
    ahead = 0
    for value in sorted({s for s, _ in scores}, reverse=True):
        tied = [true for s, true in scores if s == value]
        if any(tied):
            return ahead + (len(tied) + 1) / (sum(tied) + 1)
        ahead += len(tied)
    return float("inf")


def measured(case: Case):
    """Failing tests, spectrum, sources and facts, without any edit."""
    targets = case.observation.failing
    spectrum, sources = stage.measure(case.observation, case.coverage, case.tree, targets)
    failures = {t: case.observation.results[t].failure for t in targets}
    return targets, spectrum, sources, stage.gather_facts(case.tree, None, sources, failures)


def prepare(case: Case):
    """What ranking needs, for the cluster that holds most of the tests that show the bug."""
    targets, spectrum, sources, facts = measured(case)
    healed = case.healed or {}
    facts, spectrum = replace(facts, healed=healed), reached_by_healed(spectrum, healed, sources)
    shown = set(case.shown or targets)
    clusters = cluster(targets, spectrum, sources, facts)
    return max(clusters, key=lambda c: len(shown & set(c))), spectrum, sources, facts


def rank(case: Case, prepared, weights: Weights = DEFAULT) -> Ranks:
    targets, spectrum, sources, facts = prepared
    scored = score_statements(targets, spectrum, sources, facts, weights)
    return ranks_of(case, sources, scored)


def truth(case: Case, sources) -> tuple[set[tuple[str, int]], set[tuple[str, int]]]:
    """The true statements (by first line) and units of a bug."""
    statements, true_units = set(), set()
    places = [(p, n, at) for p, n in case.truth if p in sources and (at := sources[p].at(n))]
    in_functions = [place for place in places if place[2].unit]  # an import beside the fix is not the fault
    for path, _, at in in_functions or places:
        source = sources[path]
        statements.add((path, at.first_line))
        true_units.add((path, at.unit))
        if (
            case.operator in OMISSIONS
        ):  # nothing is left at the place: its neighbours count, as is usual for omissions
            inside = [s for s in source.statements if s.unit == at.unit]
            here = inside.index(at)
            statements |= {(path, s.first_line) for s in inside[max(0, here - 1) : here + 2]}
    return statements, true_units


def ranks_of(case: Case, sources, scored) -> Ranks:
    true_statements, true_units = truth(case, sources)
    true_files = {path for path, _ in true_units}
    shares = probabilities(scored)
    by_unit: dict[tuple[str, int], float] = {}
    by_file: dict[str, float] = {}
    for s, share in zip(scored, shares, strict=True):
        key = (s.path, s.statement.unit)
        by_unit[key] = by_unit.get(key, 0) + share
        by_file[s.path] = by_file.get(s.path, 0) + share
    return Ranks(
        expected([(v, k in true_units) for k, v in by_unit.items()]),
        expected([(s.log_odds, (s.path, s.statement.first_line) in true_statements) for s in scored]),
        expected([(v, k in true_files) for k, v in by_file.items()]),
    )


def cases_in(directories: Sequence[Path]) -> list[Case]:
    found = sorted(f.parent for d in directories for f in d.rglob("case.json"))
    return [load(d) for d in found]
