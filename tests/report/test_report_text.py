"""Text that others wrote cannot steer the reader's terminal, and figures are not flattered."""

from __future__ import annotations

import io

import pytest

from pytest_agentflow.report import text


@pytest.mark.parametrize(
    ("raw", "shown"),
    [
        ("\x1b[2Jgone", "\\x1b[2Jgone"),
        ("a\u202eb", "a\\u202eb"),
        ("zero\u200bwidth", "zero\\u200bwidth"),
        ("bell\x07", "bell\\x07"),
        ("lone\udc80", "lone\\udc80"),
        ("carriage\rreturn", "carriage\\x0dreturn"),
        ("line\nbreak\ttab", "line\nbreak\ttab"),
        ("ünïcödé 日本", "ünïcödé 日本"),
    ],
)
def test_control_and_bidi_characters_are_spelled_out(raw: str, shown: str) -> None:
    assert text.visible(raw) == shown


@pytest.mark.parametrize(
    ("passed", "total", "shown"),
    [(66, 66, "100.0 %"), (2999, 3000, "99.9 %"), (59_999, 60_000, "99.9 %"), (0, 5, "0.0 %"), (0, 0, "n/a")],
)
def test_only_a_full_pass_reads_as_a_hundred_percent(passed: int, total: int, shown: str) -> None:
    assert text.percent(passed, total) == shown


@pytest.mark.parametrize(
    ("value", "shown"), [(0.04, "0.0 s"), (59.94, "59.9 s"), (245, "4 min 05 s"), (7380, "2 h 03 min")]
)
def test_durations_as_people_say_them(value: float, shown: str) -> None:
    assert text.seconds(value) == shown


def test_colour_follows_the_terminal_and_the_usual_switches() -> None:
    log = io.StringIO()
    assert not text.colour_wanted(log, {})
    assert text.colour_wanted(log, {"FORCE_COLOR": "1"})
    assert text.colour_wanted(log, {"PY_COLORS": "1", "NO_COLOR": "1"})
    assert not text.colour_wanted(log, {"FORCE_COLOR": "1", "NO_COLOR": "1"})


def test_a_stream_that_cannot_hold_a_sign_spells_it_out() -> None:
    raw = io.BytesIO()
    stream = io.TextIOWrapper(raw, encoding="ascii")
    text.never_fail(stream)
    stream.write("cut …")
    stream.flush()
    assert raw.getvalue() == b"cut \\u2026"
