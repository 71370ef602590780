"""No cap is ever crossed by one call, whatever the order of calls, kills and resumptions."""

from __future__ import annotations

import json
import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pytest_agentflow.core.budget import (
    NANO,
    PROBE,
    Cap,
    Caps,
    Ledger,
    Refusal,
    Reservation,
    nano_dollars,
    read_caps,
)
from pytest_agentflow.core.model import Spend
from pytest_agentflow.errors import AgentflowError

LANES = 16


def ledger(**run: float) -> Ledger:
    book = Ledger(Caps(run=Cap(**run)))  # type: ignore[arg-type]
    assert book.begin("r1-a1", "c1") is None
    return book


def held(book: Ledger, **asked: float) -> Reservation:
    got = book.reserve(
        "r1-a1",
        tokens=int(asked.get("tokens", 0)),
        usd=asked.get("usd", 0.0),
        seconds=asked.get("seconds", 0.0),
    )
    assert isinstance(got, Reservation), got
    return got


def test_units_and_attempts_have_caps_of_their_own_and_a_misspelt_one_is_refused() -> None:
    caps = read_caps(Cap(usd=1.0), {"unit": {"usd": 0.3, "attempts": 2}, "attempt": {"tokens": 50}})
    book = Ledger(caps)
    assert book.begin("r1-a1", "c1") is None
    assert isinstance(book.reserve("r1-a1", tokens=60, usd=0.1), Refusal)
    assert isinstance(book.reserve("r1-a1", tokens=10, usd=0.2), Reservation)
    assert book.begin("r1-a1-2", "c1") is None
    refused = book.reserve("r1-a1-2", tokens=10, usd=0.2)
    assert isinstance(refused, Refusal)
    assert refused.scope == "unit"
    assert caps.money
    for table, words in (
        ({"lane": {}}, "no table 'lane'"),
        ({"unit": {"dollars": 1}}, "no key 'dollars'"),
        ({"attempt": {"usd": "1"}}, "not a number"),
        ({"attempt": {"attempts": 1}}, "no key 'attempts'"),
    ):
        with pytest.raises(AgentflowError, match=words):
            read_caps(Cap(), table)


def test_calls_beside_the_attempts_are_charged_and_not_counted_as_one_also_after_a_restart() -> None:
    caps = Caps(run=Cap(usd=1.0, attempts=1))
    ledger = Ledger(caps)
    ledger.open(PROBE)
    ledger.open(PROBE)
    held = ledger.reserve(PROBE, tokens=10, usd=0.4)
    assert isinstance(held, Reservation)
    ledger.settle(held.id, Spend(usd=0.1, calls=1))
    again = Ledger.restore(caps, ledger.entries)
    assert again.totals().usd == pytest.approx(0.1)
    assert again.begin("r1-a1", "c1") is None
    assert isinstance(again.begin("r1-a2", "c2"), Refusal)


def test_a_reservation_counts_as_spent_until_it_is_settled() -> None:
    book = ledger(usd=1.0)
    first = held(book, usd=0.6)
    refused = book.reserve("r1-a1", tokens=0, usd=0.5)
    assert isinstance(refused, Refusal)
    assert refused.temporary
    assert refused.resource == "dollars"
    book.settle(first.id, Spend(usd=0.1))
    held(book, usd=0.5)
    assert book.totals().usd == pytest.approx(0.1)


def test_a_refusal_that_waiting_cannot_cure_is_not_temporary() -> None:
    refused = ledger(usd=1.0).reserve("r1-a1", tokens=0, usd=1.01)
    assert isinstance(refused, Refusal)
    assert not refused.temporary
    assert "$1 would break" in refused.reason


def test_a_cap_may_be_used_up_to_its_last_nano_dollar() -> None:
    book = ledger(usd=0.3)
    for _ in range(3):
        book.settle(held(book, usd=0.1).id, Spend(usd=0.1))
    assert book.totals().left_usd == 0.0
    assert isinstance(book.reserve("r1-a1", tokens=0, usd=1e-9), Refusal)


@pytest.mark.parametrize("resource", ["tokens", "seconds"])
def test_tokens_and_seconds_are_capped_like_dollars(resource: str) -> None:
    book = ledger(**{resource: 100})
    held(book, **{resource: 60})
    refused = book.reserve("r1-a1", **{"tokens": 0, "usd": 0.0, resource: 41})  # type: ignore[arg-type]
    assert isinstance(refused, Refusal)
    assert refused.resource == resource


def test_attempts_are_capped_per_run_and_per_unit_and_an_id_counts_once() -> None:
    book = Ledger(Caps(run=Cap(attempts=3), unit=Cap(attempts=2)))
    assert book.begin("a1", "c1") is None
    assert book.begin("a1", "c1") is None
    assert book.begin("a2", "c1") is None
    refused = book.begin("a3", "c1")
    assert refused is not None
    assert refused.scope == "unit"
    assert book.begin("a4", "c2") is None
    refused = book.begin("a5", "c3")
    assert refused is not None
    assert refused.scope == "run"


