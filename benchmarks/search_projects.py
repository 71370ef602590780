"""How do the search benchmarks unpack a real project, run its suite, locate a fault and let the agent repair it?"""

from __future__ import annotations

import json
import math
import os
import random
import shutil
import sys
import time
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from archives import unpack
from search_harness import Case, attempt, green, with_files

from pytest_agentflow.adapters import coverage_map
from pytest_agentflow.child.recorder import ENVIRONMENT
from pytest_agentflow.core.holdout import split
from pytest_agentflow.core.model import Cluster, Observation, SessionRecord
from pytest_agentflow.core.scope import ScopePolicy
from pytest_agentflow.stages.attempt import LEAST_LEFT
from pytest_agentflow.stages.localise import localise
from pytest_agentflow.stages.survey import Ground

RECORDER = "pytest_agentflow.child.recorder"
TEST_PARTS = (
    "test",
    "docs",
    "doc",
    "bench",
    "examples",
    "setup.py",
    "conftest.py",
    "noxfile",
    "tasks",
    "ez_setup",
)
# Plugins of the development environment that a project's own strict warnings trip over.
QUIET = ("-p", "no:cacheprovider", "-p", "no:asyncio", "-p", "no:anyio", "-p", "no:rerunfailures")
STEADY = ("--timeout=20", "--continue-on-collection-errors")
HELD_OUT = 0.25  # as the product's default


class Project:
    """An unpacked project whose suite runs green, apart from what its base already fails."""

    def __init__(
        self, name: str, top: Path, scratch: Path, site: Sequence[str] = (), python: str = sys.executable
    ) -> None:
        roots = ("src", ".") if (top / "src").is_dir() else (".",)
        self.name = name
        self.sources = self._sources(top, roots[0])
        self.case = Case(
            name, top, scratch, roots=roots, pytest_args=QUIET, site_paths=tuple(site), python=python,
            scope=tuple(self.sources),
        )  # fmt: skip
        self.paths = ("tests.py",) if (top / "tests.py").is_file() else ()
        self.record = self.case.run(self.paths, timeout=180, extra_args=STEADY)
        # Some pass in company only: doctests that live on names of a file before them.
        whole = green(self.record.results)
        chosen = self.case.run(ids=sorted(whole), timeout=180, extra_args=STEADY) if whole else self.record
        alone = set(green(chosen.results))
        self.green = [i for i in whole if i in alone]
        self.problem = ""
        if len(self.green) < 20:
            tail = self.record.output_tail[-200:]
            self.problem = f"{len(self.green)} green tests, {self.record.problem}: {tail!r}"

    @classmethod
    def unpacked(cls, archive: Path, root: Path, site: Sequence[str] = ()) -> Project:
        unpack(archive, root)
        top = next(p for p in root.iterdir() if p.is_dir())
        return cls(archive.name.removesuffix(".tar.gz"), top, root / "scratch", site)

    @staticmethod
    def _sources(top: Path, root: str) -> list[str]:
        return sorted(
            str(p.relative_to(top))
            for p in (top / root).rglob("*.py")
            if not any(part.startswith(TEST_PARTS) for part in p.relative_to(top).parts)
            and p.stat().st_size > 400
        )

    def observe(self) -> tuple[SessionRecord, coverage_map.CoverageMap]:
        """One run of the suite with line coverage per test."""
        out = self.case.scratch / "coverage"
        shutil.rmtree(out, ignore_errors=True)
        options = {"roots": ["."], "omit": [], "level": "lines", "out": str(out), "top": os.path.realpath(self.case.tree)}  # fmt: skip
        record = self.case.run(
            self.paths,
            timeout=240,
            extra_args=(*STEADY, "-p", RECORDER),
            extra_env={ENVIRONMENT: json.dumps(options)},
        )
        return record, coverage_map.read(out, self.case.tree)

    def broken(self, record: SessionRecord) -> list[str] | None:
        """Tests that a bug breaks, also without the recorder; None when the bug breaks the collection."""
        red = [i for i in self.green if i in record.results and record.results[i].outcome.red]
        if any(i not in record.results for i in self.green):
            return None
        again = self.case.run(ids=red, timeout=120) if red else record
        return [i for i in red if i in again.results and again.results[i].outcome.red]

    def clusters(
        self,
        record: SessionRecord,
        coverage: coverage_map.CoverageMap,
        broken: Sequence[str],
        unseen: Collection[str] = (),
    ) -> tuple[Cluster, ...]:
        """As in the product, edits on failing tests included; no edit is tried on `unseen` ones, as none is on slow ones."""
        keep = {
            i: replace(r, duration=math.inf) if i in unseen else r
            for i, r in record.results.items()
            if i in self.green
        }
        observation = Observation("", tuple(keep), tuple(keep), keep, record.duration)
        scratch = self.case.scratch / "survey"
        shutil.rmtree(scratch, ignore_errors=True)
        scratch.mkdir(parents=True)
        policy = ScopePolicy(tuple(self.sources))
        ground = Ground(self.case.spec, self.case.tree, scratch, policy, HELD_OUT)
        return localise(observation, coverage, self.case.tree, None, tuple(broken), ground=ground)


