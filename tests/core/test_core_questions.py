"""The three questions that are asked before any launch."""

from __future__ import annotations

import pytest

from pytest_agentflow.core.model import Cluster
from pytest_agentflow.core.questions import Bill, questions

UNASKED = Cluster("c1", ("a",), ())
HEALED = Cluster("c2", ("b",), (), asked=("b",), one_statement=True)
HARD = Cluster("c3", ("c",), (), asked=("c",))


@pytest.mark.parametrize(
    ("clusters", "searches", "said"),
    [
        ([], True, "nothing to do"),
        ([UNASKED], True, "not measured, and the search tries first"),
        ([UNASKED, HEALED, HARD], True, "in 1 of 2 clusters small edits of one statement turned every test that was asked green"),
        ([HEALED], False, "in 1 of 1 clusters small edits of one statement turned every test that was asked green, and the search is left out"),
    ],
)  # fmt: skip
def test_what_is_mechanical_is_answered_by_what_was_tried(
    clusters: list[Cluster], searches: bool, said: str
) -> None:
    assert said in questions(clusters, 3, 0, 1.0, (1, 2), Bill(), searches).verdict
