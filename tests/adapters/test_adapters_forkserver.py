"""A collected session runs tests again and again; every time from the same memory and the same files."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from lean import ADDOPTS

from pytest_agentflow.adapters.forkserver import ForkServer
from pytest_agentflow.adapters.sessions import RunSpec
from pytest_agentflow.core.conditions import Conditions
from pytest_agentflow.core.executions import Job
from pytest_agentflow.core.model import Outcome
from pytest_agentflow.errors import AgentflowError

PROJECT = """
import asyncio, datetime, os, pathlib, random, secrets, tempfile, threading, time, unittest
import pytest
SHARED = []
def test_own_generator(): assert random.Random().random() > 0.5
def test_uptime(): assert time.monotonic() % 60 < 30
def test_temp_file():
    path = pathlib.Path(tempfile.gettempdir()) / "shop.pid"
    assert not path.exists()
    path.write_text("1")
def test_own_temp_file():
    with tempfile.NamedTemporaryFile() as f: f.write(b"x")
def test_late():
    done = threading.Event()
    threading.Timer(0.001, done.set).start()
    assert done.wait(0.05)
class TestAsync(unittest.IsolatedAsyncioTestCase):
    async def test_sleeps(self): await asyncio.sleep(0)
@pytest.fixture(scope="session")
def dice(): return random.random()
def test_asks_first(dice): assert dice >= 0
def test_asks_second(dice): assert dice >= 0
def test_adds(): SHARED.append(1)
def test_is_empty(): assert SHARED == []
def test_dies(): os._exit(7)
def test_hangs(): time.sleep(60)
def test_rolls(): assert random.random() > 0.5
def test_seeds(): random.seed(3); assert random.random() < 1
def test_draws(): assert secrets.randbelow(2)
def test_zone(): assert time.localtime(0).tm_hour == 0
def test_day(): assert datetime.date.today().year == 2001 and time.time() < 1e9
def test_writes():
    assert not pathlib.Path("left.txt").exists()
    pathlib.Path("left.txt").write_text("x")
def test_temp(tmp_path, monkeypatch):
    assert os.listdir(tempfile.gettempdir()) == ["pytest-of-" + os.listdir(tempfile.gettempdir())[0][10:]]
