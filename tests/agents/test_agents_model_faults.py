"""Every way in which a provider fails ends in a named outcome, in bounded time, and with what was used charged."""

from __future__ import annotations

import email.utils
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import pytest

from pytest_agentflow.agents.base import AgentOutcome
from pytest_agentflow.testing import replies
from pytest_agentflow.testing.replies import Reply, edit, error, text, tool, tools

FIX = edit("calc.py", "a - b", "a + b")
DONE = text("done")
CHANGED, NO_CHANGE, ERROR = AgentOutcome.CHANGED, AgentOutcome.NO_CHANGE, AgentOutcome.ERROR


@dataclass(frozen=True)
class Case:
    """A script, the outcome it must end in, and how many requests that takes."""

    script: list[Reply]
    outcome: AgentOutcome
    ended: str
    requests: int
    within: float = 30.0  # a hang would last for minutes; a busy machine may take seconds
    given: dict[str, Any] = field(default_factory=dict)


def http_date(seconds: float) -> str:
    return email.utils.formatdate(time.time() + seconds, usegmt=True)


RECOVERS = {
    "reset before headers": [replies.reset_before(), FIX, DONE],
    "reset in mid-stream": [replies.reset_mid_stream(), FIX, DONE],
    "reset in mid-stream, later turn": [FIX, replies.reset_mid_stream(), DONE],
    "408": [error(408), FIX, DONE],
    "409": [error(409), FIX, DONE],
    "429 with a short retry-after": [replies.rate_limited(0.2), FIX, DONE],
    "429 with a date": [replies.rate_limited(http_date(1)), FIX, DONE],
    "429 without a word": [replies.rate_limited(), FIX, DONE],
    "500": [error(500), FIX, DONE],
    "503": [error(503), FIX, DONE],
    "529": [error(529), FIX, DONE],
    "error event in the stream": [replies.error_event("overloaded_error"), FIX, DONE],
    "api_error event in the stream": [replies.error_event("api_error"), FIX, DONE],
    "malformed body": [replies.malformed(), FIX, DONE],
    "a stall longer than the read time-out": [replies.stalling(30), FIX, DONE],
    "truncated tool call": [
        replies.truncated_tool(
            "str_replace_based_edit_tool", '{"command": "create", "path": "calc.py", "file_'
        ),
        FIX,
        DONE,
    ],
    "unknown tool": [tool("launch_rocket", target="moon"), FIX, DONE],
    "bad tool input": [tool("str_replace_based_edit_tool", command="str_replace", path=7), FIX, DONE],
    "tool input that is no object": [
        Reply(
            content=({"type": "tool_use", "id": "t1", "name": "bash", "input": "ls"},), stop_reason="tool_use"
        ),
        FIX,
        DONE,
    ],
    "path escape in a tool call": [
        tool("str_replace_based_edit_tool", command="view", path="../../../../etc/passwd"),
        FIX,
        DONE,
    ],
    "pause": [text("wait", stop_reason="pause_turn"), FIX, DONE],
}

