"""Which projects and machines let the servers come up, fork and swap, and what is done where they do not?"""

from __future__ import annotations

import os
import textwrap
from dataclasses import replace
from pathlib import Path

import pytest
from lean import lent, plain

from pytest_agentflow.adapters import sandbox
from pytest_agentflow.adapters.sessions import RunSpec
from pytest_agentflow.adapters.warm import COLD, FRESH, HOT, WarmRunner


@pytest.fixture(scope="module")
def tools() -> RunSpec:
    return lent(plain())


def test_threads_in_the_collected_session_rule_out_hot_swapping(tmp_path: Path, tools: RunSpec) -> None:
    """Only the forking thread survives a fork: the runner says so and imports afresh instead."""
    (tmp_path / "tree").mkdir()
    (tmp_path / "tree" / "conftest.py").write_text(
        "import threading\nthreading.Thread(target=threading.Event().wait, daemon=True).start()\n"
    )
    (tmp_path / "tree" / "mod.py").write_text("def f():\n    return 1\n")
    (tmp_path / "tree" / "test_mod.py").write_text("import mod\n\n\ndef test_f():\n    assert mod.f() == 2\n")
    ids = ("test_mod.py::test_f",)
    with WarmRunner() as warm:
        warm.start(tools, tmp_path / "tree", ids, tmp_path / "scratch")
        assert "threads" in warm.why[HOT]
        verdict = warm.judge({"mod.py": b"def f():\n    return 2\n"}, ids)
    assert (verdict.mode, verdict.rung, verdict.green(ids)) == (FRESH, True, True)
    assert "threads" in verdict.why


def test_a_project_that_turns_warnings_into_errors_comes_up(tmp_path: Path) -> None:
    """What the user's own plugins are told must be known to those that are left."""
    tree = tmp_path / "tree"
    tree.mkdir()
    (tree / "pytest.ini").write_text(
        "[pytest]\nfilterwarnings = error\nasyncio_default_fixture_loop_scope = function\n"
    )
    (tree / "mod.py").write_text("def f():\n    return 1\n")
    (tree / "test_mod.py").write_text("import mod\n\n\ndef test_f():\n    assert mod.f() == 2\n")
    ids = ("test_mod.py::test_f",)
    users = plain(inifile="pytest.ini", pytest_args=(), plugins=("cacheprovider", "xdist"))
    with WarmRunner() as warm:
        warm.start(users, tree, ids, tmp_path / "scratch")
        assert HOT not in warm.why
        assert warm.judge({"mod.py": b"def f():\n    return 2\n"}, ids).green(ids)


def test_where_the_system_cannot_fork_everything_runs_cold_and_it_says_so(
    tmp_path: Path, tools: RunSpec, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "tree").mkdir()
    (tmp_path / "tree" / "test_mod.py").write_text("def test_f():\n    pass\n")
    monkeypatch.delattr(os, "fork")
    ids = ("test_mod.py::test_f",)
    with WarmRunner() as warm:
        warm.start(tools, tmp_path / "tree", ids, tmp_path / "scratch")
        verdict = warm.judge({}, ids)
    assert (verdict.mode, verdict.green(ids)) == (COLD, True)
    assert "cannot fork" in verdict.why


def test_a_project_that_does_not_come_up_is_run_cold(tmp_path: Path, tools: RunSpec) -> None:
    (tmp_path / "tree").mkdir()
    (tmp_path / "tree" / "conftest.py").write_text("import os\nif os.getppid() != 0:\n    os._exit(3)\n")
    (tmp_path / "tree" / "test_mod.py").write_text(textwrap.dedent("def test_f():\n    pass\n"))
    ids = ("test_mod.py::test_f",)
    with WarmRunner() as warm:
        warm.start(tools, tmp_path / "tree", ids, tmp_path / "scratch")
        assert "did not come up" in warm.why[HOT]
        runner_verdict = warm.judge({}, ids)
    assert not runner_verdict.green(ids)


