"""A veto without a counterexample that runs and fails does not block; with one it does."""

from __future__ import annotations

import pytest

from pytest_agentflow.core.model import Outcome
from pytest_agentflow.core.review import SILENCE, Objection, Ran, Standing, admissible, rule

VETO = Objection(
    "rev1",
    "negative numbers come out wrong",
    "from calc import add\n\ndef test_n():\n    assert add(-1, 1) == 0\n",
)
TALK = Objection("rev2", "I do not like it")
FAILS = Ran(VETO, Outcome.FAILED, Outcome.FAILED, file="counterexample-1.py")


def test_talk_is_advice_and_does_not_block() -> None:
    ruling = rule([Ran(TALK, None, None)], times_sent_back=0)
    assert (ruling.standing, ruling.advice) == (Standing.UPHELD, (TALK,))


@pytest.mark.parametrize(
    "patched", [Outcome.PASSED, Outcome.ERROR, Outcome.SKIPPED, Outcome.TIMEOUT, Outcome.MISSING, None]
)
def test_a_counterexample_that_does_not_fail_in_its_own_assertion_does_not_block(
    patched: Outcome | None,
) -> None:
    assert rule([Ran(VETO, patched, None)], times_sent_back=0).standing is Standing.UPHELD


def test_a_reviewer_that_fell_silent_is_told_from_one_that_found_nothing() -> None:
    assert rule([], times_sent_back=0).reason == "no objection"
    silent = Ran(Objection("reviewer1", "no key"), None, None, SILENCE)
    ruling = rule([silent, Ran(TALK, None, None)], times_sent_back=0)
    assert ruling.standing is Standing.UPHELD
    assert (
        ruling.reason
        == "1 of the reviews did not finish (no key); 1 objection without a counterexample that counts"
    )


def test_a_refuted_patch_goes_back_once_with_the_counterexample() -> None:
    ruling = rule([Ran(TALK, None, None), FAILS], times_sent_back=0)
    assert ruling.standing is Standing.SENT_BACK
    assert ruling.counterexamples == (FAILS,)
    assert ruling.advice == (TALK,)
    assert "counterexample-1.py" in ruling.reason


def test_refuted_again_is_unresolved_with_both_sides() -> None:
    ruling = rule([FAILS], times_sent_back=1, author_side="negative input is not allowed")
    assert ruling.standing is Standing.UNRESOLVED
    assert "negative numbers come out wrong" in ruling.reason
    assert "negative input is not allowed" in ruling.reason


@pytest.mark.parametrize(
    ("source", "words"),
    [
        ("def test_x(:\n", "not Python"),
        ("x = 1\n", "no test function"),
        ("def test_x():\n    assert False\n", "imports nothing of the project"),
        ("import calc\n\ndef test_x():\n    assert False\n", "no assertion depends"),
        ("import calc\n\ndef test_x():\n    x = 1\n    assert x == 2\n", "no assertion depends"),
        ("import os\n\ndef test_x():\n    assert os.getcwd() == 1\n", "imports nothing of the project"),
        (VETO.test, ""),
        ("import pytest\nimport calc\n\ndef test_x():\n    with pytest.raises(ValueError):\n        calc.add(1, None)\n", ""),
    ],
)  # fmt: skip
def test_a_counterexample_must_ask_the_project_something(source: str, words: str) -> None:
    reason = admissible(source, ["calc"])
    assert words in reason if words else reason == ""
