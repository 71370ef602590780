"""A secret is replaced in every common spelling, and ordinary text is left alone."""

from __future__ import annotations

import base64
import json
from urllib.parse import quote

from hypothesis import given
from hypothesis import strategies as st

from pytest_agentflow.core.redact import MARK, Redactor

SECRET = 'sk-ant/canary+42="q"'


def test_every_common_spelling_is_replaced() -> None:
    redact = Redactor([SECRET])
    for spelling in (
        SECRET,
        quote(SECRET, safe=""),
        json.dumps(SECRET)[1:-1],
        base64.b64encode(SECRET.encode()).decode().rstrip("=")[:-1],
    ):
        assert redact.text(f"before {spelling} after").startswith(f"before {MARK}")


@given(st.binary(max_size=40), st.binary(max_size=40))
def test_a_secret_inside_a_longer_base64_text_is_found_at_every_offset(before: bytes, after: bytes) -> None:
    encoded = base64.b64encode(before + SECRET.encode() + after).decode()
    assert MARK in Redactor([SECRET]).text(encoded)


def test_nested_values_bytes_and_keys_are_covered() -> None:
    redact = Redactor([SECRET])
    assert redact.value({SECRET: [SECRET, 3, None]}) == {MARK: [MARK, 3, None]}
    assert redact.data(b"\xff " + SECRET.encode()) == b"\xff " + MARK.encode()


def test_no_secret_and_short_values_change_nothing() -> None:
    assert Redactor([]).text("plain") == "plain"
    assert Redactor(["on", "", "true"]).text("true on") == "true on"


def test_the_longer_secret_wins_where_one_holds_the_other() -> None:
    assert Redactor(["abcdefgh", "abcdefgh-ijkl"]).text("abcdefgh-ijkl") == MARK
