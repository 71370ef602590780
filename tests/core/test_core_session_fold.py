"""What can be believed of a child session."""

from __future__ import annotations

from typing import Any

import pytest

from pytest_agentflow.core.model import Outcome
from pytest_agentflow.core.session_fold import Ending, fold, with_collectors

CLEAN = Ending(exit_code=0, timed_out=False, broken=None, duration=1.0, output="")


def report(nodeid: str, when: str, outcome: str = "passed") -> dict[str, Any]:
    return {
        "e": "report",
        "id": nodeid,
        "when": when,
        "outcome": outcome,
        "xfail": False,
        "duration": 0.1,
        "failure": None,
    }


def passing(nodeid: str) -> list[dict[str, Any]]:
    return [{"e": "start", "id": nodeid}, *(report(nodeid, when) for when in ("setup", "call", "teardown"))]


FINISH = {"e": "finish", "status": 0, "cpu": 0.5}


def test_a_whole_session_is_believed() -> None:
    record = fold([{"e": "collected", "ids": ["a", "b"]}, *passing("a"), *passing("b"), FINISH], CLEAN)
    assert record.problem is None
    assert {i: r.outcome for i, r in record.results.items()} == {"a": Outcome.PASSED, "b": Outcome.PASSED}
    assert record.results["a"].duration == pytest.approx(0.3)


def test_a_collected_test_without_a_report_is_missing_even_when_the_exit_code_is_zero() -> None:
    record = fold([{"e": "collected", "ids": ["a", "b"]}, *passing("a"), FINISH], CLEAN)
    assert record.results["b"].outcome is Outcome.MISSING


@pytest.mark.parametrize(
    ("messages", "ending", "problem"),
    [
        ([], Ending(0, False, None, 1.0, ""), "no finish event (exit code 0)"),
        ([], Ending(4, False, None, 1.0, ""), "usage error"),
        (
            [FINISH],
            Ending(1, False, None, 1.0, ""),
            "exit code disagrees: the session finished with 0, the process with 1",
        ),
        ([FINISH], Ending(0, True, None, 1.0, ""), "timeout"),
        (
            [FINISH],
            Ending(0, False, "a frame without the session's nonce", 1.0, ""),
            "channel broken: a frame without the session's nonce",
        ),
        (
            [{"e": "worker_lost", "worker": "gw0", "error": ""}, FINISH],
            Ending(0, False, None, 1.0, ""),
            "a worker was lost",
        ),
    ],
)
def test_every_disagreement_is_a_named_problem(messages: list, ending: Ending, problem: str) -> None:
    assert fold(messages, ending).problem == problem


@pytest.mark.parametrize(("timed_out", "expected"), [(False, Outcome.CRASHED), (True, Outcome.TIMEOUT)])
def test_the_test_that_ran_when_the_process_ended_is_named(timed_out: bool, expected: Outcome) -> None:
    messages = [
        {"e": "collected", "ids": ["a", "b", "c"]},
        *passing("a"),
        {"e": "start", "id": "b"},
        report("b", "setup"),
    ]
    record = fold(messages, Ending(-9, timed_out, None, 1.0, ""))
    assert record.results["b"].outcome is expected
    assert record.results["c"].outcome is Outcome.MISSING


@pytest.mark.parametrize(
    ("messages", "expected"),
    [
        ([], Outcome.MISSING),
        ([{"e": "collected", "ids": ["m.py::a", "n.py::b"]}, *passing("m.py::a")], Outcome.PASSED),
        ([{"e": "collected", "ids": ["m.py::a"]}], Outcome.FAILED),
        (
            [{"e": "collect_error", "id": "m.py", "failure": {"phase": "collect", "kind": "ImportError"}}],
            Outcome.ERROR,
        ),
    ],
)
def test_a_module_that_collects_again_and_passes_a_test_is_flipped(messages: list, expected: Outcome) -> None:
    record = with_collectors(fold([*messages, FINISH], CLEAN), ["m.py", "n.py::b"])
    assert record.results["m.py"].outcome is expected
    assert not any(i.startswith("m.py::") for i in record.results)
