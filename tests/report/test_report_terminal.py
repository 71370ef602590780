"""The final summary reads like pytest's own."""

from __future__ import annotations

from dataclasses import replace

from report_journals import Journal, repaired

from pytest_agentflow.report.building import build
from pytest_agentflow.report.model import Delivered, RunReport
from pytest_agentflow.report.terminal import Paper, attempt, summary


def test_the_summary_names_every_target_with_state_and_reason(report: RunReport) -> None:
    text = summary(report, Paper(100), "runs/x/transcript.html")
    assert "FIXED tests/test_tax.py::test_rate - r1-a1 src/shop/tax.py (+1 -2)" in text
    assert "PLAUSIBLE BUT WEAK tests/test_dates.py::test_due" in text and "nothing held out" in text
    assert "FLAKY tests/test_net.py::test_poll - 2 of 5 reruns passed on unchanged code" in text
    assert "NO PATCH tests/test_io.py::test_read - r1-a3 regressed:" in text


def test_the_summary_says_rates_spend_branch_and_transcript(report: RunReport) -> None:
    text = summary(report, Paper(100), "runs/x/transcript.html")
    assert "round 1  59/66   89.3 %" in text and "round 2  62/66   93.9 %" in text
    assert "branch agentflow/20261121-0145-k3" in text
    assert "no model asked" in text
    assert "transcript:  runs/x/transcript.html" in text
    assert "resume" not in text
    assert text.splitlines()[-1].strip("= ").endswith("89.3 % -> 93.9 % in 22.0 s")


def test_an_interrupted_run_prints_the_command_that_resumes_it(interrupted: RunReport) -> None:
    for verbose in (0, -1):
        assert "pytest --agent-resume 20261121-0145-k3" in summary(interrupted, Paper(80, verbose=verbose))


def test_a_log_gets_no_escape_and_a_terminal_gets_colour(report: RunReport) -> None:
    assert "\x1b" not in summary(report, Paper(80))
    coloured = summary(report, Paper(80, colour=True))
    assert "\x1b[32mFIXED\x1b[0m" in coloured
    assert "\x1b[31mred" not in coloured, "the test's own escape must not survive"


def test_lines_fit_pytests_rules(report: RunReport) -> None:
    rules = [line for line in summary(report, Paper(80)).splitlines() if line.startswith("=")]
    assert len(rules) == 4 and all(len(line) == 80 for line in rules[:3])


def test_a_wide_run_is_cut_and_says_how_much_was_cut(wide_report: RunReport) -> None:
    short = summary(wide_report, Paper(100))
    assert len(short.splitlines()) < 100
    assert "more no patch; all of them with -v and in the transcript" in short
    assert len(summary(wide_report, Paper(100, verbose=1)).splitlines()) > 300


def test_quiet_still_says_what_was_changed_what_was_not_and_where_it_is(report: RunReport) -> None:
    *units, where, last = (
        summary(report, Paper(80, verbose=-1), "runs/x/transcript.html").strip().splitlines()
    )
    assert units[0] == "FIXED tests/test_tax.py::test_rate and 1 more - r1-a1 src/shop/tax.py (+1 -2)"
    assert any(line.startswith("NO PATCH tests/test_io.py::test_read - r1-a3 regressed: ") for line in units)
    assert len(units) == 6, "one line for what one attempt fixed or could not fix"
    assert where == (
        "patches: in the working tree (2 files), branch agentflow/20261121-0145-k3; "
        "undo with: agentflow undo 20261121-0145-k3; "
        "stopped: stagnated: the same failures as in the round before; transcript: runs/x/transcript.html"
    )
    assert "89.3 % -> 93.9 %" in last


def test_quiet_offers_no_undo_where_the_tree_was_not_touched(report: RunReport) -> None:
    kept = replace(report, delivered=Delivered("branch", "agentflow/b"))
    *_, where, _ = summary(kept, Paper(80, verbose=-1), "t.html").splitlines()
    assert (
        where
        == "patches: on their branch only, branch agentflow/b; stopped: stagnated: the same failures as in the round before; transcript: t.html"
    )


def test_a_wide_quiet_run_is_cut_too(wide_report: RunReport) -> None:
    text = summary(wide_report, Paper(80, verbose=-1))
    assert len(text.splitlines()) < 100 and "more no patch; all of them in the transcript" in text


def test_twice_quiet_leaves_one_line(report: RunReport) -> None:
    assert len(summary(report, Paper(80, verbose=-2)).strip().splitlines()) == 1


