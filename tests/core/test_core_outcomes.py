"""Which outcome a test has, from what its phases reported."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_agentflow.core.model import Outcome
from pytest_agentflow.core.outcomes import outcome_of, to_rootdir, to_top_level

PASS = [("setup", "passed", False), ("call", "passed", False), ("teardown", "passed", False)]


@pytest.mark.parametrize(
    ("phases", "expected"),
    [
        (PASS, Outcome.PASSED),
        ([], Outcome.MISSING),
        (PASS[:1], Outcome.MISSING),
        (PASS[:2], Outcome.MISSING),
        ([PASS[0], ("call", "failed", False), PASS[2]], Outcome.FAILED),
        ([("setup", "failed", False), PASS[2]], Outcome.ERROR),
        ([*PASS[:2], ("teardown", "failed", False)], Outcome.ERROR),
        ([PASS[0], ("call", "failed", False), ("teardown", "failed", False)], Outcome.FAILED),
        ([("setup", "skipped", False), PASS[2]], Outcome.SKIPPED),
        ([PASS[0], ("call", "skipped", True), PASS[2]], Outcome.XFAILED),
        ([PASS[0], ("call", "passed", True), PASS[2]], Outcome.XPASSED),
        ([PASS[0], ("call", "rerun", False), *PASS], Outcome.PASSED),
        ([PASS[0], ("call", "failed", False), ("call", "passed", False), PASS[2]], Outcome.FAILED),
    ],
)
def test_the_worst_phase_decides_and_a_missing_phase_is_never_green(phases: list, expected: Outcome) -> None:
    assert outcome_of(phases) is expected


@given(
    st.lists(
        st.tuples(
            st.sampled_from(["setup", "call", "teardown"]),
            st.sampled_from(["passed", "failed"]),
            st.just(False),
        )
    )
)
def test_a_failed_phase_is_never_outvoted(phases: list) -> None:
    if any(outcome == "failed" for _, outcome, _ in phases):
        assert outcome_of(phases).red


@pytest.mark.parametrize(
    ("nodeid", "rootdir", "top"),
    [
        ("tests/test_a.py::t", ".", "tests/test_a.py::t"),
        ("tests/test_a.py::t[x::y/../z]", "pkg", "pkg/tests/test_a.py::t[x::y/../z]"),
        ("../other/test_b.py::C::t", "pkg", "other/test_b.py::C::t"),
        ("test_c.py", "a/b", "a/b/test_c.py"),
    ],
)
def test_node_ids_are_mapped_to_the_top_level_and_back(nodeid: str, rootdir: str, top: str) -> None:
    assert to_top_level(nodeid, rootdir) == top
    assert to_rootdir(top, rootdir) == nodeid
