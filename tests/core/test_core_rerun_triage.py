"""What a failing test that passed in a rerun depends on is read from two runs that differ in that alone."""

from __future__ import annotations

import pytest

from pytest_agentflow.core.flaky import Category
from pytest_agentflow.core.model import Outcome
from pytest_agentflow.core.rerun_triage import Rerun, record_of

ALONE, BEHIND = ("t",), ("a", "t")


def run(order: tuple[str, ...], seed: int, outcome: str) -> Rerun:
    return Rerun(order, {"t": Outcome(outcome)}, seed)


CASES = [
    ("identical", [(BEHIND, 0, "failed"), (BEHIND, 0, "passed")], Category.UNKNOWN),
    ("order", [(BEHIND, 0, "failed"), (ALONE, 0, "passed")], Category.ORDER_VICTIM),
    ("seed", [(BEHIND, 0, "failed"), (BEHIND, 1, "passed")], Category.HASH_SEED),
    ("seed, and fails alone too", [(BEHIND, 0, "failed"), (ALONE, 0, "failed"), (ALONE, 1, "passed")], Category.HASH_SEED),
    ("both may be", [(BEHIND, 0, "failed"), (ALONE, 1, "passed")], Category.ORDER_VICTIM),
    ("order beside another seed", [(BEHIND, 0, "failed"), (BEHIND, 1, "passed"), (ALONE, 0, "passed")], Category.ORDER_VICTIM),
]  # fmt: skip


@pytest.mark.parametrize(("runs", "category"), [c[1:] for c in CASES], ids=[c[0] for c in CASES])
def test_the_category_follows_from_the_pair_that_differs_least(
    runs: list[tuple[tuple[str, ...], int, str]], category: Category
) -> None:
    record = record_of("t", [run(*r) for r in runs])
    assert record.category is category
    assert (record.failures, record.runs) == (sum(r[2] == "failed" for r in runs), len(runs))
