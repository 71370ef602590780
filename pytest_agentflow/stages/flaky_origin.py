"""Which failing tests do not come from the change: their coverage misses every line changed since the base?"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from pytest_agentflow.adapters import changes, coverage_map
from pytest_agentflow.adapters.coverage_map import CoverageMap
from pytest_agentflow.adapters.gitcmd import GitError
from pytest_agentflow.adapters.sessions import RunSpec, run_session
from pytest_agentflow.child.recorder import ENVIRONMENT
from pytest_agentflow.core.flaky_origin import reaches, telling, untold
from pytest_agentflow.core.flaky_report import TriageReport

RECORDER = "pytest_agentflow.child.recorder"


def marked(report: TriageReport, spec: RunSpec, top: Path, tree: Path, scratch: Path) -> TriageReport:
    """The report with the red and flaky tests that the change cannot have made so. `tree` holds the state of `top`."""
    suspects = [*report.failing, *(r.nodeid for r in report.records)]
    if not suspects:
        return report
    files = [
        str(p.relative_to(tree)) for p in tree.rglob("*") if p.is_file() and "__pycache__" not in p.parts
    ]
    try:
        base, changed = changes.since_base(top, tree, files)
    except GitError:
        return report
    blind = untold(changed)
    if blind:
        note = f"whether failures come from the change is not told: {blind[0]} changed since {base}, which is no Python code"
        return replace(report, notes=(*report.notes, note))
    if not changed:
        return report
    recorded = _record(spec, tree, suspects, scratch)
    known = set(recorded.tests)
    imported = {path: _telling(recorded, tree, path) for path in changed}
    clean = [t for t in suspects if t in known and not reaches(recorded.lines_of(t), imported, changed)]
    return replace(report, elsewhere=tuple(clean), base=base)


def _record(spec: RunSpec, tree: Path, ids: Sequence[str], scratch: Path) -> CoverageMap:
    """One run of these tests with the recorder on."""
    out = scratch / "coverage"
    options = {"roots": ["."], "omit": [], "level": "lines", "out": str(out), "top": os.path.realpath(tree)}
    try:
        run_session(
            spec,
            tree,
            ids=ids,
            scratch=scratch,
            timeout=300.0,
            stall=60.0,
            extra_args=("-p", RECORDER),
            extra_env={ENVIRONMENT: json.dumps(options)},
            writable=(out.parent,),
        )
        return coverage_map.read(out, tree)
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


def _telling(recorded: CoverageMap, tree: Path, path: str) -> frozenset[int]:
    if not (tree / path).is_file():
        return frozenset()
    return telling(frozenset(recorded.lines_imported(path)), (tree / path).read_text("utf-8", "replace"))