@dataclass
class Repair:
    """What the agent made of one cluster: the files it would change, and what that took."""

    cluster: Cluster
    files: Mapping[str, bytes]
    accepted: bool
    label: str
    offered: list[Mapping[str, bytes]]
    tried: int
    stopped: str
    notes: str
    wall: float
    cpu: float


def repair(
    project: Project,
    record: SessionRecord,
    coverage: coverage_map.CoverageMap,
    cluster: Cluster,
    unseen: set[str],
    broken: Sequence[str],
    *,
    deadline: float,
    seed: int = 0,
) -> Repair:
    """One attempt, then the first offered candidate that a cold run accepts: visible tests and held-out ones.

    As in the product a quarter of targets and covering guards is held out, to choose and to judge; `unseen` tests are
    given to nobody.
    """
    targets = [t for t in cluster.targets if t not in unseen]
    paths = {s.unit.path for s in cluster.suspects[:5]}
    guards = [i for i in project.green if i not in broken and i not in unseen]
    near = [i for i in guards if paths & set(coverage.lines_of(i))]
    parts = split(targets, near, HELD_OUT, seed, cluster.asked)
    held = {*parts.choose, *parts.judge}
    lines = [(r.path, r.line, r.score) for r in cluster.ranked_lines if r.path in project.sources]
    visible_guards = [g for g in guards if g not in held]
    wanted = sorted({*targets, *guards})
    began, offered, chosen, label, tried, cpu = time.monotonic(), [], {}, "", 0, 0.0
    # As in the product: where the judge refuses every offer, the search looks on once with the time that is left.
    for refused in ({}, {"refused": offered}):
        left = deadline - (time.monotonic() - began)
        if refused and (chosen or not offered or left < LEAST_LEFT):
            break
        report, _, spent = attempt(
            project.case, record.results, parts.visible, visible_guards, lines,
            deadline=left, seed=seed, suspects=cluster.suspects, **refused,
        )  # fmt: skip
        offers, tried, cpu = report.candidates, tried + int(report.notes.get("tried", 0)), cpu + spent
        offered += [c.files for c in offers]
        good = (c for c in offers if all_green(with_files(project.case, c.files, wanted), wanted))
        if (best := next(good, None)) is not None:
            chosen, label = best.files, best.label
    wall = time.monotonic() - began
    return Repair(
        cluster, chosen, bool(chosen), label, offered, tried,
        str(report.notes.get("stopped") or report.message),
        str({k: v for k, v in report.notes.items() if k != "near_misses"})[:600], wall, cpu,
    )  # fmt: skip


def all_green(record: SessionRecord, ids: Sequence[str]) -> bool:
    return all(i in record.results and record.results[i].outcome == "passed" for i in ids)


def unseen(
    project: Project, coverage: coverage_map.CoverageMap, paths: set[str], broken: Sequence[str]
) -> set[str]:
    """Every fourth failing test and every fourth guard that reaches a changed file: for the benchmark's eyes only."""
    covering = [i for i in project.green if i not in broken and paths & set(coverage.lines_of(i))]
    return {*sorted(broken)[1::4], *sorted(covering)[1::4]}


def shuffled(things: Sequence, seed: str) -> list:  # type: ignore[type-arg]
    found = list(things)
    random.Random(seed).shuffle(found)
    return found
