"""The JUnit file of the final state, read back by the library that others read it with."""

from __future__ import annotations

import junitparser
import pytest

from pytest_agentflow.core.model import Failure, Outcome, TestResult
from pytest_agentflow.report.junit import names, render
from pytest_agentflow.report.model import RunReport

RESULTS = {
    r.nodeid: r
    for r in [
        TestResult("tests/a/test_x.py::TestC::test_ok[1::2/3]", Outcome.PASSED, 0.25),
        TestResult("tests/test_y.py::test_bad", Outcome.FAILED, 0.5, failure=Failure("call", "AssertionError", "1 != 2 <&>", text="trace\x1b[0m")),
        TestResult("tests/test_y.py::test_setup", Outcome.ERROR, failure=Failure("setup", "OSError", "no disk")),
        TestResult("tests/test_y.py::test_skip", Outcome.SKIPPED),
        TestResult("tests/test_y.py::test_crash", Outcome.CRASHED),
    ]
}  # fmt: skip


@pytest.fixture(scope="module")
def suite(report: RunReport) -> junitparser.TestSuite:
    text = render([*RESULTS, "tests/test_y.py::test_lost"], RESULTS, report)
    (found,) = junitparser.JUnitXml.fromstring(text.encode())
    return found


def test_counts_add_up(suite: junitparser.TestSuite) -> None:
    assert (suite.tests, suite.failures, suite.errors, suite.skipped) == (6, 1, 3, 1)


def test_a_collected_test_without_a_result_is_an_error(suite: junitparser.TestSuite) -> None:
    lost = next(case for case in suite if case.name == "test_lost")
    assert lost.is_error and lost.result[0].message == "collected, never reported"


def test_messages_survive_and_control_characters_do_not(suite: junitparser.TestSuite) -> None:
    bad = next(case for case in suite if case.name == "test_bad")
    assert bad.result[0].message == "1 != 2 <&>" and bad.result[0].text == "trace\\x1b[0m"


def test_names_are_those_of_pytests_own_report() -> None:
    assert names("tests/a/test_x.py::TestC::test_ok[1::2/3]") == ("tests.a.test_x.TestC", "test_ok[1::2/3]")
    assert names("test_y.py::test_z") == ("test_y", "test_z")
