"""The journal on disk: durable, whole after a crash, and impossible to alter unseen."""

from __future__ import annotations

import subprocess
import sys
import threading
from pathlib import Path

import pytest

from pytest_agentflow.adapters.journal import Journal, read_journal
from pytest_agentflow.errors import AgentflowError


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "journal.jsonl"


def test_what_one_process_wrote_the_next_one_remembers(path: Path) -> None:
    first = Journal(path)
    first.append("observed", {"key": "k", "tree": "t"})
    first.close()
    second = Journal(path)
    assert second.state().recall("observed", "k") == {"key": "k", "tree": "t"}
    second.append("reported", {})
    second.close()
    assert [e.event for e in read_journal(path)[0]] == ["observed", "reported"]


def test_a_stage_that_was_recorded_is_not_computed_again(path: Path) -> None:
    journal, computed = Journal(path), []
    for _ in range(2):
        data = journal.once("planned", "k", lambda: computed.append(1) or {"round": 1})
    assert (data["round"], len(computed)) == (1, 1)
    journal.close()


def test_a_line_cut_short_by_a_kill_is_dropped_and_the_chain_goes_on(path: Path) -> None:
    journal = Journal(path)
    journal.append("observed", {"n": 1})
    journal.close()
    whole = path.read_bytes()
    path.write_bytes(whole + whole[: len(whole) // 2])
    again = Journal(path)
    again.append("triaged", {"n": 2})
    again.close()
    events, torn = read_journal(path)
    assert [e.event for e in events] == ["observed", "triaged"]
    assert torn == b""


@pytest.mark.parametrize("at", range(0, 200, 17))
def test_a_flipped_byte_is_refused_with_the_line_named(path: Path, at: int) -> None:
    journal = Journal(path)
    for n in range(3):
        journal.append("verified", {"attempt": f"r1-a{n}", "verdict": "unfixed"})
    journal.close()
    raw = bytearray(path.read_bytes())
    raw[at] ^= 1
    path.write_bytes(raw)
    with pytest.raises(AgentflowError, match="line|journal"):
        read_journal(path)


def test_many_threads_write_one_chain(path: Path) -> None:
    journal = Journal(path)
    threads = [
        threading.Thread(target=lambda: [journal.append("agent", {"x": 1}) for _ in range(20)])
        for _ in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    journal.close()
    assert len(read_journal(path)[0]) == 160


def test_secrets_never_reach_the_file(path: Path) -> None:
    journal = Journal(path, redact=lambda text: text.replace("hunter2", "[secret]"))
    journal.append("agent", {"text": "the key is hunter2"})
    journal.close()
    assert b"hunter2" not in path.read_bytes()


def test_a_line_that_does_not_fit_on_the_disk_leaves_the_journal_as_it_was(path: Path) -> None:
    command = [sys.executable, "-c", FULL, str(path)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stdout == "File too large\n"
    assert [e.event for e in read_journal(path)[0]] == ["observed", "interrupted"]


FULL = """
import resource, signal, sys
from pathlib import Path
from pytest_agentflow.adapters.journal import Journal

signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))
journal = Journal(Path(sys.argv[1]))
journal.append("observed", {})
try:
    journal.append("verified", {"reason": "x" * 2000})
except OSError as error:
    print(error.strerror)
journal.append("interrupted", {})
"""
