"""A node id is cut where its parameters begin, whatever they and the path hold."""

from __future__ import annotations

import pytest

from pytest_agentflow.core.nodeids import function_of


@pytest.mark.parametrize(
    ("nodeid", "function"),
    [
        ("t.py::test_a", "t.py::test_a"),
        ("t.py::test_a[1]", "t.py::test_a"),
        ("t.py::TestB::test_a[x::y[0]]", "t.py::TestB::test_a"),
        ("odd[1]/t.py::test_a[1]", "odd[1]/t.py::test_a"),
        ("t.py", "t.py"),
    ],
)
def test_the_function_is_the_id_without_parameters(nodeid: str, function: str) -> None:
    assert function_of(nodeid) == function
