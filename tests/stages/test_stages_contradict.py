"""Tests that disagree are found whichever way they say what they want; what another test leaves open is no contradiction."""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "benchmarks"))

from oracle_cases import case

from pytest_agentflow.stages.contradict import contradict

CODE = """def half(n):
    if n < 0:
        raise ValueError("negative")
    return n / 2
"""
TESTS = """import unittest

import pytest
from calc import half


def test_near():
    assert half(1) == pytest.approx(0.4)


def test_near_objects():
    assert half(1) == pytest.approx(0.5)


def test_among():
    assert half(2) in (0, 2)


def test_among_objects():
    assert half(2) == 1


def test_open():
    assert half(4) in (1, 3)


def test_open_allows():
    assert half(4) in (2, 3)


def test_raises():
    with pytest.raises(TypeError):
        half(6)


def test_raises_objects():
    assert half(6) == 3


def test_value():
    assert half(-2) == -1


def test_value_objects():
    with pytest.raises(ValueError):
        half(-2)


def test_alone():
    with pytest.raises(TypeError):
        half(100)


class MethodTest(unittest.TestCase):
    def test_member(self):
        self.assertIn(half(8), [5])

    def test_objects(self):
        self.assertEqual(half(8), 4)
"""


def test_every_way_of_demanding_a_value_or_an_exception_can_contradict() -> None:
    with case({"calc.py": CODE, "tests/test_calc.py": TESTS}) as made:
        found = contradict(made.attempt(hide=0), made.context())
    told = {c.target.rpartition("::")[2]: c for c in found}
    assert set(told) == {"test_near", "test_among", "test_raises", "test_value", "test_member"}
    assert all("objects" in str(c.against[0]["test"]) for c in found)
    assert "demands half(n=6) raises TypeError" in told["test_raises"].words()
    assert "no exception where it wants ValueError" in told["test_value"].words()
