"""`kill -9` at any moment, then `--agent-resume`: the same final tree, and nothing done twice."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import subprocess
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

ARGUMENTS = ("--agent-fix", "--agent", "honest")


def controller_of(pid: int) -> int:
    """The process that the user's pytest handed over to."""
    for _ in range(500):
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
        if children:
            return int(children[0])
        time.sleep(0.01)
    raise AssertionError("no controller was started")


def kill_at(project, event: str, *arguments: str) -> None:
    """Start a run and kill its controller as soon as the journal holds `event`."""
    process = subprocess.Popen(
        project.command(*arguments), cwd=project.top, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=project.environment()
    )  # fmt: skip
    controller = controller_of(process.pid)
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline and process.poll() is None:
        journals = list((project.top / ".agentflow" / "runs").glob("*/journal.jsonl"))
        if journals and f'"event":"{event}"' in journals[0].read_text():
            break
        time.sleep(0.005)
    os.kill(controller, signal.SIGKILL)
    assert process.wait(30) == 2


def leftovers(run: str) -> list[str]:
    """Processes of a run that outlived their controller: its lanes carry the run's id."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                if f"AGENTFLOW_RUN={run}".encode() in (entry / "environ").read_bytes():
                    found.append((entry / "cmdline").read_text())
            except OSError:
                continue
    return found


def objections(verified: list[dict[str, Any]]) -> str:
    """What kept patches out, one line each."""
    return "\n".join(
        f"{each['attempt']} {finding['layer']}: {finding['status']}, {finding['reason']}"
        for each in verified
        for finding in each["findings"]
        if finding["status"] not in ("ok", "n/a")
    )


EVENTS = [
    "started",
    "observed",
    "triaged",
    "localised",
    "planned",
    "dispatched",
    "verified",
    "integrated",
    "delivering",
]


@pytest.mark.parametrize("event", EVENTS)
def test_a_killed_run_resumes_to_the_same_tree(calc, event: str) -> None:
    kill_at(calc, event, *ARGUMENTS)
    before = [e for e in calc.journal() if e["event"] == "verified"]
    done = calc.pytest("--agent-resume")
    assert done.code == 0, done
    text = (calc.top / "calc.py").read_text()
    assert "return a + b\n" in text and "return a + a\n" in text and "return a / 2\n" in text
    verified = [e["data"] for e in calc.journal() if e["event"] == "verified"]
    counts = Counter(each["attempt"] for each in verified)
    assert set(counts) == {"r1-a1", "r1-a2"}, objections(verified)
    assert all(counts[e["data"]["attempt"]] == 1 for e in before), "a judged attempt was judged again"
    assert len(list((calc.top / ".agentflow" / "runs").iterdir())) == 1
    assert calc.agentflow("verify", "--no-execute").code == 0


def test_a_run_resumes_from_a_copied_agentflow_directory(calc, tmp_path: Path) -> None:
    kill_at(calc, "triaged", *ARGUMENTS)
    elsewhere = tmp_path / "kept"
    shutil.move(calc.top / ".agentflow", elsewhere)
    shutil.copytree(elsewhere, calc.top / ".agentflow", symlinks=True)
    done = calc.pytest("--agent-resume")
    assert done.code == 0, done
    assert "return a + b\n" in (calc.top / "calc.py").read_text()


def test_of_forty_units_one_is_lost_and_exactly_one_runs_again(empty) -> None:
    source = "".join(f"def f{n}():\n    return 0\n\n\n" for n in range(40))
    empty.write("many.py", source)
    tests = "import many\n\n\n" + "".join(
        f"def test_{n}():\n    assert many.f{n}() == {n + 1}\n\n\n" for n in range(40)
    )
    empty.write("test_many.py", tests)
    empty.write("pyproject.toml", '[tool.pytest.ini_options]\npythonpath = ["."]\n')
    rules = [{"attempt": "r1-a17", "retry": 0, "crash": "kill"}, {"target": "*", "message": "nothing"}]
    empty.configure(forty={"rules": rules})
    empty.commit()
    done = empty.pytest(
        "--agent-fix",
        "--agent",
        "forty",
        "--agent-retries",
        "1",
        "--agent-lanes",
        "2",
        "--agent-triage-runs",
        "1",
    )
    assert done.code == 1, done
    dispatched = Counter(e["data"]["attempt"] for e in empty.journal() if e["event"] == "dispatched")
    verdicts = {
        e["data"]["attempt"]: e["data"]["verdict"] for e in empty.journal() if e["event"] == "verified"
    }
    assert verdicts["r1-a17"] == "lost"
    assert [a for a in dispatched if a.count("-") == 2] == ["r1-a17-2"]
    assert len(dispatched) == 41 and set(dispatched.values()) == {1}


def test_an_altered_journal_or_verdict_is_found(calc) -> None:
    assert calc.pytest(*ARGUMENTS).code == 0
    journal = calc.run_directory() / "journal.jsonl"
    raw = journal.read_bytes()
    assert calc.agentflow("verify").code == 0
    journal.write_bytes(raw.replace(b'"verdict":"plausible"', b'"verdict":"unfixed"', 1))
    found = calc.agentflow("verify", "--no-execute")
    assert found.code != 0 and "altered" in found.out
    flipped = bytearray(raw)
    flipped[len(raw) // 2] ^= 1
    journal.write_bytes(flipped)
    assert calc.agentflow("verify", "--no-execute").code != 0
    journal.write_bytes(raw)
    evidence = next((calc.run_directory() / "attempts").glob("*/evidence.json"))
    data = json.loads(evidence.read_text())
    targets = next(layer for layer in data["layers"] if layer["layer"] == "targets")
    targets["facts"]["outcomes"] = dict.fromkeys(targets["facts"]["outcomes"], "failed")
    evidence.write_text(json.dumps(data))
    assert calc.agentflow("verify", "--no-execute").code == 1


def heeding_interrupts() -> None:
    """Whoever runs these tests in the background has SIGINT ignored, and hands that on."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


