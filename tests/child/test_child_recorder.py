"""The recorder inside real pytest sessions."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import textwrap
from collections.abc import Mapping
from pathlib import Path

import pytest

from pytest_agentflow.adapters.coverage_map import CoverageMap, read

PACKAGE = """\
LIMIT = 3


def low(x):
    if x > LIMIT:
        return x
    return 0


def high(x):
    return (lambda y: y)(x)


def one(x): return x


def generated(n):
    for k in range(n):
        yield k


async def waited():
    return 1
"""

TESTS = """\
import threading
import unittest

import pytest
from pkg import generated, high, low, one, waited


@pytest.fixture(scope="session")
def shared():
    yield high(1)
    low(9)


@pytest.fixture
def own():
    yield low(9)
    one(1)


def test_uses_shared_first(shared): pass


def test_uses_shared_second(shared): pass


def test_own(own):
    assert low(1) == 0


@pytest.mark.parametrize("x", [1, 9])
def test_param(x):
    low(x)


def test_asked_at_run_time(request):
    assert request.getfixturevalue("shared") == 1


def test_thread():
    thread = threading.Thread(target=high, args=(1,))
    thread.start()
    thread.join()


def test_generator():
    assert list(generated(2)) == [0, 1]


@pytest.mark.asyncio
async def test_async():
    assert await waited() == 1


