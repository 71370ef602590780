"""One lane's rate limit slows every lane, and nobody waits longer than is allowed."""

from __future__ import annotations

import pytest

from pytest_agentflow.core.ratelimit import Gate, backoff, pace


def test_a_limit_closes_the_gate_for_all_until_its_time() -> None:
    gate = Gate(limit=4)
    assert gate.ask("a", 0.0).seconds == 0.0
    assert gate.limited("a", 1.0, 5.0, 0.0).seconds == 5.0
    assert gate.ask("b", 2.0).seconds == pytest.approx(4.0)
    assert gate.ask("b", 6.0).seconds == 0.0


def test_calls_in_flight_are_bounded_halved_by_a_limit_and_grow_again() -> None:
    gate = Gate(limit=4)
    assert [gate.ask(name, 0.0).seconds for name in "abcd"] == [0.0] * 4
    assert gate.ask("e", 0.0).seconds > 0
    assert gate.ask("a", 0.0).seconds == 0.0  # asking again is harmless
    gate.limited("a", 0.0, 0.0, 0.0)
    for name in "bcd":
        gate.done(name)
    assert 2 <= gate.width < 4
    for _ in range(20):
        gate.done("x")
    assert gate.width == 4


def test_waits_double_without_a_word_from_the_provider_and_shrink_after_success() -> None:
    gate = Gate()
    waits = [gate.limited("a", 0.0, None, 0.0).seconds for _ in range(3)]
    assert waits == [0.5, 1.0, 2.0]
    gate.done("b")
    gate.closed_until = 0.0
    assert gate.limited("a", 0.0, None, 0.0).seconds == 0.5
    assert backoff(50, 0.0) == 60.0
    assert backoff(1, 1.0) == pytest.approx(0.375)


def test_a_wait_beyond_the_cap_is_hopeless_and_closes_nothing() -> None:
    gate = Gate(cap=60.0)
    wait = gate.limited("a", 0.0, 3600.0, 0.0)
    assert wait.hopeless
    assert "3600 s, more than the 60 s" in wait.reason
    assert gate.ask("b", 0.0).seconds == 0.0


def test_the_verbs_of_the_broker_reach_the_gate() -> None:
    gate = Gate(limit=1)
    assert pace(gate, 0.0, "ask", "a", None, 0.0).seconds == 0.0
    assert pace(gate, 0.0, "ask", "b", None, 0.0).seconds > 0
    pace(gate, 0.0, "done", "a", None, 0.0)
    assert pace(gate, 0.0, "ask", "b", None, 0.0).seconds == 0.0
    assert pace(gate, 0.0, "limited", "b", 2.0, 0.0).seconds == 2.0
