"""Tests outside of the selection count as shown where they fail in the same place."""

from __future__ import annotations

from pytest_agentflow.core.alike import outside_alike
from pytest_agentflow.core.model import Failure, Frame, Observation, Outcome, TestResult


def red(name: str, kind: str, *frames: tuple[str, int]) -> TestResult:
    failure = Failure("call", kind, "", tuple(Frame(path, line, "f") for path, line in frames))
    return TestResult(name, Outcome.FAILED, failure=failure)


def test_the_same_exception_from_the_same_line_of_source_is_the_same_failure() -> None:
    chosen, crash = "t.py::test_chosen", ("m.py", 7)
    results = [
        red(chosen, "ValueError", ("t.py", 3), crash),
        red("t.py::test_same", "ValueError", ("t.py", 9), ("m.py", 2), crash),
        red("t.py::test_other_kind", "KeyError", ("t.py", 12), crash),
        red("t.py::test_elsewhere", "ValueError", ("t.py", 15), ("m.py", 8)),
        red("t.py::test_own_assertion", "AssertionError", ("t.py", 18)),
        TestResult("t.py::test_green", Outcome.PASSED),
    ]
    names = tuple(r.nodeid for r in results)
    seen = Observation("tree", (chosen,), names, {r.nodeid: r for r in results})
    assert outside_alike(seen) == ("t.py::test_same",)


def test_assertions_of_the_tests_themselves_are_no_reason() -> None:
    results = {n: red(n, "AssertionError", ("t.py", 5)) for n in ("t.py::test_a", "t.py::test_b")}
    assert outside_alike(Observation("tree", ("t.py::test_a",), tuple(results), results)) == ()
