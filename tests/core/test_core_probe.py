"""A model's reading of a unit is scored by real outcomes, and only a consistent misreading is reported."""

from __future__ import annotations

import json

from pytest_agentflow.core.model import Outcome
from pytest_agentflow.core.probe import Prediction, choose, read_answer, score

ASKED = ("t::a", "t::b", "t::c", "t::d")
TRUTH = {"t::a": Outcome.PASSED, "t::b": Outcome.FAILED, "t::c": Outcome.PASSED, "t::d": Outcome.ERROR}


def said(*passes: bool) -> list[Prediction]:
    return [Prediction(test, p) for test, p in zip(ASKED, passes, strict=False)]


def test_a_good_reading_scores_and_is_not_reported() -> None:
    got = score("calc.py::add", ASKED, said(True, False, True, True), TRUTH)
    assert (got.right, got.asked, got.wrong, got.misread) == (3, 4, ("t::d",), False)


def test_a_reading_that_is_no_better_than_a_coin_is_reported_with_its_tests() -> None:
    got = score("calc.py::add", ASKED, said(False, True, True, False), TRUTH)
    assert got.misread
    assert (
        got.line
        == "calc.py::add: 2 of 4 outcomes predicted; the model misreads this unit (wrong on t::a, t::b)"
    )


def test_silence_is_not_a_wrong_reading() -> None:
    got = score("u", ASKED, [], TRUTH)
    assert (got.right, got.unanswered, got.misread) == (0, ASKED, False)


def test_the_answer_is_found_in_prose_and_strangers_in_it_are_dropped() -> None:
    rows = [
        {"test": "t::a", "outcome": "Pass", "value": 3},
        {"test": "t::zzz", "outcome": "pass"},
        {"test": "t::b", "outcome": "maybe"},
    ]
    got = read_answer(f"I think so:\n```json\n{json.dumps(rows)}\n```\ndone", ASKED)
    assert got == (Prediction("t::a", True, "3"),)
    assert read_answer("no list here", ASKED) == ()
    assert read_answer("[not json]", ASKED) == ()


def test_targets_and_guards_are_mixed_and_the_choice_is_fixed_by_the_seed() -> None:
    targets, guards = [f"t::f{n}" for n in range(9)], [f"t::p{n}" for n in range(9)]
    chosen = choose(targets, guards, 1)
    assert len(chosen) == 6
    assert len(set(chosen) & set(targets)) == 3
    assert chosen == choose(targets, guards, 1) != choose(targets, guards, 2)
