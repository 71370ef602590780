"""The one model that every rendering reads."""

from __future__ import annotations

from collections import Counter

from report_journals import HOSTILE, Journal, repaired

from pytest_agentflow.core.model import FindingStatus
from pytest_agentflow.report.building import build
from pytest_agentflow.report.model import Rate, RunReport, TargetState
from pytest_agentflow.report.terminal import run_spend_words


def state_of(report: RunReport, nodeid: str) -> tuple[TargetState, str]:
    return next((t.state, t.reason) for t in report.targets if t.nodeid == nodeid)


def test_every_failing_test_ends_in_exactly_one_state(report: RunReport) -> None:
    assert len(report.targets) == len({t.nodeid for t in report.targets}) == 7
    states = [
        TargetState.FIXED,
        TargetState.WEAK,
        TargetState.CONTRADICTION,
        TargetState.FLAKY,
        TargetState.NO_PATCH,
    ]
    assert [state_of(report, n)[0] for n in ("tests/test_tax.py::test_rate", "tests/test_dates.py::test_due",
            "tests/test_spec.py::test_says_other", "tests/test_net.py::test_poll", HOSTILE)] == states  # fmt: skip


def test_a_target_hidden_from_the_agent_counts_as_fixed_too(report: RunReport) -> None:
    attempt = report.attempt("r1-a1")
    assert attempt and attempt.visible == ("tests/test_tax.py::test_rate",)
    assert "tests/test_tax.py::test_total" in attempt.targets
    assert state_of(report, "tests/test_tax.py::test_total")[0] is TargetState.FIXED


def test_rates_rounds_spend_and_delivery_come_from_the_journal(report: RunReport) -> None:
    assert (report.before, report.after) == (Rate(59, 66), Rate(62, 66))
    assert [r.rate for r in report.rounds] == [Rate(59, 66), Rate(62, 66)]
    assert report.spend.seconds == 4 * 4.2
    assert report.delivered.branch == "agentflow/20261121-0145-k3"
    assert report.exit_code == 1 and report.finished


def test_an_interrupted_run_is_unfinished_and_says_what_was_found(interrupted: RunReport) -> None:
    assert not interrupted.finished
    assert state_of(interrupted, "tests/test_tax.py::test_rate") == (
        TargetState.PENDING,
        "plausible patch found before the run ended",
    )
    assert state_of(interrupted, HOSTILE)[0] is TargetState.NOT_TRIED


def test_an_attempt_lost_by_the_interruption_is_not_a_verdict_on_its_targets() -> None:
    events, attempts = repaired(finished=False)
    lost = {"attempt": "r1-a5", "verdict": "lost", "reason": "the lane ended without a result"}
    events = [*events[:-1], {**events[-1], "event": "verified", "data": lost}, events[-1]]
    state, reason = state_of(build(events, attempts), HOSTILE)
    assert state is TargetState.NOT_TRIED and "SIGINT" in reason


def test_a_journal_without_a_reported_event_is_unfinished() -> None:
    events, attempts = repaired()
    assert not build(events[:-1], attempts).finished


def test_a_resumed_run_forgets_what_the_session_before_it_reported() -> None:
    events, attempts = repaired(finished=False)
    n = len(events)
    events = [*events, {**events[-1], "n": n, "event": "resumed", "data": {"run": "x"}}]
    assert build(events, attempts).exit_code is None


def test_a_test_that_is_red_after_its_commit_is_not_called_fixed() -> None:
    events, attempts = repaired()
    for event in events:
        if event["event"] == "observed" and event["data"]["round"] == 2:
            event["data"]["failing"].append("tests/test_tax.py::test_rate")
    state, reason = state_of(build(events, attempts), "tests/test_tax.py::test_rate")
    assert state is TargetState.NO_PATCH and "red in the last observation" in reason


def test_integration_after_the_last_observation_counts() -> None:
    events, attempts = repaired()
    without_second = [e for e in events if not (e["event"] == "observed" and e["data"]["round"] == 2)]
    assert state_of(build(without_second, attempts), "tests/test_dates.py::test_due")[0] is TargetState.WEAK