"""


def spec_of(tree: Path) -> RunSpec:
    return RunSpec(
        python=sys.executable, env={"PATH": os.environ["PATH"], "PYTEST_ADDOPTS": ADDOPTS}, user_top=str(tree)
    )


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ForkServer]:
    tree = tmp_path_factory.mktemp("tree")
    (tree / "test_all.py").write_text(PROJECT)
    with ForkServer.start(spec_of(tree), tree, tmp_path_factory.mktemp("scratch")) as running:
        yield running


def run(server: ForkServer, *names: str, **changes: object) -> list[Outcome]:
    job = Job(tuple(f"test_all.py::{n}" for n in names), **changes)  # type: ignore[arg-type]
    return [step.outcome for step in server.execute([job])[0].steps]


def test_every_execution_starts_from_the_memory_of_collection(server: ForkServer) -> None:
    assert server.forks
    assert run(server, "test_adds", "test_is_empty") == [Outcome.PASSED, Outcome.FAILED]
    assert run(server, "test_is_empty", "test_adds") == [Outcome.PASSED, Outcome.PASSED]


def test_a_test_may_run_twice_with_fixtures_of_its_own(server: ForkServer) -> None:
    assert run(server, "test_temp", "test_temp")[0] is Outcome.PASSED
    assert len(run(server, "test_temp", "test_temp")) == 2


def test_a_dead_or_hanging_test_ends_its_own_execution_only(server: ForkServer) -> None:
    assert run(server, "test_adds", "test_dies", "test_adds") == [Outcome.PASSED, Outcome.CRASHED]
    began = time.monotonic()
    assert run(server, "test_hangs", each=0.5) == [Outcome.TIMEOUT]
    assert time.monotonic() - began < 10
    assert run(server, "test_adds") == [Outcome.PASSED]


def test_equal_seeds_give_equal_verdicts_and_others_others(server: ForkServer) -> None:
    for name, field in (("test_rolls", "seeds"), ("test_draws", "entropies")):
        draws = [run(server, *[name] * 12, **{field: tuple(range(12))}) for _ in range(2)]
        assert draws[0] == draws[1]
        assert set(draws[0]) == {Outcome.PASSED, Outcome.FAILED}


def test_zone_and_clock_can_be_moved(server: ForkServer) -> None:
    assert run(server, "test_zone", conditions=Conditions(zone="UTC")) == [Outcome.PASSED]
    assert run(server, "test_zone", conditions=Conditions(zone="UTC+5")) == [Outcome.FAILED]
    assert run(server, "test_day", conditions=Conditions(clock=990_000_000.0)) == [Outcome.PASSED]
    assert run(server, "test_day") == [Outcome.FAILED]


def test_what_a_test_leaves_in_the_tree_is_gone_unless_it_is_kept(server: ForkServer) -> None:
    assert [run(server, "test_writes") for _ in range(2)] == [[Outcome.PASSED]] * 2
    assert run(server, "test_writes", keep_files=True) == [Outcome.PASSED]
    assert run(server, "test_writes", keep_files=True) == [Outcome.FAILED]
    server.clean()
    assert run(server, "test_writes") == [Outcome.PASSED]


def test_a_probe_tells_what_each_test_leans_on(server: ForkServer) -> None:
    ids = [f"test_all.py::test_{n}" for n in ("rolls", "draws", "zone", "day", "writes", "adds", "seeds")]
    steps = server.execute([Job(tuple(ids), probe=True)])[0].steps
    uses = {s.nodeid.rpartition("_")[2]: set(s.uses) for s in steps}
    assert "random" in uses["rolls"]
    assert "entropy" in uses["draws"]
    assert "zone" in uses["zone"]
    assert "clock" in uses["day"]
    assert not uses["adds"]
    assert not uses["seeds"], "what it draws was its own choice"
    assert steps[4].writes == ("left.txt",)


def test_a_probe_gives_a_shared_fixtures_leanings_to_all_who_ask_and_to_nobody_else(
    server: ForkServer,
) -> None:
    ids = [
        f"test_all.py::{n}"
        for n in ("test_asks_first", "test_asks_second", "test_adds", "TestAsync::test_sleeps")
    ]
    first, second, neither, loop = server.execute([Job(tuple(ids), probe=True)])[0].steps
    assert "random" in first.uses
    assert "random" in second.uses
    assert not neither.uses
    assert "async" in loop.uses


def test_generators_made_without_a_seed_follow_the_seed(server: ForkServer) -> None:
    draws = [run(server, *["test_own_generator"] * 12, seeds=tuple(range(12))) for _ in range(2)]
    assert draws[0] == draws[1]
    assert set(draws[0]) == {Outcome.PASSED, Outcome.FAILED}


def test_the_uptime_moves_with_the_clock(server: ForkServer) -> None:
    outcomes = [run(server, "test_uptime", conditions=Conditions(clock=960_000_000.0 + s)) for s in (5, 45)]
    assert outcomes == [[Outcome.PASSED], [Outcome.FAILED]]


def test_threads_can_start_late(server: ForkServer) -> None:
    late = [run(server, "test_late", conditions=Conditions(jitter=2)) for _ in range(2)]
    assert late == [[Outcome.FAILED]] * 2


def test_a_method_that_runs_twice_has_an_object_of_its_own_each_time(server: ForkServer) -> None:
    assert run(server, *["TestAsync::test_sleeps"] * 2) == [Outcome.PASSED] * 2


def test_names_in_tmpdir_are_shared_by_what_runs_at_once_and_gone_afterwards(server: ForkServer) -> None:
    job = Job(("test_all.py::test_temp_file",))
    at_once = server.execute([job, job], width=2)
    assert sorted(e.steps[0].outcome for e in at_once) == [Outcome.FAILED, Outcome.PASSED]
    passed = next(e.steps[0] for e in at_once if e.steps[0].outcome is Outcome.PASSED)
    assert passed.writes == ("$TMPDIR/shop.pid",)
    assert run(server, "test_temp_file") == [Outcome.PASSED]
    assert not server.execute([Job(("test_all.py::test_own_temp_file",))])[0].steps[0].writes


def test_run_gives_the_record_of_a_session(server: ForkServer) -> None:
    record = server.run(["test_all.py::test_adds", "test_all.py::test_is_empty"])
    assert record.problem is None
    assert record.results["test_all.py::test_is_empty"].failure is not None
    assert record.exit_code == 1


def test_threads_started_while_collecting_mean_a_process_per_execution(tmp_path: Path) -> None:
    tree = tmp_path / "tree"
    tree.mkdir()
    (tree / "test_t.py").write_text(
        "import threading\nSTOP = threading.Event()\nthreading.Thread(target=STOP.wait, daemon=True).start()\n"
        "S = []\ndef test_a(): S.append(1)\ndef test_b(): assert not S\n"
    )
    with ForkServer.start(spec_of(tree), tree, tmp_path / "scratch") as server:
        assert not server.forks
        assert "1 thread started during collection" in server.why_not
        jobs = [Job(("test_t.py::test_a", "test_t.py::test_b")), Job(("test_t.py::test_b",))]
        outcomes = [[s.outcome for s in e.steps] for e in server.execute(jobs)]
    assert outcomes == [[Outcome.PASSED, Outcome.FAILED], [Outcome.PASSED]]


def test_a_suite_that_cannot_be_collected_at_all_is_named_with_a_next_step(tmp_path: Path) -> None:
    (tmp_path / "tree").mkdir()
    (tmp_path / "tree" / "conftest.py").write_text("raise RuntimeError('no')\n")
    with pytest.raises(AgentflowError, match="could not be collected"):
        ForkServer.start(spec_of(tmp_path / "tree"), tmp_path / "tree", tmp_path / "scratch")