@pytest.mark.parametrize(
    ("send", "number", "times"),
    [
        (os.killpg, signal.SIGINT, 1),  # as a terminal does
        (os.killpg, signal.SIGINT, 2),
        (os.kill, signal.SIGINT, 1),  # as a supervisor does, to the one process that it knows
        (os.kill, signal.SIGINT, 3),
        (os.kill, signal.SIGTERM, 1),
        (os.kill, signal.SIGTERM, 2),
    ],
)
def test_an_interrupted_run_cleans_up_and_prints_how_to_resume(
    calc, send: Callable[[int, int], None], number: signal.Signals, times: int
) -> None:
    calc.configure(sleepy={"rules": [{"target": "*", "sleep": 300}]})
    calc.commit("sleepy")
    before = calc.state()
    process = subprocess.Popen(
        calc.command("--agent-fix", "--agent", "sleepy"), cwd=calc.top, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        env=calc.environment(), start_new_session=True, preexec_fn=heeding_interrupts,  # noqa: PLW1509 - nothing runs beside it
    )  # fmt: skip
    assert process.stdout is not None
    for line in process.stdout:
        if "plan:" in line:
            break
    time.sleep(1.5)
    for _ in range(times):
        with contextlib.suppress(ProcessLookupError):
            send(process.pid, number)
        time.sleep(0.2)
    out, _ = process.communicate(timeout=150)
    assert process.returncode == 2, out
    assert "--agent-resume" in out
    assert "Traceback" not in out
    assert calc.state() == before
    assert [e["event"] for e in calc.journal()][-1] == "interrupted"
    run = calc.run_directory().name
    base = Path(f"/tmp/agentflow-{os.getuid()}")
    assert not list(base.glob(f"{run}-*"))
    assert not leftovers(run)