def test_a_patch_refused_at_integration_leaves_its_target_unfixed_with_the_reason() -> None:
    events, attempts = repaired()
    for event in events:
        if event["event"] == "integrated":
            event["data"]["refused"] = [{"attempt": "r1-a1", "reason": "clashes with r1-a2"}]
            event["data"]["commits"] = event["data"]["commits"][1:]
        if event["event"] == "observed" and event["data"]["round"] == 2:
            event["data"]["failing"] += ["tests/test_tax.py::test_rate", "tests/test_tax.py::test_total"]
    state, reason = state_of(build(events, attempts), "tests/test_tax.py::test_total")
    assert state is TargetState.NO_PATCH and "clashes with r1-a2" in reason


def test_a_finding_with_an_unknown_status_is_an_error_never_a_pass() -> None:
    j = Journal().say(
        0, "verified", attempt="r1-a1", verdict="plausible", findings=[{"layer": "new", "status": "fine"}]
    )
    assert build(j.events, {}).attempts[0].findings[0].status is FindingStatus.ERROR


def test_the_same_unit_id_in_another_round_is_another_unit() -> None:
    j = Journal()
    for n, (test, verdict) in enumerate([("t.py::a", "contradiction"), ("t.py::b", "unfixed")], 1):
        j.say(n, "observed", round=n, pass_rate=[1, 2], failing=[test])
        j.say(n, "localised", round=n, clusters=[{"id": "u1", "targets": [test]}])
        j.say(
            n,
            "planned",
            round=n,
            attempts=[{"id": f"r{n}-a1", "cluster": "u1", "agent": "search", "visible": []}],
        )
        j.say(n, "verified", attempt=f"r{n}-a1", verdict=verdict, reason=f"round {n}")
    assert state_of(build(j.events, {}), "t.py::b") == (TargetState.NO_PATCH, "unfixed: round 2")


def test_a_later_dispatch_of_the_same_attempt_starts_it_anew() -> None:
    j = Journal().say(0, "started", run="x")
    j.say(1, "dispatched", attempt="r1-a1", lane=0).say(9, "dispatched", attempt="r1-a1", lane=1)
    attempt = build(j.events, {}).attempts[0]
    assert (attempt.began, attempt.lane, attempt.ended) == (9.0, "1", None)


def test_an_empty_journal_builds_an_empty_report() -> None:
    empty = build([], {})
    assert empty.targets == () and empty.before is None and not empty.finished


def test_a_wide_run_counts_every_target_once(wide_report: RunReport) -> None:
    states = Counter(t.state for t in wide_report.targets)
    assert sum(states.values()) == 300
    assert states[TargetState.FIXED] + states[TargetState.WEAK] == len(wide_report.rounds[0].integrated)


def test_attempts_that_an_interruption_cut_off_count_the_seconds_up_to_it() -> None:
    j = Journal().say(0, "started", run="x")
    j.say(
        1,
        "planned",
        round=1,
        attempts=[{"id": f"r1-a{n}", "cluster": "c", "agent": "search"} for n in (1, 2, 3)],
    )
    j.say(2, "dispatched", attempt="r1-a1", lane=0).say(4, "dispatched", attempt="r1-a2", lane=1)
    interrupted = j.say(64, "interrupted", reason="interrupted").events[:]
    assert build(interrupted, {}).spend.seconds == 62 + 60
    assert run_spend_words(build(interrupted, {})).startswith("3 attempts (1 not begun), 2 min 02 s in lanes")
    j.say(900, "resumed").say(901, "dispatched", attempt="r1-a1", lane=0)
    j.say(911, "verified", attempt="r1-a1", verdict="no_change", spend={"seconds": 10.0})
    assert build(j.events, {}).spend.seconds == 62 + 60 + 10, "neither the pause nor anything twice"


def test_attempts_of_a_controller_that_was_killed_count_until_its_last_word() -> None:
    j = Journal().say(0, "started", run="x").say(2, "dispatched", attempt="r1-a1", lane=0)
    j.say(7, "agent", attempt="r1-a1", kind="candidate").say(900, "resumed")
    assert build(j.events, {}).spend.seconds == 5