CASES = {name: Case(script, CHANGED, "end_turn", len(script)) for name, script in RECOVERS.items()}
CASES |= {
    "429 with a long retry-after": Case([replies.rate_limited(3600)], ERROR, "rate_limited", 1),
    "429 with a far date": Case([replies.rate_limited(http_date(3600))], ERROR, "rate_limited", 1),
    "429 for ever": Case([replies.rate_limited(0.05)] * 4, ERROR, "rate_limited", 4),
    "500 for ever": Case([error(500)] * 3, ERROR, "provider_error", 3, given={"config": {"retries": 2}}),
    "spend limit as a 429": Case([replies.spend_limit()], ERROR, "spend_limit", 1),
    "contract spend limit": Case(
        [replies.spend_limit("contract_spend_limit_reached")], ERROR, "spend_limit", 1
    ),
    "ramp limit": Case([replies.spend_limit("ramp_limit_exceeded")], ERROR, "spend_limit", 1),
    "402": Case([error(402)], ERROR, "spend_limit", 1),
    "401": Case([error(401)], ERROR, "authentication", 1),
    "404": Case([error(404)], ERROR, "not_found", 1),
    "400": Case([error(400, "max_tokens: too many")], ERROR, "bad_request", 1),
    "context overflow as a 400": Case(
        [error(400, "prompt is too long: 9 > 8")], ERROR, "context_overflow", 1
    ),
    "context overflow as a stop reason": Case([replies.context_exceeded()], ERROR, "context_overflow", 1),
    "413": Case([error(413)], ERROR, "context_overflow", 1),
    "refusal": Case([replies.refusal("cyber")], AgentOutcome.REFUSED, "refusal", 1),
    "cut off again and again": Case([text("a", stop_reason="max_tokens")] * 3, ERROR, "max_tokens", 3),
    "5 MB reply": Case([replies.large()], ERROR, "reply_too_large", 1),
    "drip": Case(
        [replies.dripping("x" * 4000)], AgentOutcome.TIMED_OUT, "deadline", 1, given={"deadline": 1.0}
    ),
    "stall to the deadline": Case(
        [replies.stalling(30)], AgentOutcome.TIMED_OUT, "deadline", 1, given={"deadline": 1.0}
    ),
    "endless turns": Case(
        [tool("bash", command="true")] * 4,
        AgentOutcome.TIMED_OUT,
        "max_turns",
        4,
        given={"config": {"max_turns": 4}},
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_a_fault_ends_in_its_named_outcome_and_never_hangs(name: str, converse: Callable[..., Any]) -> None:
    case = CASES[name]
    started = time.monotonic()
    run = converse(case.script, **case.given)
    assert (run.report.outcome, run.ended) == (case.outcome, case.ended), run.report.message
    assert len(run.server.turns) == case.requests
    assert time.monotonic() - started < case.within
    totals = run.bench.book.totals()
    assert totals.held_tokens == 0  # every reservation was settled
    assert totals.spend.input_tokens == run.report.spend.input_tokens


def test_a_reply_that_died_in_mid_stream_is_charged_what_message_start_said(
    converse: Callable[..., Any],
) -> None:
    dying = replies.reset_mid_stream().but(usage={"input_tokens": 10_000, "output_tokens": 5})
    run = converse([dying, text("ok", usage={"input_tokens": 500, "output_tokens": 7})])
    assert run.report.spend.input_tokens == 10_500
    assert run.report.spend.usd >= 10_500 * 2e-6
    assert "connection lost" in run.bench.recorded("call_failed")[0]["reason"]


def test_every_sleep_reaches_the_journal_and_the_retry_keeps_its_idempotency_key(
    converse: Callable[..., Any],
) -> None:
    run = converse([replies.rate_limited(0.3), error(500), text("ok")])
    sleeps = run.bench.recorded("sleep")
    assert [s["seconds"] for s in sleeps] == [pytest.approx(0.3), pytest.approx(0.875)]
    keys = {request.headers["idempotency-key"] for request in run.server.turns}
    assert len(keys) == 1


def test_a_run_that_stops_wakes_an_attempt_out_of_its_sleep(
    converse: Callable[..., Any], project: Any
) -> None:
    import threading

    from pytest_agentflow.testing import LocalBench

    bench = LocalBench(project)
    threading.Timer(0.5, bench.stop.set).start()
    started = time.monotonic()
    run = converse([replies.rate_limited(25.0)], bench=bench, config={"max_wait": 60.0})
    assert run.report.outcome is AgentOutcome.CANCELLED
    assert time.monotonic() - started < 15.0


def test_a_run_that_stops_ends_a_stream_that_has_fallen_silent(
    converse: Callable[..., Any], project: Any
) -> None:
    import threading

    from pytest_agentflow.testing import LocalBench

    bench = LocalBench(project)
    threading.Timer(0.5, bench.stop.set).start()
    started = time.monotonic()
    run = converse([replies.stalling(40)], bench=bench, config={"read_timeout": 60.0})
    assert run.report.outcome is AgentOutcome.CANCELLED
    assert time.monotonic() - started < 15.0


def test_a_truncated_tool_call_is_not_run_and_the_model_is_told(
    converse: Callable[..., Any], project: Any
) -> None:
    run = converse([replies.truncated_tool("bash", '{"command": "touch ran"}'), text("ok")])
    (result,) = run.server.turns[1].tool_results()
    assert result["is_error"]
    assert not (project / "ran").exists()


def test_all_results_of_one_reply_go_back_in_one_message(converse: Callable[..., Any]) -> None:
    both = tools(("bash", {"command": "echo one"}), ("launch_rocket", {}), ("bash", {"command": "echo two"}))
    run = converse([both, text("ok")])
    results = run.server.turns[1].tool_results()
    assert [r.get("is_error", False) for r in results] == [False, True, False]
    assert [r["content"].strip() for r in results][::2] == ["one", "two"]