def test_files_and_shared_memory_of_the_session(tmp_path: Path, tools: RunSpec) -> None:
    """A file opened at import has an offset of its own in every fork; shared locks rule out hot swapping."""
    (tmp_path / "tree").mkdir()
    (tmp_path / "tree" / "data.txt").write_text("one\ntwo\n")
    code = "FILE = open('data.txt')\nFILE.buffer.raw.read(0)\n\n\ndef f():\n    return 1\n"
    (tmp_path / "tree" / "mod.py").write_text(code)
    test = "import os\nimport mod\n\n\ndef test_f():\n    assert os.read(mod.FILE.fileno(), 3) == b'one'\n    assert mod.f()\n"
    (tmp_path / "tree" / "test_mod.py").write_text(test)
    ids = ("test_mod.py::test_f",)
    with WarmRunner() as warm:
        warm.start(tools, tmp_path / "tree", ids, tmp_path / "scratch")
        for _ in range(2):
            verdict = warm.judge({"mod.py": code.replace("return 1", "return 2").encode()}, ids)
            assert (verdict.mode, verdict.green(ids)) == (HOT, True)
        (tmp_path / "tree" / "mod.py").write_text(
            "import multiprocessing\nLOCK = multiprocessing.Lock()\n" + code
        )
        warm.start(tools, tmp_path / "tree", ids, tmp_path / "again")
        assert HOT in warm.why


def test_what_a_plugin_loaded_before_collection_is_judged_cold(tmp_path: Path, tools: RunSpec) -> None:
    """Nothing is known about what ran of it: neither a swap nor another import would be the truth."""
    (tmp_path / "tree").mkdir()
    code = "def value():\n    return 1\n\n\nTABLE = [value()]\n"
    (tmp_path / "tree" / "plug.py").write_text(code)
    (tmp_path / "tree" / "test_mod.py").write_text(
        "import plug\n\n\ndef test_f():\n    assert plug.TABLE == [2]\n"
    )
    ids = ("test_mod.py::test_f",)
    with WarmRunner() as warm:
        plugged = replace(tools, pytest_args=(*tools.pytest_args, "-p", "plug"))
        warm.start(plugged, tmp_path / "tree", ids, tmp_path / "scratch")
        verdict = warm.judge({"plug.py": code.replace("return 1", "return 2").encode()}, ids)
    assert (verdict.mode, verdict.green(ids)) == (COLD, True)
    assert "plugin" in verdict.why


def test_an_installed_library_that_imports_the_project_is_not_prepared(
    tmp_path: Path, tools: RunSpec
) -> None:
    """It would hold the old module for ever: the nursery stays without it, and a fresh import sees the candidate."""
    for name in ("tree", "site"):
        (tmp_path / name).mkdir()
    (tmp_path / "site" / "library.py").write_text("import mod\n\n\ndef through():\n    return mod.RATE\n")
    (tmp_path / "tree" / "mod.py").write_text("RATE = 1\n")
    test = "import library\n\n\ndef test_f():\n    assert library.through() == 2\n"
    (tmp_path / "tree" / "test_mod.py").write_text(test)
    ids = ("test_mod.py::test_f",)
    with WarmRunner() as warm:
        warm.start(
            replace(tools, site_paths=(str(tmp_path / "site"),)), tmp_path / "tree", ids, tmp_path / "scratch"
        )
        verdict = warm.judge({"mod.py": b"RATE = 2\n"}, ids)
    assert (verdict.mode, verdict.rung, verdict.green(ids)) == (FRESH, True, True)


@pytest.mark.skipif(
    not any(r.name != "none" and r.works for r in sandbox.ladder()), reason="no sandbox works here"
)
def test_the_servers_and_their_forks_live_in_the_sandbox(tmp_path: Path, tools: RunSpec) -> None:
    """What the sandbox hides and forbids is hidden and forbidden in a candidate."""
    kind = next(r.name for r in sandbox.ladder() if r.works)
    (tmp_path / "tree").mkdir()
    secret = tmp_path / "secret"
    secret.mkdir()
    (secret / "key").write_text("x")
    code = "def f():\n    return 1\n"
    (tmp_path / "tree" / "mod.py").write_text(code)
    (tmp_path / "tree" / "test_mod.py").write_text("import mod\n\n\ndef test_f():\n    assert mod.f() == 2\n")
    spy = f"try:\n        open({str(secret / 'key')!r}).read()\n    except OSError:\n        return 2"
    ids = ("test_mod.py::test_f",)
    with WarmRunner() as warm:
        boxed = replace(tools, sandbox=kind, hidden=(str(secret),))
        warm.start(boxed, tmp_path / "tree", ids, tmp_path / "scratch")
        verdict = warm.judge({"mod.py": code.replace("return 1", spy).encode()}, ids)
    assert (verdict.mode, verdict.green(ids)) == (HOT, True), verdict
