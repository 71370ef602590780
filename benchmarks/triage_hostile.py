"""Does flaky triage stay within its time on suites that fight back: thousands of tests, killers, hangs, threads at import?

python benchmarks/triage_hostile.py [--tests 5000] [--budget 90s] [--threads]
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import time
from pathlib import Path

from pytest_agentflow.adapters.sessions import RunSpec
from pytest_agentflow.core.triage_budget import parse_budget
from pytest_agentflow.report import triage_terminal
from pytest_agentflow.stages.flaky_triage import run_triage

CONFTEST = """
import pathlib, pytest

@pytest.fixture(scope="session", autouse=True)
def database():
    path = pathlib.Path("session.db")
    path.write_text("open")
    yield path
    path.unlink()

@pytest.fixture(scope="module")
def table(database):
    with database.open("a") as f:
        f.write("table ")
    return []
"""
THREADS = """
import threading
_stop = threading.Event()
threading.Thread(target=_stop.wait, daemon=True).start()
"""
BAD = """
import os, random, signal, time
def test_exits(): os._exit(3)
def test_segfaults(): os.kill(os.getpid(), signal.SIGSEGV)
def test_hangs(): time.sleep(3600)
def test_leaves_a_child(): os.fork() or time.sleep(3600)
def test_dice(): assert random.random() < 0.6
def test_pollutes(): os.environ["HOSTILE"] = "1"
def test_victim(): assert "HOSTILE" not in os.environ
"""


def write(tree: Path, tests: int, threads: bool) -> None:
    tree.mkdir()
    (tree / "conftest.py").write_text(CONFTEST + (THREADS if threads else ""))
    (tree / "test_0_bad.py").write_text(BAD)
    per_file = 100
    for number in range(tests // per_file):
        lines = [
            f"def test_{n}(table):\n    table.append({n})\n    assert {n} in table" for n in range(per_file)
        ]
        (tree / f"test_part_{number}.py").write_text("\n".join(lines) + "\n")


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--tests", type=int, default=5000)
    parser.add_argument("--budget", default="90s")
    parser.add_argument("--threads", action="store_true", help="start a thread while tests are collected")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="hostile-") as place:
        tree = Path(place) / "tree"
        write(tree, options.tests, options.threads)
        spec = RunSpec(python=sys.executable, env={"PATH": os.environ["PATH"], "LANG": "C.UTF-8"})
        began = time.monotonic()
        report = run_triage(
            spec, tree, [], parse_budget(options.budget), Path(place) / "out", lambda text: None
        )
        wall = time.monotonic() - began
    sys.stdout.write(triage_terminal.summary(report))
    sys.stdout.write(f"{report.tests} tests, budget {options.budget}, took {wall:.1f} s\n")


if __name__ == "__main__":
    main()
