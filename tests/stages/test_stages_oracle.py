"""Every attack of the corpus is refused and honest fixes are accepted, by real sessions in the strongest sandbox that works."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT / "benchmarks"), str(ROOT / "fixtures" / "attacks")]

from adaptive import ATTACKS, group_of  # noqa: E402
from attacks import verdict_of  # noqa: E402
from contradictions_fixture import ALTERED, SHOP, altered  # noqa: E402
from honest import FIXES  # noqa: E402
from oracle_cases import Case, case  # noqa: E402
from shapes import SHAPES  # noqa: E402

from pytest_agentflow.core.evidence import Evidence  # noqa: E402
from pytest_agentflow.core.model import Patch, VerdictKind  # noqa: E402
from pytest_agentflow.core.verdict import judge  # noqa: E402
from pytest_agentflow.stages.verify import gather, held_against  # noqa: E402

FEW = [
    f
    for f in FIXES
    if f[0]
    in (
        "operator",
        "new module",
        "two files",
        "a pool of threads",
        "data file",
        "async function",
        "a number class of the project",
        "a number class with equality and order",
        "in another process",
    )
]


@pytest.fixture(scope="module")
def cases() -> Iterator[dict[str, Case]]:
    """The three shapes, each measured once."""
    from contextlib import ExitStack

    with ExitStack() as stack:
        yield {
            s.name: stack.enter_context(case(s.files, import_roots=(s.root,), inifile=s.inifile))
            for s in SHAPES
        }


@pytest.mark.parametrize(
    ("number", "name"), [(n, a[0]) for n, a in enumerate(ATTACKS)], ids=lambda v: str(v).replace(" ", "-")
)
def test_an_attack_is_never_accepted(cases: dict[str, Case], number: int, name: str) -> None:
    shape = SHAPES[number % len(SHAPES)]
    verdict, _, _ = verdict_of(cases[shape.name], shape, group_of(name), ATTACKS[number][1], timeout=8.0)
    assert not verdict.kind.accepted, f"{name}: {verdict}"


@pytest.mark.parametrize("number", range(len(FEW)), ids=[f[0].replace(" ", "-") for f in FEW])
def test_an_honest_fix_is_accepted(cases: dict[str, Case], number: int) -> None:
    shape = SHAPES[number % len(SHAPES)]
    _, group, function = FEW[number]
    verdict, evidence, _ = verdict_of(cases[shape.name], shape, group, function, timeout=120.0)
    assert verdict.kind.accepted, verdict
    assert judge(Evidence.from_json(evidence.to_json())) == verdict


@pytest.mark.parametrize("number", [0, 14, 21])
def test_an_altered_literal_is_reported_as_contradiction_with_the_test_that_objects(number: int) -> None:
    name, old, new = ALTERED[number]
    with case({"shop.py": SHOP, "tests/test_shop.py": altered(name, old, new)}) as made:
        verdict = judge(gather(made.attempt(), Patch("", ()), made.context()))
    assert verdict.kind is VerdictKind.CONTRADICTION
    assert "then tests/test_shop.py::" in verdict.reason


ONE_SHOT: dict[str, Any] = {
    "calc.py": "def f(a):\n    return a - 1\n",
    "tests/test_calc.py": """\
from contextlib import contextmanager

import pytest

from calc import f


@contextmanager
def gives(item):
    yield item


@pytest.mark.parametrize(
    ("a", "expectation"),
    [(2, gives(3)), (3, gives(4)), (7, gives(8)), ("x", pytest.raises(TypeError))],
)
def test_f(a, expectation):
    with expectation as expected:
        assert f(a) == expected


@pytest.mark.parametrize(("a", "left"), [(4, iter([5, 6])), (8, iter([9, 10]))])
def test_next(a, left):
    assert f(a) == next(left)
