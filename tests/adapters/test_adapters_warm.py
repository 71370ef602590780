"""The warm runner tells the same as a cold run, says how it got there, and never passes on old code as patched."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from lean import plain

from pytest_agentflow.adapters.sessions import RunSpec, run_session
from pytest_agentflow.adapters.toolcache import tool_bytecode
from pytest_agentflow.adapters.warm import (
    COLD,
    FRESH,
    HOT,
    Job,
    Limits,
    WarmRunner,
    WarmVerdict,
)
from pytest_agentflow.agents.search.edits import Source
from pytest_agentflow.agents.search.normal import normal_form
from pytest_agentflow.agents.search.order import generate
from pytest_agentflow.core.model import Outcome

CODE = '''
"""A module with every shape that a patch can meet."""
import functools

RATE = 3


def build():
    return {"a": 1}


TABLE = build()


def add(a, b):
    # keep this comment
    return a - b


def scaled(x):
    return x * RATE


def logged(function):
    @functools.wraps(function)
    def wrapper(*args):
        return function(*args)

    return wrapper


@logged
def double(x):
    return x * 3


class Base:
    def greet(self):
        return "hello"


class Child(Base):
    factor = 2

    def __init__(self, n=1):
        self.__n = n

    def greet(self):
        return super().greet() + "!" * self.__n

    @property
    def size(self):
        return self.__n * self.factor


def lookup(key):
    return TABLE[key]


def counter(limit):
    n = 0
    while n < limit:
        n += 1
        yield n
'''
TESTS = """
import os
import subprocess
import sys
import tempfile

import pytest
from shapes import Child, add, counter, double, lookup, scaled


def test_add():
    assert add(2, 2) == 4


def test_scaled():
    assert scaled(2) == 6


def test_double():
    assert double(4) == 8


def test_greet():
    assert Child(2).greet() == "hello!!"


def test_size():
    assert Child(3).size == 6


def test_lookup():
    assert lookup("a") == 1


def test_counter():
    assert list(counter(3)) == [1, 2, 3]


def test_in_a_process_of_its_own():
    code = "import shapes; raise SystemExit(shapes.add(1, 1))"
    assert subprocess.run([sys.executable, "-c", code]).returncode == 2


@pytest.mark.parametrize("x", [1, 2])
def test_output(x, capfd, tmp_path):
    print("spoken", x)
    (tmp_path / "file").write_text("kept apart")
    assert capfd.readouterr().out == f"spoken {x}\\n"


def test_temporary_directory_is_fresh():
    assert not [name for name in os.listdir(tempfile.gettempdir()) if name != "pytest"]
    open(os.path.join(tempfile.gettempdir(), "left behind"), "w").close()
