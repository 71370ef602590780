"""Inputs near those that the tests show."""

from __future__ import annotations

from typing import Any

import pytest

from pytest_agentflow.core.neighbours import near, neighbours


@pytest.mark.parametrize(
    "value", [True, 3, -2.5, "Ada", "", b"x", [1, 2], (), (1, "a"), {"a": 1}, {1, 2}, [[1], [2]]]
)
def test_a_neighbour_is_of_the_same_type_and_differs(value: Any) -> None:
    assert all(type(n) is type(value) for n in near(value))
    assert any(n != value for n in near(value)) or not value


def test_the_list_has_something_of_every_argument_and_call_and_none_that_is_shown() -> None:
    shown = [(2, "a"), (3, "b")]
    found = neighbours(shown, 12)
    assert len(found) == 12 and not set(found) & set(shown)
    assert {a for a, _ in found} > {2, 3} and {b for _, b in found} > {"a", "b"}
    assert found == neighbours(shown, 12)
    assert neighbours([()]) == []
