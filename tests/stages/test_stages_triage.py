"""Failures are run again on unchanged code; what passes somewhere is set aside with both verdicts, the rest are targets."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest
from lean import ADDOPTS, lent

from pytest_agentflow.adapters.sessions import RunSpec, run_session
from pytest_agentflow.core.flaky import Category, TriageResult
from pytest_agentflow.core.model import Observation, SessionRecord
from pytest_agentflow.stages.triage import evidence, triage

TESTS = """
import pathlib
CART = []
def test_add():
    CART.append("apple")
def test_cart_is_empty():
    assert CART == []
def test_sum():
    assert 1 + 1 == 3
def test_every_other_run():
    path = pathlib.Path("toggle")
    if path.exists():
        path.unlink()
    else:
        path.touch()
        assert False
"""


class Fresh:
    """Real sessions in one tree, counted."""

    def __init__(self, place: Path) -> None:
        self.tree, self.scratch, self.runs = place / "tree", place / "scratch", 0
        self.tree.mkdir()
        (self.tree / "test_shop.py").write_text(TESTS)
        self.spec = lent(
            RunSpec(
                python=sys.executable,
                env={"PATH": os.environ["PATH"], "PYTEST_ADDOPTS": ADDOPTS},
                import_roots=(".",),
            )
        )

    def __call__(self, ids: Sequence[str] | None, hash_seed: int) -> SessionRecord:
        self.runs += 1
        return run_session(
            self.spec,
            self.tree,
            ids=ids,
            scratch=self.scratch,
            timeout=60.0,
            hash_seed=hash_seed,
            ordered=True,
        )


@pytest.fixture(scope="module")
def triaged(tmp_path_factory: pytest.TempPathFactory) -> tuple[TriageResult, Fresh]:
    fresh = Fresh(tmp_path_factory.mktemp("shop"))
    first = fresh(None, 0)
    observed = Observation("tree", first.collected, first.collected, first.results)
    return triage(observed.failing, observed, fresh), fresh


def test_what_fails_every_time_is_a_target_and_nothing_else(triaged: tuple[TriageResult, Fresh]) -> None:
    assert triaged[0].targets == ("test_shop.py::test_sum",)


def test_what_passes_in_a_rerun_is_set_aside_with_both_verdicts_and_a_command(
    triaged: tuple[TriageResult, Fresh],
) -> None:
    flaky = {r.nodeid.partition("::")[2]: r for r in triaged[0].flaky}
    assert sorted(flaky) == ["test_cart_is_empty", "test_every_other_run"]
    assert flaky["test_cart_is_empty"].category is Category.ORDER_VICTIM
    for record in flaky.values():
        assert (record.passing.outcome, record.failing.outcome) == ("passed", "failed")
        assert "python -m pytest" in record.reproducer
        assert "runs failed; passed with" in evidence(record)


def test_a_suite_without_flaky_failures_costs_two_reruns(tmp_path: Path) -> None:
    fresh = Fresh(tmp_path)
    first = fresh(["test_shop.py::test_sum"], 0)
    observed = Observation("tree", first.collected, first.collected, first.results)
    result = triage(observed.failing, observed, fresh)
    assert (result.flaky, fresh.runs) == ((), 3)


def test_no_failure_costs_nothing(tmp_path: Path) -> None:
    fresh = Fresh(tmp_path)
    assert triage((), Observation("tree", (), (), {}), fresh) == TriageResult((), ())
    assert fresh.runs == 0