class TestOld(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        one(1)

    def test_sub(self):
        for x in (1, 9):
            with self.subTest(x=x):
                low(x)

    def test_other(self):
        pass


def test_fails():
    assert low(9) == 0
"""

LINE = {name: n for n, name in enumerate(PACKAGE.splitlines(), 1)}
LOW_TAKEN, LOW_NOT = 6, 7
HIGH, ONE, GENERATED, WAITED = 11, 14, 19, 23
FILE = "tests/test_it.py"


@pytest.fixture
def project(tmp_path: Path) -> Path:
    (tmp_path / "pkg").mkdir()
    (tmp_path / "pkg" / "__init__.py").write_text(PACKAGE)
    (tmp_path / "tests").mkdir()
    (tmp_path / FILE).write_text(TESTS)
    (tmp_path / "pytest.ini").write_text(
        "[pytest]\nfilterwarnings = error\nasyncio_default_fixture_loop_scope = function\nmarkers = asyncio\n"
    )
    return tmp_path


def session(
    project: Path, *args: str, options: Mapping[str, object] | None = None
) -> tuple[CoverageMap, subprocess.CompletedProcess[str]]:
    out = project / "out"
    told = json.dumps({"roots": ["pkg"], "out": str(out), "top": str(project), **(options or {})})
    env = {**os.environ, "AGENTFLOW_RECORDER": told, "PYTHONPATH": str(project)}
    command = [
        sys.executable,
        "-m",
        "pytest",
        "-q",
        "-p",
        "pytest_agentflow.child.recorder",
        "-p",
        "no:cacheprovider",
    ]
    done = subprocess.run(
        [*command, *args], cwd=project, env=env, capture_output=True, text=True, check=False
    )
    return read(out, project), done


def lines(coverage: CoverageMap, test: str, *kinds: str) -> set[int]:
    bits = coverage.bits_of(f"{FILE}::{test}", kinds or ("setup", "call", "teardown", "fixture"))
    return {n for n in range(40) if bits.get("pkg/__init__.py", 0) >> n & 1}


@pytest.fixture(scope="module")
def recorded(tmp_path_factory: pytest.TempPathFactory) -> tuple[CoverageMap, str]:
    top = tmp_path_factory.mktemp("recorded")
    (top / "pkg").mkdir()
    (top / "pkg" / "__init__.py").write_text(PACKAGE)
    (top / "tests").mkdir()
    (top / FILE).write_text(TESTS)
    (top / "pytest.ini").write_text(
        "[pytest]\nfilterwarnings = error\nasyncio_default_fixture_loop_scope = function\n"
    )
    coverage, done = session(top)
    return coverage, done.stdout


def test_a_strict_suite_ends_as_it_does_without_the_recorder(recorded: tuple[CoverageMap, str]) -> None:
    assert "1 failed, 11 passed" in recorded[1]
    assert len(recorded[0].tests) == 12


def test_every_test_that_stands_on_a_session_fixture_reaches_its_lines(
    recorded: tuple[CoverageMap, str],
) -> None:
    for test in ("test_uses_shared_first", "test_uses_shared_second", "test_asked_at_run_time"):
        assert HIGH in lines(recorded[0], test, "fixture")
        assert not lines(recorded[0], test, "call")


def test_teardown_of_a_session_fixture_belongs_to_the_fixture_not_to_the_last_test(
    recorded: tuple[CoverageMap, str],
) -> None:
    assert LOW_TAKEN in lines(recorded[0], "test_uses_shared_first", "fixture")
    assert not lines(recorded[0], "test_fails", "teardown", "fixture")


def test_phases_are_kept_apart(recorded: tuple[CoverageMap, str]) -> None:
    assert lines(recorded[0], "test_own", "setup") == {5, LOW_TAKEN}
    assert lines(recorded[0], "test_own", "call") == {5, LOW_NOT}
    assert lines(recorded[0], "test_own", "teardown") == {ONE}


def test_each_parametrised_id_has_its_own_lines(recorded: tuple[CoverageMap, str]) -> None:
    assert lines(recorded[0], "test_param[1]") == {5, LOW_NOT}
    assert lines(recorded[0], "test_param[9]") == {5, LOW_TAKEN}


@pytest.mark.parametrize(
    ("test", "line"), [("test_thread", HIGH), ("test_generator", GENERATED), ("test_async", WAITED)]
)
def test_threads_generators_and_coroutines_are_recorded(
    recorded: tuple[CoverageMap, str], test: str, line: int
) -> None:
    assert line in lines(recorded[0], test, "call")


def test_subtests_and_class_setup_of_unittest_are_recorded(recorded: tuple[CoverageMap, str]) -> None:
    assert {LOW_TAKEN, LOW_NOT} <= lines(recorded[0], "TestOld::test_sub", "call")
    assert ONE in lines(recorded[0], "TestOld::test_other", "fixture")


def test_import_lines_belong_to_no_test(recorded: tuple[CoverageMap, str]) -> None:
    assert 1 in recorded[0].lines_imported("pkg/__init__.py")
    assert recorded[0].tests_reaching("pkg/__init__.py", [1]) == ()


def test_one_line_functions_and_lambdas_are_not_missed(recorded: tuple[CoverageMap, str]) -> None:
    assert ONE in lines(recorded[0], "test_own")


def test_two_workers_record_the_same_as_one_process(project: Path, recorded: tuple[CoverageMap, str]) -> None:
    coverage, done = session(project, "-n", "2")
    assert "1 failed, 11 passed" in done.stdout
    for test in recorded[0].tests:
        name = test.partition("::")[2]
        assert lines(coverage, name) == lines(recorded[0], name), name
    assert coverage.lines_imported("pkg/__init__.py") == recorded[0].lines_imported("pkg/__init__.py")


def test_pytest_cov_beside_us_loses_nothing_and_costs_us_nothing(
    project: Path, recorded: tuple[CoverageMap, str]
) -> None:
    coverage, done = session(project, "--cov=pkg", "--cov-branch", "--cov-report=term", "--tb=no")
    assert "1 failed, 11 passed" in done.stdout
    assert "100%" in done.stdout
    for test in recorded[0].tests:
        name = test.partition("::")[2]
        assert lines(coverage, name) == lines(recorded[0], name), name


def test_a_rerun_test_keeps_what_all_its_runs_reached(project: Path) -> None:
    (project / FILE).write_text(
        "from pkg import low, high\nruns = []\n\n\ndef test_it():\n    runs.append(1)\n"
        "    assert (low(9) if len(runs) < 2 else high(0)) == 0\n"
    )
    coverage, done = session(project, "--reruns", "2")
    assert "1 passed, 1 rerun" in done.stdout
    assert {LOW_TAKEN, HIGH} <= lines(coverage, "test_it")


def test_what_only_puts_a_failure_into_words_belongs_to_no_test(project: Path) -> None:
    shown = "class Shown:\n    def __repr__(self):\n        return 'shown'\n"
    (project / "pkg" / "__init__.py").write_text(shown)
    (project / FILE).write_text(
        "import unittest\nfrom pkg import Shown\n\n\ndef test_plain():\n    assert Shown() == [Shown()]\n\n\n"
        "class TestOld(unittest.TestCase):\n    def test_equal(self): self.assertEqual([Shown()], [1])\n\n"
        "    def test_in(self): self.assertIn(1, {2: Shown()})\n\n"
        "    def test_sub(self):\n        with self.subTest(): self.assertIs(Shown(), None)\n\n\n"
        "def test_asks_for_it():\n    assert repr(Shown()) == 'other'\n"
    )
    coverage, done = session(project)
    assert "5 failed" in done.stdout
    assert "shown" in done.stdout
    for test in ("test_plain", "TestOld::test_equal", "TestOld::test_in", "TestOld::test_sub"):
        assert lines(coverage, test) == set(), test
    assert lines(coverage, "test_asks_for_it") == {3}


def test_a_function_that_goes_on_after_a_failure_was_put_into_words_loses_nothing(project: Path) -> None:
    (project / "pkg" / "__init__.py").write_text(
        "def go(case):\n    try:\n        case.assertEqual([1], [2])\n    except AssertionError:\n        pass\n    return 5\n"
    )
    (project / FILE).write_text(
        "import unittest\nfrom pkg import go\n\n\nclass TestOld(unittest.TestCase):\n    def test_it(self): go(self)\n"
    )
    coverage, _ = session(project)
    assert lines(coverage, "TestOld::test_it") == {2, 3, 4, 5, 6}


def test_a_crash_loses_only_the_test_that_crashed(project: Path) -> None:
    (project / FILE).write_text(
        "import os\nfrom pkg import low\n\n\ndef test_before():\n    low(1)\n\n\ndef test_dies():\n    os._exit(7)\n"
    )
    coverage, done = session(project)
    assert done.returncode == 7
    assert lines(coverage, "test_before") == {5, LOW_NOT}


def test_a_test_that_spins_until_it_is_killed_keeps_its_lines(project: Path) -> None:
    (project / "conftest.py").write_text(
        "import pytest_agentflow.child.recorder_watch as w\nw.SECONDS = 0.2\n"
    )
    (project / FILE).write_text(
        "import os, time\nfrom pkg import low\n\n\ndef test_spins():\n    low(9)\n    start = time.process_time()\n"
        "    while time.process_time() - start < 1:\n        pass\n    os.kill(os.getpid(), 9)\n"
    )
    coverage, done = session(project)
    assert done.returncode < 0
    assert LOW_TAKEN in lines(coverage, "test_spins")


@pytest.mark.parametrize("request_", [True, "auto"])
def test_python_processes_of_a_test_are_recorded_on_request(project: Path, request_: bool | str) -> None:
    (project / FILE).write_text(
        "import subprocess, sys\n\n\ndef run(x):\n"
        "    command = [sys.executable, '-c', f'import pkg; pkg.low({x})']\n"
        "    assert subprocess.run(command, check=True, capture_output=True).stderr == b''\n\n\n"
        "def test_taken(): run(9)\n\n\ndef test_not(): run(1)\n"
    )
    coverage, done = session(project, options={"processes": request_})
    assert "2 passed" in done.stdout
    assert LOW_TAKEN in lines(coverage, "test_taken", "call")
    assert LOW_NOT not in lines(coverage, "test_taken", "call")
    assert LOW_NOT in lines(coverage, "test_not", "call")


def test_a_fork_of_the_tested_code_does_not_speak_for_the_session(project: Path) -> None:
    (project / FILE).write_text(
        "import os\nfrom pkg import low\n\n\ndef test_fork():\n    child = os.fork()\n    if not child:\n"
        "        low(9)\n        os._exit(0)\n    os.waitpid(child, 0)\n    low(1)\n"
    )
    coverage, _ = session(project)
    assert lines(coverage, "test_fork") == {5, LOW_NOT}
    assert len(list((project / "out").iterdir())) == 1


def test_a_test_that_sets_a_trace_function_of_its_own_hides_nothing_from_the_next(project: Path) -> None:
    (project / FILE).write_text(
        "import sys\nfrom pkg import low\n\n\ndef test_traces():\n    sys.settrace(lambda *_: None)\n    low(1)\n\n\n"
        "def test_next():\n    low(9)\n"
    )
    coverage, done = session(project)
    assert "2 passed" in done.stdout
    assert lines(coverage, "test_next") == {5, LOW_TAKEN}


def test_known_tests_are_left_out_and_said_to_be_kept(project: Path) -> None:
    known = project / "known.json"
    known.write_text(json.dumps([f"{FILE}::test_own"]))
    coverage, done = session(project, options={"known": str(known)})
    assert "1 deselected" in done.stdout
    assert f"{FILE}::test_own" not in coverage.tests


def test_function_level_names_the_functions_that_ran(project: Path) -> None:
    coverage, _ = session(project, options={"level": "functions"})
    reached = lines(coverage, "test_generator")
    assert reached & {17, 18, 19}
    assert not reached & {4, 5, 6, 7}


def test_a_file_that_runs_under_two_names_keeps_the_lines_of_both(project: Path) -> None:
    (project / FILE).write_text(
        "import pathlib\nfrom pkg import low\n\n\ndef test_it():\n    low(9)\n    path = 'pkg/__init__.py'\n"
        "    names = {}\n    exec(compile(pathlib.Path(path).read_text(), path, 'exec'), names)\n    names['one'](1)\n"
    )
    coverage, done = session(project)
    assert "1 passed" in done.stdout
    assert {LOW_TAKEN, ONE} <= lines(coverage, "test_it")


def test_it_can_also_start_after_the_conftests(project: Path) -> None:
    (project / "conftest.py").write_text(
        textwrap.dedent(
            f"""\
            import pkg
            from pytest_agentflow.child import recorder


            def pytest_configure(config):
                options = {{"roots": ["pkg"], "out": {str(project / "late")!r}, "top": {str(project)!r}}}
                config.pluginmanager.register(recorder.configure(config, options, print), "late")
            """
        )
    )
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider"]
    env = {**os.environ, "PYTHONPATH": str(project)}
    subprocess.run(command, cwd=project, env=env, capture_output=True, check=False)
    coverage = read(project / "late", project)
    assert lines(coverage, "test_own", "call") == {5, LOW_NOT}


def test_edge_level_tells_the_side_that_a_condition_took(project: Path) -> None:
    coverage, _ = session(project, "-k", "test_param", options={"level": "edges"})
    taken = {e for e, tests in coverage.edges["pkg/__init__.py"].items() if len(tests) == 1 and min(e) > 0}
    assert {(5, LOW_TAKEN), (5, LOW_NOT)} <= taken