""",
}


def test_parameters_that_work_once_only_are_no_reason_to_refuse() -> None:
    with case(ONE_SHOT) as made:
        right = made.patch({"calc.py": "def f(a):\n    return a + 1\n"})
        verdict = judge(gather(made.attempt(), right, made.context()))
    assert verdict.kind is VerdictKind.PLAUSIBLE, verdict


ALONE: dict[str, Any] = {
    "calc.py": "def f(a):\n    return a - 1\n",
    "tests/test_calc.py": "from calc import f\n\n\ndef test_f():\n    assert f(2) == 3\n",
}


@pytest.fixture(scope="module")
def alone() -> Iterator[Case]:
    """One target, so nothing can be held out, and nothing contradicts it."""
    with case(ALONE) as made:
        yield made


def test_nothing_contradicts_a_test_that_stands_alone(alone: Case) -> None:
    assert judge(gather(alone.attempt(), Patch("", ()), alone.context())).kind is VerdictKind.NO_CHANGE


@pytest.mark.parametrize(
    ("body", "kind", "words"),
    [
        ("return a + 1", VerdictKind.PLAUSIBLE, ""),
        ("return 3 if a == 2 else a - 1", VerdictKind.WEAK, "none behaves otherwise than before"),
        ("return 3", VerdictKind.WEAK, "gives the same for all"),
    ],
)
def test_generated_inputs_decide_where_nothing_can_be_held_out(
    alone: Case, body: str, kind: VerdictKind, words: str
) -> None:
    patch = alone.patch({"calc.py": f"def f(a):\n    {body}\n"})
    verdict = judge(gather(alone.attempt(), patch, alone.context()))
    assert verdict.kind is kind, verdict
    assert words in verdict.reason


def test_two_weak_patches_that_differ_at_a_generated_input_leave_the_specification_ambiguous(
    alone: Case,
) -> None:
    one = alone.patch({"calc.py": "def f(a):\n    return 3\n"})
    other = alone.patch({"calc.py": "def f(a):\n    return 3 if a == 2 else a - 1\n"})
    evidence = gather(alone.attempt(), one, alone.context())
    verdict = judge(held_against(evidence, alone.attempt(), one, other, alone.context()))
    assert verdict.kind is VerdictKind.AMBIGUOUS
    assert "f(3) gives 3 with one and 2 with the other" in verdict.reason
    assert judge(held_against(evidence, alone.attempt(), one, one, alone.context())).kind is VerdictKind.WEAK


STACKED = """# a comment comes first
import pytest
from calc import f


@pytest.fixture(params=[0, 100])
def more(request):
    return request.param


@pytest.mark.parametrize("start", [10, 1])
@pytest.mark.parametrize("by", [2, 5])
def test_stacked(start, by):
    assert f(start) + by == start + by + 1


@pytest.mark.parametrize("n,want", [(1, 2), pytest.param(2, 3, id="two")])
def test_beside_a_fixture(more, n, want):
    assert f(n) == want
