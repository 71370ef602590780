"""What is said of tests that never flipped."""

from __future__ import annotations

from pytest_agentflow.core.flaky_report import TestLine, TriageReport
from pytest_agentflow.core.flaky_stats import bound_without_failure
from pytest_agentflow.report.triage_words import bounds


def line(name: str, samples: int, held: tuple[str, ...] = ()) -> TestLine:
    return TestLine(name, "no flip seen", 15, 0, bound_without_failure(samples), samples, held)


def test_tests_of_which_few_runs_count_do_not_hide_behind_the_others() -> None:
    lines = (line("a", 15), line("b", 15), line("c", 3, ("the clock",)), line("d", 2, ("the clock", "seeds")))
    assert bounds(TriageReport(4, (), lines, 60, 1.0, 1.0, "60 s")) == [
        "2 tests showed no flip: each p < 18% with 95 % confidence after 15 runs or more",
        "1 test that may hang on the clock showed no flip: each p < 63% with 95 % confidence "
        "after 3 runs or more that differ in the clock",
        "1 test that may hang on the clock and seeds showed no flip: each p < 78% with 95 % confidence "
        "after 2 runs or more that differ in the clock and in seeds",
    ]
