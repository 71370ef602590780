"""How a test becomes plain Python that only hands out values, and how these are judged where the expected ones stayed."""

from __future__ import annotations

import random
from typing import Any

import pytest

from pytest_agentflow.core.baring import make_bare
from pytest_agentflow.core.checks import Check, Operand, decoys, wrong
from pytest_agentflow.core.plain_values import decode, encode

SECRET = "4711"


@pytest.mark.parametrize(
    "test",
    [
        "def test_x():\n    assert f(1) == 4711",
        "def test_x():\n    assert 4711 == f(1) and f(2)",
        "def test_x():\n    assert not f(1) != 4711",
        "def test_x():\n    assert 1 < f(1) <= 4711",
        "def test_x():\n    assert f(1) in (4711, 2)",
        "def test_x():\n    assert f(1) == pytest.approx(4711, abs=0.5)",
        "def test_x():\n    expected = 4711\n    assert f(1) == expected, f'not {expected}'",
        "def test_x():\n    for a, want in [(1, 4711), (2, 3)]:\n        assert f(a) == want",
        "@pytest.mark.parametrize('a,want', [(1, 4711), pytest.param(2, 3, id='b')])\ndef test_x(a, want):\n    assert f(a) == want",
        "@pytest.mark.parametrize('want', [4711])\ndef test_x(want):\n    assert f(1) == pytest.approx(want)",
        "CASES = [(1, 4711)]\n@pytest.mark.parametrize('a,want', CASES)\ndef test_x(a, want):\n    assert f(a) == want",
        "class TestX(TestCase):\n    def setUp(self):\n        self.want = 4711\n    def test_x(self):\n        self.assertEqual(f(1), self.want)",
        "class TestX(TestCase):\n    def test_x(self):\n        self.assertAlmostEqual(f(1), 4711, places=2)",
        "class TestX(TestCase):\n    async def test_x(self):\n        self.assertEqual(await f(1), 4711)",
    ],
)
def test_an_expected_value_never_reaches_the_plain_process(test: str) -> None:
    bare = make_bare("import pytest\n" + test)
    assert SECRET not in bare.source
    assert "test_" not in bare.source
    assert any(4711 in _flat(o.values) for c in bare.checks for o in c.operands)
    assert list(bare.needed.values())


def _flat(values: tuple[Any, ...]) -> list[Any]:
    return [v for value in values for v in (value if isinstance(value, tuple) else (value,))]


@pytest.mark.parametrize(
    "test",
    [
        "@pytest.mark.parametrize('n', [7])\ndef test_x(n):\n    assert f(n) == n",
        "def test_x():\n    want = [7]\n    want.append(1)\n    assert f() == want",
        "class TestX(TestCase):\n    def setUp(self):\n        self.n = 7\n    def test_x(self):\n        self.assertEqual(f(self.n), self.n)",
        "class A(TestCase):\n    def setUp(self):\n        self.n = 7\n    def test_x(self):\n        self.assertEqual(f(), self.n)\n"
        "def helper(case):\n    return case.n",
        "T = [7]\n@pytest.mark.parametrize('n', T)\ndef test_x(n):\n    assert f() == n\ndef test_y():\n    assert len(T) == 1",
    ],
)
def test_a_value_that_the_test_uses_otherwise_stays(test: str) -> None:
    assert "7" in make_bare(test).source


def test_what_a_passing_run_must_hand_out_is_known() -> None:
    bare = make_bare(
        "def test_x(y):\n    for a, b in [(1, 2), (3, 4)]:\n        assert f(a) == b\n    if y:\n        assert y == 1\n"
        "    assert isinstance(y, int) or y\n    return\n    assert f(0) == 0\n"
    )
    assert bare.needed == {"test_x": {0: 2}}
    assert bare.held == {"test_x": 1}


VALUE, FIVE = Operand("handed"), Operand("literal", (5,))


@pytest.mark.parametrize(
    ("check", "values", "holds"),
    [
        (Check(1, (VALUE, FIVE), ("==",)), [5], True),
        (Check(1, (VALUE, FIVE), ("==",)), [6], False),
        (Check(1, (VALUE, FIVE), ("!=",), negated=True), [5], True),
        (Check(1, (FIVE, VALUE, Operand("literal", (9,))), ("<", "<=")), [9], True),
        (Check(1, (FIVE, VALUE), ("<",)), ["a"], False),
        (Check(1, (VALUE, VALUE), ("in",)), [1, [1, 2]], True),
        (Check(1, (VALUE,)), [[]], False),
        (Check(1, (VALUE, Operand("literal", (5,), tolerance=(None, 0.5, False))), ("==",)), [5.4], True),
        (Check(1, (VALUE, FIVE), ("almost",), places=1), [5.04], True),
        (Check(1, (VALUE, Operand("column", (5, 7), "w")), ("==",)), [7, 1], True),
        (Check(1, (VALUE, Operand("parameter", (5, 7), "w")), ("==",)), [7], True),
    ],
)  # fmt: skip
def test_an_assertion_is_evaluated_where_the_expected_value_is(
    check: Check, values: list[Any], holds: bool
) -> None:
    assert (wrong(check, {"values": [encode(v) for v in values]}, {"w": 1}) == "") is holds


@pytest.mark.parametrize("expected", [5, 0, -2.5, True, "AL", "", b"x", [1, 2], (), {"a": 1}, {1, 2}, None])
def test_a_value_with_code_of_its_own_must_name_the_expected_one_among_others(expected: Any) -> None:
    check = Check(1, (VALUE, Operand("literal", (expected,))), ("==",))
    values, place = decoys(expected, random.Random(1))
    assert values[place] == expected and sum(decode(encode(v)) == expected for v in values) == 1
    assert wrong(check, {"picked": [v == expected for v in values], "right": place}, {}) == ""
    assert "other values" in wrong(check, {"picked": [True] * len(values), "right": place}, {})
    assert wrong(check, {"picked": [False] * len(values), "right": place}, {})