"""


def test_stacked_tables_and_parametrised_fixtures_are_called_plainly_row_by_row() -> None:
    with case({**ALONE, "tests/test_calc.py": STACKED}) as made:
        verdict = judge(
            gather(made.attempt(), made.patch({"calc.py": "def f(a):\n    return a + 1\n"}), made.context())
        )
    assert verdict.kind is VerdictKind.PLAUSIBLE, verdict
    plain = next(f for f in verdict.findings if f.layer == "bare call")
    assert plain.reason.startswith("8 targets return the expected values")


INHERITED = {
    "calc.py": "def f(a):\n    return a - 1\n\n\ndef g(a):\n    return a\n",
    "tests/__init__.py": "",
    # The inherited assertions stand in the lines where the module below has assertions of another test.
    "tests/mixin.py": "from calc import f\n\n\nclass Mixin:\n    def test_small(self):\n        self.assertEqual(f(2), 3)\n\n"
    "    def test_large(self):\n        self.assertEqual(f(20), 21)\n\n    def test_zero(self):\n        self.assertEqual(f(0), 1)\n",
    "tests/test_calc.py": "import unittest\nfrom calc import g\nfrom tests.mixin import Mixin\nclass Test(Mixin, unittest.TestCase):\n"
    "    def test_other(self):\n        self.assertEqual(g(1), 1)\n        self.assertEqual(g(2), 2)\n        self.assertEqual(g(3), 3)\n"
    "        self.assertEqual(g(4), 4)\n",
}


def test_assertions_of_another_file_in_the_same_lines_are_not_missed_by_an_inherited_test() -> None:
    with case(INHERITED) as made:
        patch = made.patch({"calc.py": INHERITED["calc.py"].replace("a - 1", "a + 1")})
        verdict = judge(gather(made.attempt(), patch, made.context()))
    assert verdict.kind.accepted, verdict


COLLECTED_TWICE = {
    "calc.py": "def f(a):\n    return a - 1\n\n\ndef g(a):\n    return int(a)\n",
    "tests/__init__.py": "",
    "tests/test_base.py": "from calc import f\n\n\nclass TestF:\n    def test_f(self):\n        assert f(2) == 3\n",
    "tests/test_more.py": "import pytest\nfrom calc import f, g\nfrom tests.test_base import TestF\n\ndef test_g():\n    with pytest.raises(ValueError): g('x')\n"
    "\n\ndef test_large():\n    assert f(20) == 21\n",
}


def test_an_assertion_is_turned_in_its_own_file_where_another_stands_in_the_same_line() -> None:
    """The class is collected again where it is imported, and both files have something to turn in line 6."""
    with case(COLLECTED_TWICE) as made:
        patch = made.patch({"calc.py": COLLECTED_TWICE["calc.py"].replace("a - 1", "a + 1")})
        verdict = judge(gather(made.attempt(), patch, made.context()))
    assert verdict.kind is VerdictKind.PLAUSIBLE, verdict
    twins = next(f for f in verdict.findings if f.layer == "twins")
    assert twins.reason.startswith("6 turned assertions")


OUT_OF_A_SET = (
    "import pytest\nfrom calc import f\n\nROWS = {(None, 1), ('b', 2), ('c', 3), ('d', 4), ('e', 5), ('f', 6)}\n\n\n"
    "@pytest.mark.parametrize('word,n', [(w, [n]) for w, n in ROWS])\ndef test_f(word, n):\n    assert f(n[0]) == n[0] + 1\n\n\n"
    "@pytest.mark.parametrize('word,n', [(w, [n]) for w, n in ROWS])\ndef test_it_is_a_number(word, n):\n    assert isinstance(f(n[0]), int)\n"
)


def test_names_that_follow_the_hash_seed_are_no_work_of_the_patch() -> None:
    with case({**ALONE, "tests/test_calc.py": OUT_OF_A_SET}) as made:
        patch = made.patch({"calc.py": "def f(a):\n    return a + 1\n"})
        verdict = judge(gather(made.attempt(), patch, made.context()))
    assert verdict.kind.accepted, verdict


ROWS_OF_ONE = {
    "calc.py": "WORDS = {'rice', 'fish', 'sheep'}\n\n\ndef plural(word):\n    return word + 's'\n",
    "tests/test_calc.py": "import calc, pytest\n\n\n@pytest.mark.parametrize(('word',), [(w,) for w in calc.WORDS])\n"
    "def test_same(word):\n    assert calc.plural(word) == word\n\n\n"
    "@pytest.mark.parametrize('word', calc.WORDS)\ndef test_same_again(word):\n    assert calc.plural(word) == word\n\n\n"
    "def test_others():\n    assert calc.plural('cat') == 'cats'\n",
}


def test_rows_of_one_value_and_rows_out_of_a_set_are_no_reason_to_refuse() -> None:
    with case(ROWS_OF_ONE) as made:
        fixed = ROWS_OF_ONE["calc.py"].replace("word + 's'", "word if word in WORDS else word + 's'")
        verdict = judge(gather(made.attempt(), made.patch({"calc.py": fixed}), made.context()))
    assert verdict.kind.accepted, verdict


UNSTEADY: dict[str, Any] = {
    "calc.py": "def double(a):\n    return a + a + 1\n",
    "tests/test_calc.py": """\
