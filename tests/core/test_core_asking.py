"""Whom a survey asks: quick tests that may be asked, and that run the line."""

from __future__ import annotations

from collections.abc import Sequence

from pytest_agentflow.core import asking
from pytest_agentflow.core.model import LineScore, Observation, Outcome, TestResult

PASSED, FAILED = Outcome.PASSED, Outcome.FAILED


def observed(*results: tuple[str, Outcome, float]) -> Observation:
    ids = tuple(name for name, _, _ in results)
    return Observation("tree", ids, ids, {n: TestResult(n, o, seconds) for n, o, seconds in results})


def reaching(held: dict[int, Sequence[str]]) -> asking.Reaching:
    return lambda _path, lines: [test for line in lines for test in held.get(line, ())]


def lines(*numbers: int) -> list[LineScore]:
    return [LineScore("m.py", number, 0.1) for number in numbers]


def test_slow_tests_and_modules_that_cannot_be_collected_are_not_asked() -> None:
    seen = observed(("t.py::a", FAILED, 0.1), ("t.py::b", FAILED, 5.0), ("u.py", FAILED, 0.0))
    assert asking.visible(["t.py::a", "t.py::b", "u.py"], seen, 0.0, 0) == ["t.py::a"]


def test_what_will_be_held_out_is_not_asked() -> None:
    names = [f"t.py::{n}" for n in range(8)]
    seen = observed(*((name, FAILED, 0.1) for name in names))
    assert len(asking.visible(names, seen, 0.25, 0)) == 6


def test_guards_are_the_passing_tests_that_reach_the_most_suspects_in_the_order_of_the_suite() -> None:
    seen = observed(("a", PASSED, 0.1), ("b", FAILED, 0.1), ("c", PASSED, 0.1), ("d", PASSED, 9.0))
    held = {1: ["b", "c", "d"], 2: ["c", "a"]}
    assert asking.guards(lines(1, 2), seen, reaching(held)) == ("a", "c")


def test_of_many_guards_those_stay_that_reach_more_and_take_less() -> None:
    many = [(f"t{n}", PASSED, 0.5 - n / 100) for n in range(asking.MOST_GUARDS + 1)]
    seen = observed(*many)
    held = {1: [name for name, _, _ in many], 2: ["t0"]}
    chosen = asking.guards(lines(1, 2), seen, reaching(held))
    assert len(chosen) == asking.MOST_GUARDS
    assert "t0" in chosen  # the slowest, but it reaches both
    assert "t1" not in chosen


def test_lines_far_down_have_no_guards() -> None:
    seen = observed(("a", PASSED, 0.1))
    far = lines(*range(1, asking.GUARDED_LINES + 2))
    assert asking.guards(far, seen, reaching({asking.GUARDED_LINES + 1: ["a"]})) == ()


def test_everybody_who_runs_the_line_is_asked_for_a_second_of_failing_and_of_passing_tests() -> None:
    seen = observed(
        ("slow", FAILED, 0.9), ("red", FAILED, 0.2), ("held out", FAILED, 0.1), ("green", PASSED, 0.1), ("elsewhere", PASSED, 0.1)
    )  # fmt: skip
    names = frozenset(seen.collected)
    everybody = asking.Everybody(
        ["red", "slow"], seen, reaching({3: ["green", "held out", "red", "slow"]}), names
    )
    assert everybody.of("m.py", 3) == (["red"], ["green"])


def test_tests_that_are_not_collected_where_edits_run_are_not_asked() -> None:
    seen = observed(("red", FAILED, 0.1), ("green", PASSED, 0.1))
    everybody = asking.Everybody(["red"], seen, reaching({3: ["red", "green"]}), frozenset({"green"}))
    assert everybody.of("m.py", 3) == ([], ["green"])
