"""Tests whose ids change are told apart by function and place; what does not fit stays lost."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_agentflow.core.nodeids import function_of
from pytest_agentflow.core.unsteady import siblings, stand_ins

CASES = [
    ("nothing changed", ["a[1]", "a[2]"], ["a[1]", "a[2]"], {}),
    ("one id changed", ["a[1]", "a[9:15]"], ["a[1]", "a[9:14]"], {"a[9:15]": "a[9:14]"}),
    ("two in order", ["a[3]", "a[4]"], ["a[1]", "a[2]"], {"a[3]": "a[1]", "a[4]": "a[2]"}),
    ("one test fewer", ["a[3]"], ["a[1]", "a[2]"], {"a[3]": "a[1]"}),
    ("one test more", ["a[3]", "a[4]"], ["a[1]"], {"a[3]": "a[1]"}),
    ("another function", ["b[3]"], ["a[1]"], {}),
    ("no parameters", ["b"], ["a"], {}),
    ("all gone", [], ["a[1]"], {}),
]


@pytest.mark.parametrize(("collected", "known", "told"), [c[1:] for c in CASES], ids=[c[0] for c in CASES])
def test_a_new_id_stands_for_the_lost_one_of_the_same_function_at_its_place(
    collected: list[str], known: list[str], told: dict[str, str]
) -> None:
    def path(i: str) -> str:
        return f"t.py::{i}"

    found = stand_ins([path(i) for i in collected], [path(i) for i in known])
    assert found == {path(new): path(old) for new, old in told.items()}


IDS = st.lists(st.builds("t.py::{}[{}]".format, st.sampled_from("ab"), st.integers(0, 5)), unique=True)


@given(IDS, IDS)
def test_nobody_stands_for_what_is_there_nor_for_two(collected: list[str], known: list[str]) -> None:
    found = stand_ins(collected, known)
    assert set(found) <= set(collected) - set(known)
    assert set(found.values()) <= set(known) - set(collected)
    assert len(set(found.values())) == len(found)
    assert all(function_of(new) == function_of(old) for new, old in found.items())


def test_siblings_are_the_parametrised_tests_of_the_same_functions() -> None:
    known = ["t.py::a[1]", "t.py::b[1]", "t.py::a[2]", "t.py::c"]
    assert siblings(["t.py::a[2]", "t.py::c"], known) == ["t.py::a[1]", "t.py::a[2]"]
