"""What the laboratory lets vary in a job, and what it holds still."""

from __future__ import annotations

import os
import sys
from pathlib import Path

from lean import ADDOPTS

from pytest_agentflow.adapters.sessions import RunSpec
from pytest_agentflow.core.entropy import SPREAD_FROM
from pytest_agentflow.core.triage_budget import Budget
from pytest_agentflow.stages.flaky_lab import PINNED, Lab


def test_plain_jobs_draw_by_lot_and_all_others_are_pinned(tmp_path: Path) -> None:
    tree = tmp_path / "tree"
    tree.mkdir()
    (tree / "test_one.py").write_text("def test_one(): pass\n")
    spec = RunSpec(python=sys.executable, env={"PATH": os.environ["PATH"], "PYTEST_ADDOPTS": ADDOPTS})
    lab = Lab(spec, tree, tmp_path / "out", [], Budget(per_test=10), lambda text: None)
    try:
        plain, held = lab.plain(["t"] * 1000, "chance"), lab.job(["t"] * 3, "order")
    finally:
        lab.close()
    assert len({*plain.seeds}) == len({*plain.entropies}) == 1000
    assert max(plain.entropies) < SPREAD_FROM  # a spread stream is no sample
    assert {*held.seeds} == {*held.entropies} == {PINNED}
