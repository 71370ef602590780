"""The live view: plain lines for a log, moving lines for a terminal, nothing for -q."""

from __future__ import annotations

import io
import os
import pty
import threading

import pytest
from report_journals import repaired

from pytest_agentflow.report.live import Plain, Silent, Terminal, open_view
from pytest_agentflow.report.sentences import SENTENCES, sentence


def play(view: object, finished: bool = True) -> None:
    for event in repaired(finished=finished)[0]:
        view.event(event["event"], event["data"])  # type: ignore[attr-defined]
        if event["event"] == "agent":
            view.progress(event["data"]["attempt"], "tried", {"candidates": 12})  # type: ignore[attr-defined]


def test_the_view_fits_the_stream() -> None:
    assert isinstance(open_view(io.StringIO(), terminal=False), Plain)
    assert isinstance(open_view(io.StringIO(), terminal=True, verbosity=-1), Silent)


def test_a_log_gets_one_plain_line_per_stage_and_verdict() -> None:
    log = io.StringIO()
    play(open_view(log, terminal=False))
    lines = [line.split("] ", 1)[1] for line in log.getvalue().splitlines()]
    assert "\x1b" not in log.getvalue()
    assert lines[1] == "round 1 observe: 59/66 pass, 89.3 %, 7 failing, 2.8 s"
    assert "  r1-a1 plausible [src/shop/tax.py]: every layer that applies holds" in lines
    assert lines[-1].startswith("round 2 observe: 62/66 pass")


def test_verbosity_adds_starts_and_then_progress() -> None:
    sizes = []
    for verbosity in (0, 1, 2):
        log = io.StringIO()
        play(open_view(log, terminal=False, verbosity=verbosity))
        sizes.append(len(log.getvalue().splitlines()))
    assert sizes[0] < sizes[1] < sizes[2]


def test_hostile_text_cannot_steer_the_terminal() -> None:
    log = io.StringIO()
    view = open_view(log, terminal=False)
    view.event("verified", {"attempt": "r1-a1", "verdict": "lost", "reason": "\x1b[2J\nforged line"})
    assert "\x1b" not in log.getvalue() and len(log.getvalue().splitlines()) == 1


@pytest.fixture
def terminal_output() -> object:
    master, slave = pty.openpty()
    got = bytearray()

    def drain() -> None:
        while True:
            try:
                chunk = os.read(master, 65536)
            except OSError:
                return
            if not chunk:
                return
            got.extend(chunk)

    thread = threading.Thread(target=drain, daemon=True)
    thread.start()

    def finish(stream: object) -> str:
        stream.close()  # type: ignore[attr-defined]
        thread.join(10)
        os.close(master)
        return got.decode()

    return os.fdopen(slave, "w"), finish


def test_a_terminal_keeps_the_stage_lines_and_leaves_no_cursor_hidden(terminal_output: object) -> None:
    stream, finish = terminal_output  # type: ignore[misc]
    view = open_view(stream, terminal=True)
    assert isinstance(view, Terminal)
    play(view)
    view.close()
    view.close()
    text = finish(stream)
    assert "round 1 observe: 59/66 pass" in text and "r1-a3 regressed" in text
    assert text.count("\x1b[?25l") == text.count("\x1b[?25h") == 1


def test_events_from_many_threads_do_not_tear_lines() -> None:
    log = io.StringIO()
    view = open_view(log, terminal=False)
    data = {"attempt": "r1-a1", "verdict": "plausible", "reason": "x" * 80}
    threads = [
        threading.Thread(target=lambda: [view.event("verified", data) for _ in range(50)]) for _ in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert {line.split("] ", 1)[1] for line in log.getvalue().splitlines()} == {
        f"  r1-a1 plausible: {'x' * 80}"
    }
    assert len(log.getvalue().splitlines()) == 400


@pytest.mark.parametrize("event", SENTENCES)
def test_an_event_with_no_data_is_still_said(event: str) -> None:
    assert "\n" not in sentence(event, {})


def test_first_suspects_are_counted_by_file() -> None:
    clusters = [{"suspects": [{"unit": {"path": f"src/m{i}.py"}, "score": 1.0}]} for i in range(3)]
    assert sentence("localised", {"round": 1, "clusters": clusters}).endswith(
        "3 units, first suspects in 3 files"
    )


def test_an_observation_of_a_selection_counts_the_red_tests_outside_of_it() -> None:
    said = {"round": 2, "pass_rate": [67, 69], "failing": [], "others_failing": ["a", "b"], "duration": 1.0}
    assert (
        sentence("observed", said)
        == "round 2 observe: 67/69 pass, 97.1 %, 0 of the selected failing, 2 others red, 1.0 s"
    )