def test_each_scope_has_its_own_cap() -> None:
    book = Ledger(Caps(run=Cap(usd=10), unit=Cap(usd=2), attempt=Cap(usd=1)))
    book.begin("a1", "c1")
    book.begin("a2", "c1")
    book.begin("a3", "c2")
    assert isinstance(book.reserve("a1", tokens=0, usd=1.5), Refusal)
    assert isinstance(book.reserve("a1", tokens=0, usd=1.0), Reservation)
    assert isinstance(book.reserve("a2", tokens=0, usd=1.0), Reservation)
    refused = book.reserve("a2", tokens=0, usd=0.1)
    assert isinstance(refused, Refusal)
    assert refused.scope == "unit"
    assert isinstance(book.reserve("a3", tokens=0, usd=1.0), Reservation)
    assert book.totals(unit="c1").held_usd == 2.0
    assert book.totals(attempt="a3").held_usd == 1.0


def test_a_call_in_flight_when_the_run_was_killed_is_charged_in_full() -> None:
    book = ledger(usd=1.0)
    book.settle(held(book, usd=0.2, tokens=10).id, Spend(usd=0.1, input_tokens=5))
    held(book, usd=0.4, tokens=100)
    again = Ledger.restore(book.caps, json.loads(json.dumps(book.entries)))
    assert again.totals().usd == pytest.approx(0.5)
    assert again.totals().held_usd == 0.0
    assert again.totals().tokens == 105


def test_settling_twice_charges_once() -> None:
    book = ledger(usd=1.0)
    call = held(book, usd=0.2)
    book.settle(call.id, Spend(usd=0.2))
    book.settle(call.id, Spend(usd=0.2))
    assert book.totals().usd == pytest.approx(0.2)


@given(st.floats(min_value=0, max_value=1e6, allow_nan=False))
def test_nano_dollars_never_make_a_price_smaller(usd: float) -> None:
    assert nano_dollars(usd) / NANO >= usd * (1 - 1e-9) - 1e-12


class Provider:
    """Bills every call it completes, and remembers which."""

    def __init__(self) -> None:
        self.billed: dict[str, int] = {}
        self.nano = 0

    def call(self, key: str, nano: int) -> int:
        self.billed[key] = self.billed.get(key, 0) + 1
        self.nano += nano
        return nano


def schedule(seed: int, *, cap: float, kills: int) -> tuple[Ledger, Provider]:
    """16 lanes under one cap: random sizes, random interleaving, random kills of the controller between two steps."""
    chance = random.Random(seed)
    book, provider = Ledger(Caps(run=Cap(usd=cap))), Provider()
    journal: dict[str, Spend] = {}  # completed calls by request hash: what a resumed run replays
    kill_at = sorted(chance.sample(range(20, 400), kills))
    todo = {lane: [f"{lane}/{n}" for n in range(8)] for lane in range(LANES)}
    flight: dict[int, tuple[str, Reservation]] = {}
    for lane in todo:
        book.begin(f"a{lane}", f"c{lane % 5}")
    for step in range(500):
        if kill_at and step == kill_at[0]:
            kill_at.pop(0)
            flight.clear()
            book = Ledger.restore(book.caps, json.loads(json.dumps(book.entries)))
        lane = chance.randrange(LANES)
        if lane in flight:
            key, call = flight.pop(lane)
            spend = Spend(usd=provider.call(key, chance.randint(0, call.nano)) / NANO, calls=1)
            journal[key] = spend
            book.settle(call.id, spend)
        elif todo[lane]:
            key = todo[lane][0]
            if key in journal:
                todo[lane].pop(0)
                continue
            got = book.reserve(f"a{lane}", tokens=0, usd=chance.uniform(0.005, 0.12))
            if isinstance(got, Reservation):
                flight[lane] = (key, got)
        totals = book.totals()
        assert nano_dollars(totals.usd) + nano_dollars(totals.held_usd) <= nano_dollars(cap)
        assert provider.nano <= nano_dollars(cap)
    return book, provider


@pytest.mark.parametrize("block", range(10))
def test_sixteen_lanes_under_one_dollar_never_overshoot_by_one_call(block: int) -> None:
    spent = []
    for seed in range(block * 100, block * 100 + 100):
        book, provider = schedule(seed, cap=1.0, kills=seed % 4)
        assert max(provider.billed.values()) == 1  # killed and resumed: nothing is paid twice
        assert book.totals().usd * NANO >= provider.nano - LANES  # the book never shows less than was billed
        spent.append(provider.nano / NANO)
    assert max(spent) > 0.5  # the schedules do reach for the cap


@settings(max_examples=50, deadline=None)
@given(st.data())
def test_any_prefix_of_the_entries_rebuilds_the_same_books(data: st.DataObject) -> None:
    book, _ = schedule(data.draw(st.integers(0, 10_000)), cap=0.5, kills=0)
    cut = data.draw(st.integers(0, len(book.entries)))
    rebuilt = Ledger.restore(book.caps, book.entries[:cut])
    again = Ledger.restore(book.caps, rebuilt.entries)
    assert again.totals() == rebuilt.totals()