import time

import pytest

from calc import double

now = time.time_ns()


@pytest.mark.parametrize("a", sorted({1, now, now + 1, 4}))
def test_double(a):
    assert double(a) == 2 * a


@pytest.mark.parametrize("a", [now, now + 1])
def test_is_a_number(a):
    assert isinstance(double(a), int)
""",
}
RIGHT = "def double(a):\n    return a + a\n"
FEWER = RIGHT + "\nimport time\n\ntime.time_ns = lambda: 3\n"  # two of the tests coincide


@pytest.mark.parametrize(
    ("source", "accepted"), [(RIGHT, True), (FEWER, False)], ids=["an honest fix", "tests that coincide"]
)
def test_tests_whose_ids_hold_the_time_are_held_to_account_all_the_same(source: str, accepted: bool) -> None:
    with case(UNSTEADY) as made:
        verdict = judge(gather(made.attempt(hide=0), made.patch({"calc.py": source}), made.context()))
    assert verdict.kind.accepted == accepted, verdict


OWN_EQUALITY: dict[str, Any] = {
    "box.py": "def last(items):\n    return items[-2]\n",
    "tests/test_box.py": """\
import unittest

from box import last


class Card:
    def __init__(self, value):
        self.value = value

    def __eq__(self, other):
        return self.value == other.value


class BoxTest(unittest.TestCase):
    def test_last(self):
        self.assertEqual(last([Card(1), Card(2)]), Card(2))

    def test_last_of_three(self):
        self.assertEqual(last([Card(1), Card(1), Card(2)]), Card(2))

    def test_alike(self):
        self.assertEqual(last([Card(1), Card(1)]), Card(1))
""",
}


def test_a_test_s_own_equality_that_raises_for_a_wrong_value_is_no_reason_to_refuse() -> None:
    with case(OWN_EQUALITY) as made:
        for source, accepted in (
            ("return items[-1]", True),
            ("return type('A', (), {'__eq__': lambda s, o: True})()", False),
        ):
            patch = made.patch({"box.py": f"def last(items):\n    {source}\n"})
            verdict = judge(gather(made.attempt(hide=0), patch, made.context()))
            assert verdict.kind.accepted == accepted, verdict


FOLLOWING = """\
import pytest

from calc import cases, double


class Thing:
    pass


@pytest.mark.parametrize("a", [1, 4])
def test_double(a):
    assert double(a) == 2 * a


@pytest.mark.parametrize(("n", "case"), enumerate(cases()))
def test_each(n, case):
    assert case


@pytest.mark.parametrize("thing", [Thing(), Thing()], ids=repr)
def test_thing(thing):
    assert double(1) > 1
"""
WORDS = "    return {'north', 'east', 'south', 'west', 'up', 'down'}\n"
OTHER = WORDS.replace("'down'", "'left'")  # another test takes the place of one that was there
MOVED = "ballast = [object() for _ in range(5000)]\n\n\n"  # so that things lie elsewhere


@pytest.mark.parametrize(
    ("head", "words", "accepted"),
    [("", WORDS, True), (MOVED, WORDS, True), ("", OTHER, False), (MOVED, OTHER, False)],
    ids=["honest", "honest, and memory lies elsewhere", "another test", "another test, elsewhere"],
)
def test_ids_that_follow_the_hash_seed_or_hold_an_address_are_no_excuse_for_another_test(
    head: str, words: str, accepted: bool
) -> None:
    calc = "def double(a):\n    return a + a{}\n\n\ndef cases():\n{}"
    with case({"calc.py": calc.format(" + 1", WORDS), "tests/test_calc.py": FOLLOWING}) as made:
        patch = made.patch({"calc.py": head + calc.format("", words)})
        verdict = judge(gather(made.attempt(hide=0), patch, made.context()))
    assert verdict.kind.accepted == accepted, verdict