def test_a_green_suite_says_nothing_to_fix() -> None:
    events = [
        {"n": 0, "t": 0.0, "event": "started", "data": {"run": "x"}},
        {"n": 1, "t": 2.0, "event": "observed", "data": {"round": 1, "pass_rate": [5, 5], "failing": []}},
        {"n": 2, "t": 2.0, "event": "reported", "data": {"exit_code": 0, "stop_reason": "nothing to fix"}},
    ]
    assert "nothing to fix in 2.0 s" in summary(build(events, {}), Paper(80)).splitlines()[-1]


def test_a_plan_shows_units_suspects_attempts_and_the_worst_case() -> None:
    j = (
        Journal()
        .say(0, "started", run="x")
        .say(1, "observed", round=1, pass_rate=[1, 10], failing=[f"t.py::t{i}" for i in range(9)])
    )
    suspect = {
        "unit": {"path": "m.py", "qualname": "f", "first_line": 9, "last_line": 20},
        "score": 1.0,
        "why": "all failing",
    }
    j.say(
        2,
        "localised",
        round=1,
        clusters=[{"id": "c1", "targets": [f"t.py::t{i}" for i in range(9)], "suspects": [suspect]}],
    )
    j.say(3, "planned", round=1, attempts=[{"id": "r1-a1", "cluster": "c1", "agent": "search", "visible": ["t.py::t0"] * 6}],
          questions={"verdict": "verifiable: yes; decomposable: 1 clusters", "attempts": 3, "worst_usd": 1.5, "worst_tokens": 2000,
                     "fixed": "no money", "each": ["search free"], "suite_seconds": 2.0})  # fmt: skip
    j.say(4, "reported", exit_code=0, stop_reason="plan only")
    text = summary(build(j.events, {}), Paper(80))
    for said in ("unit c1: 9 targets", "... 4 more with -v", "1.000  m.py:9 f - all failing", "r1-a1 search: shown 6 targets, 3 held out",
                 "decomposable: 1 clusters", "fixed cost: no money; 2.0 s for each run", "each attempt: search free",
                 "at most 3 attempts, 2,000 tokens, $1.50", "9 targets, 1 attempt planned"):  # fmt: skip
        assert said in text
    assert "NOT TRIED" not in text


def test_one_attempt_shows_its_findings_and_its_diff(report: RunReport) -> None:
    found = report.attempt("r1-a3")
    assert found
    text = attempt(found, Paper(80))
    assert "guards   failed  1 of 58 turned red" in text
    assert "+    if net <= 100:" in text


def test_a_run_that_is_still_going_is_unfinished_and_not_called_interrupted(interrupted: RunReport) -> None:
    assert summary(interrupted, Paper(120)).splitlines()[-1].count("interrupted in") == 1
    going = (
        Journal()
        .say(0, "started", run="x")
        .say(1, "observed", round=1, pass_rate=[1, 2], failing=["t.py::a"])
    )
    assert ", unfinished in" in summary(build(going.events, {}), Paper(120)).splitlines()[-1]


def test_patches_accepted_before_an_interruption_are_not_called_delivered() -> None:
    events, attempts = repaired()
    text = summary(build(events[:-1], attempts), Paper(120))
    assert "2 accepted patches, not delivered yet: the tree is unchanged" in text


def subset(after: list[str]) -> RunReport:
    """One selected test is fixed; two others were red before."""
    j = Journal().say(0, "started", run="x")
    j.say(
        1, "observed", round=1, pass_rate=[7, 10], failing=["t.py::a"], others_failing=["u.py::b", "u.py::c"]
    )
    j.say(2, "observed", round=2, pass_rate=[8, 10], failing=[], others_failing=after)
    return build(j.say(3, "reported", exit_code=0, stop_reason="converged").events, {})


def test_red_tests_outside_of_the_selection_are_counted_and_named() -> None:
    report = subset(["u.py::b", "u.py::c"])
    text = summary(report, Paper(120))
    assert "round 1   7/10   70.0 %  1 failing, 2 others red" in text
    assert "round 2   8/10   80.0 %  2 others red" in text
    words = "2 tests outside of the selection are still red: u.py::b, u.py::c"
    assert f"others:      {words}" in text
    assert words in summary(report, Paper(120, verbose=-1))


def test_a_test_outside_of_the_selection_that_turned_red_is_not_called_still_red() -> None:
    assert "1 test outside of the selection is red: u.py::d" in summary(subset(["u.py::d"]), Paper(120))
    assert "outside" not in summary(subset([]), Paper(120))
