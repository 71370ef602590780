"""The journal's chain and the state it folds into."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pytest_agentflow.core import events
from pytest_agentflow.core.events import BrokenChain, content_key, fold, link, read_chain

DATA = st.dictionaries(st.text(max_size=5), st.integers() | st.text(max_size=5), max_size=3)


def chain(payloads: list[dict]) -> list[str]:
    lines, last = [], None
    for n, data in enumerate(payloads):
        last = link(last, float(n), "verified", data)
        lines.append(last.line())
    return lines


@given(st.lists(DATA, max_size=6))
def test_what_was_written_reads_back(payloads: list[dict]) -> None:
    assert [dict(e.data) for e in read_chain(chain(payloads))] == payloads


@settings(max_examples=200)
@given(st.data())
def test_a_flipped_byte_anywhere_is_found(data: st.DataObject) -> None:
    lines = chain([{"attempt": "r1-a1", "verdict": "unfixed"}, {"attempt": "r1-a2", "verdict": "plausible"}])
    line = data.draw(st.integers(0, 1))
    at = data.draw(st.integers(0, len(lines[line]) - 1))
    flipped = data.draw(st.characters(codec="ascii").filter(lambda c: c != lines[line][at]))
    lines[line] = lines[line][:at] + flipped + lines[line][at + 1 :]
    with pytest.raises(BrokenChain):
        read_chain(lines)


def test_a_verdict_altered_with_its_own_hash_made_anew_breaks_the_next_line() -> None:
    lines = chain([{"verdict": "unfixed"}, {"verdict": "unfixed"}])
    forged = link(None, 0.0, "verified", {"verdict": "plausible"})
    with pytest.raises(BrokenChain, match="line 2 does not follow"):
        read_chain([forged.line(), lines[1]])


def test_a_dropped_line_is_found() -> None:
    lines = chain([{}, {}, {}])
    with pytest.raises(BrokenChain):
        read_chain([lines[0], lines[2]])


def test_the_state_recalls_stages_by_content_key_and_attempts_by_id() -> None:
    first = link(None, 1.0, events.STARTED, {"settings": {"seed": 1}})
    second = link(first, 2.0, events.OBSERVED, {"key": "k", "tree": "t"})
    third = link(second, 3.0, events.VERIFIED, {"attempt": "r1-a1", "key": "a", "verdict": "lost"})
    state = fold([first, second, third])
    assert state.recall(events.OBSERVED, "k") == {"key": "k", "tree": "t"}
    assert state.recall(events.OBSERVED, "other") is None
    assert state.attempts["r1-a1"]["verdict"] == "lost"
    assert not state.finished


def test_the_content_key_depends_on_content_and_not_on_the_order_of_keys() -> None:
    assert content_key({"a": 1, "b": 2}) == content_key({"b": 2, "a": 1})
    assert content_key(["x", "y"]) != content_key(["y", "x"])