"""
PREFIX = "test_shapes.py::"


@pytest.fixture(scope="module")
def tools(tmp_path_factory: pytest.TempPathFactory) -> RunSpec:
    """Bytecode of interpreter and plugins is lent, as in a run of the product."""
    found = tool_bytecode(plain(), tmp_path_factory.mktemp("tools"))
    return plain(bytecode=str(found or ""))


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("tree")
    (path / "shapes.py").write_text(CODE)
    (path / "test_shapes.py").write_text(TESTS)
    (path / "pytest.ini").write_text("[pytest]\n")
    return path


@pytest.fixture(scope="module")
def runner(tree: Path, tools: RunSpec, tmp_path_factory: pytest.TempPathFactory) -> Iterator[WarmRunner]:
    ids = [f"{PREFIX}{name}" for name in names()]
    with WarmRunner() as warm:
        warm.start(tools, tree, ids, tmp_path_factory.mktemp("scratch"))
        assert warm.why == {}
        yield warm


def names() -> list[str]:
    found = [line[4:].partition("(")[0] for line in TESTS.splitlines() if line.startswith("def test")]
    return [n for n in found if n != "test_output"] + ["test_output[1]", "test_output[2]"]


def patched(old: str, new: str) -> dict[str, bytes]:
    assert old in CODE
    return {"shapes.py": CODE.replace(old, new, 1).encode()}


def judge(runner: WarmRunner, old: str, new: str, *tests: str, **limits: object) -> WarmVerdict:
    return runner.judge(patched(old, new), [PREFIX + t for t in tests], Limits(stop=False, **limits))  # type: ignore[arg-type]


def test_the_base_looks_as_it_does_cold(runner: WarmRunner) -> None:
    """Every outcome of the unpatched project is the same in all three modes."""
    ids = tuple(PREFIX + n for n in names())
    seen = []
    for mode in (HOT, FRESH, COLD):
        runner.submit(Job({}, ids, Limits(stop=False), mode))
        seen.append(runner.next()[1])
    assert [v.mode for v in seen] == [HOT, FRESH, COLD]
    assert seen[0].outcomes == seen[1].outcomes == seen[2].outcomes
    assert {i for i, o in seen[0].outcomes.items() if o.red} == {
        PREFIX + n for n in ("test_add", "test_double", "test_in_a_process_of_its_own")
    }


@pytest.mark.parametrize(
    ("old", "new", "test", "mode"),
    [
        ("return a - b", "return a + b", "test_add", HOT),
        (
            "    # keep this comment\n    return a - b",
            "    c = b\n    # more lines\n    return a + c",
            "test_add",
            HOT,
        ),
        (
            'def build():\n    return {"a": 1}',
            'def build():\n    one = 1\n    return {"a": one}',
            "test_lookup",
            FRESH,
        ),
        ("return x * 3", "return x * 2", "test_double", HOT),
        ("        return function(*args)", "        return function(*args) * 2 // 3", "test_double", HOT),
        (
            'return super().greet() + "!" * self.__n',
            'return super().greet() + self.__n * "!"',
            "test_greet",
            HOT,
        ),
        ("return self.__n * self.factor", "return self.factor * self.__n", "test_size", HOT),
        ("RATE = 3", "RATE = 3 + 0", "test_scaled", FRESH),
        ("def __init__(self, n=1)", "def __init__(self, n=2)", "test_greet", FRESH),
        ("    factor = 2", "    factor = 1 + 1", "test_size", FRESH),
        ("while n < limit", "while limit > n", "test_counter", HOT),
        ("def scaled(x):\n", "EXTRA = 1\n\n\ndef scaled(x):\n", "test_scaled", FRESH),
    ],
)
def test_a_good_patch_passes_in_the_fastest_mode_that_is_safe(
    runner: WarmRunner, old: str, new: str, test: str, mode: str
) -> None:
    verdict = judge(runner, old, new, test)
    assert (verdict.mode, verdict.outcomes) == (mode, {PREFIX + test: Outcome.PASSED}), verdict
    assert verdict.rung, "the patched code says that it ran"


def test_code_below_a_line_shift_still_runs_and_code_that_ran_at_import_is_not_swapped(
    runner: WarmRunner,
) -> None:
    """`build` made TABLE when it was imported: swapping it would test the old table."""
    verdict = judge(runner, 'return {"a": 1}', 'return {"a": 2}', "test_lookup")
    assert verdict.mode == FRESH
    assert "while the session was collected" in verdict.why
    assert verdict.outcomes[PREFIX + "test_lookup"] is Outcome.FAILED


def test_a_patch_that_no_test_enters_is_not_called_run(runner: WarmRunner) -> None:
    verdict = judge(runner, "return a - b", "return a + b", "test_scaled")
    assert verdict.outcomes[PREFIX + "test_scaled"] is Outcome.PASSED
    assert not verdict.rung


def test_a_test_that_starts_programs_is_judged_cold(runner: WarmRunner) -> None:
    """The patch is not on disk while it is warm: a program that the test starts would run old code."""
    test = PREFIX + "test_in_a_process_of_its_own"
    for _ in range(2):  # found out the first time, known the second
        verdict = judge(runner, "return a - b", "return a + b", "test_add", "test_in_a_process_of_its_own")
        assert (verdict.mode, verdict.outcomes[test]) == (COLD, Outcome.PASSED)
        assert verdict.outcomes[PREFIX + "test_add"] is Outcome.PASSED
        assert "starts programs" in verdict.why


def test_a_hanging_candidate_costs_its_limit_and_no_more(runner: WarmRunner) -> None:
    verdict = judge(runner, "    return a - b", "    while True:\n        pass", "test_add", default=0.2)
    assert verdict.outcomes == {PREFIX + "test_add": Outcome.TIMEOUT}
    assert verdict.killed == "cpu"
    assert verdict.cpu < 1.0


def test_a_slow_test_is_not_run_once_a_quick_one_is_red(runner: WarmRunner) -> None:
    ids = [PREFIX + name for name in ("test_add", "test_scaled", "test_double")]
    quick, slow = frozenset({ids[0], ids[2]}), frozenset({ids[1]})
    seen = runner.judge({}, ids, Limits(keep_going=quick, if_green=slow))
    assert seen.outcomes == {ids[0]: Outcome.FAILED, ids[2]: Outcome.FAILED}
    assert seen.complete


def test_what_follows_a_test_that_is_left_out_is_set_up_as_ever(tmp_path: Path, tools: RunSpec) -> None:
    """The slow one would have kept the module of the red one alive; the next stands in another module."""
    tree = tmp_path / "tree"
    tree.mkdir()
    (tree / "test_a.py").write_text(
        "import pytest\n\n\n@pytest.fixture(scope='module')\ndef held():\n    yield 1\n    raise OSError\n\n\n"
        "def test_quick(held):\n    assert held == 2\n\n\ndef test_slow(held):\n    assert held == 2\n"
    )
    (tree / "test_b.py").write_text("def test_guard():\n    pass\n")
    ids = ("test_a.py::test_quick", "test_a.py::test_slow", "test_b.py::test_guard")
    with WarmRunner() as warm:
        warm.start(tools, tree, ids, tmp_path / "scratch")
        limits = Limits(keep_going=frozenset(ids[:2]), if_green=frozenset(ids[1:2]))
        seen = warm.judge({}, ids, limits)
    assert seen.outcomes == {ids[0]: Outcome.FAILED, ids[2]: Outcome.PASSED}


def test_a_candidate_that_kills_its_process_is_a_crash(runner: WarmRunner) -> None:
    verdict = judge(runner, "return a - b", "__import__('os')._exit(0)", "test_add")
    assert verdict.outcomes == {PREFIX + "test_add": Outcome.CRASHED}
    assert not verdict.complete


def test_what_is_no_python_is_invalid_without_a_fork(runner: WarmRunner) -> None:
    assert judge(runner, "return a - b", "return a -", "test_add").killed == "invalid"


def test_each_fork_has_a_temporary_directory_of_its_own(runner: WarmRunner) -> None:
    test = PREFIX + "test_temporary_directory_is_fresh"
    for _ in range(2):
        assert runner.judge({}, [test]).green([test])


def test_a_candidate_holds_no_command_socket(runner: WarmRunner) -> None:
    """Project code in a fork finds no socket that leads to the servers."""
    spy = (
        "import os\n    links = [os.readlink(f'/proc/self/fd/{f}') for f in os.listdir('/proc/self/fd')"
        " if os.path.exists(f'/proc/self/fd/{f}')]\n    return 4 if not [x for x in links if 'socket' in x] else 0"
    )
    assert judge(runner, "return a - b", spy, "test_add").outcomes[PREFIX + "test_add"] is Outcome.PASSED


def test_an_edit_that_the_server_cannot_plan_costs_speed_and_not_the_server(
    tmp_path: Path, tools: RunSpec
) -> None:
    """Here the project has taken away a function of the standard library."""
    tree, ids = tmp_path / "tree", ["test_one.py::test_one"]
    tree.mkdir()
    (tree / "one.py").write_text("def f():\n    return 1\n")
    (tree / "test_one.py").write_text(
        "import ast, one\n\n\ndef test_one():\n    assert one.f() == 2\n\n\nast.parse = None\n"
    )
    with WarmRunner() as warm:
        warm.start(tools, tree, ids, tmp_path / "scratch")
        for _ in range(2):
            verdict = warm.judge({"one.py": b"def f():\n    return 2\n"}, ids)
            assert (verdict.mode, verdict.green(ids)) == (FRESH, True)
            assert "TypeError" in verdict.why


def test_messages_of_failures_are_one_line_and_the_real_ones(runner: WarmRunner) -> None:
    assert (
        runner.judge({}, [PREFIX + "test_add"])
        .messages[PREFIX + "test_add"]
        .startswith("AssertionError: assert 0 == 4")
    )


@pytest.mark.slow
def test_warm_and_cold_agree_on_a_hundred_candidates(tree: Path, tools: RunSpec, tmp_path: Path) -> None:
    """Template edits of the whole module, hot or fresh as they fall, against a cold session in which each is on disk.

    One cold session holds all of them, every candidate a module of its own with tests of its own.
    """
    source = Source("shapes.py", CODE.encode())
    ranked = generate(
        {"shapes.py": source}, {("shapes.py", n): 1.0 for n in range(1, len(source.lines) + 1)}, 3
    )
    real = [r.edits for r in ranked if normal_form(source, *r.edits) is not None]
    chosen = real[:: max(1, len(real) // 130)][:130]
    # Left out: what goes cold anyway, and what finds the files that another module of the one cold session left.
    alone = {"test_in_a_process_of_its_own", "test_temporary_directory_is_fresh", "test_output[2]"}
    wanted = [n for n in names() if n not in alone]
    lean = replace(tools, env={**tools.env, "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}, pytest_args=("-p", "no:cacheprovider"))  # fmt: skip
    together = tmp_path / "together"
    together.mkdir()
    seen = {}
    with WarmRunner() as warm:
        warm.start(lean, tree, [PREFIX + n for n in wanted], tmp_path / "scratch")
        for n, edits in enumerate(chosen):
            patch = source.patched(edits)
            verdict = warm.judge(
                {"shapes.py": patch}, [PREFIX + t for t in wanted], Limits(default=1.0, stop=False)
            )
            if not verdict.killed and verdict.complete and Outcome.MISSING not in verdict.outcomes.values():
                seen[n] = (verdict, edits)
                (together / f"shapes{n}.py").write_bytes(patch)
                (together / f"test_shapes{n}.py").write_text(TESTS.replace("from shapes", f"from shapes{n}"))
    record = run_session(
        lean, together, ids=None, paths=["."], scratch=tmp_path / "cold", timeout=120, text=False
    )
    assert len(seen) >= 90, "hangs, crashes and imports that fail are left out"
    for n, (verdict, edits) in seen.items():
        cold = {t: record.results[f"test_shapes{n}.py::{t}"].outcome for t in wanted}
        assert {t: verdict.outcomes[PREFIX + t] for t in wanted} == cold, (edits, verdict.mode)
