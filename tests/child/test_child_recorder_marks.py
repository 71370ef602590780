"""The engine of 3.11: code in scope marks its lines, and where it cannot, the tracer records."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from pytest_agentflow.adapters.coverage_map import CoverageMap, read

if sys.version_info >= (3, 12):
    pytest.skip("marks are for 3.11; later versions have sys.monitoring", allow_module_level=True)

PACKAGE = """\
def low(x):
    if x > 3:
        return x
    return 0


class Shown:
    def kept(self): return self
"""
TEST = "from pkg import low\n\n\ndef test_it():\n    assert low(1) == 0\n"
SAYS = """\
def pytest_unconfigure():
    from pytest_agentflow.child import recorder
    print("\\nby", "tracer" if recorder._early.engine._tracer else "marks")
"""


@pytest.fixture
def project(tmp_path: Path) -> Path:
    (tmp_path / "pkg").mkdir()
    (tmp_path / "pkg" / "__init__.py").write_text(PACKAGE)
    (tmp_path / "test_it.py").write_text(TEST)
    (tmp_path / "pytest.ini").write_text(
        "[pytest]\nfilterwarnings = error\nasyncio_default_fixture_loop_scope = function\n"
    )
    (tmp_path / "says.py").write_text(SAYS)
    return tmp_path


def pytest_in(project: Path, *args: str, **more: str) -> str:
    env = {**os.environ, "PYTHONPATH": str(project), **more}
    env.pop("PYTHONDONTWRITEBYTECODE", None)
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *args]
    done = subprocess.run(command, cwd=project, env=env, capture_output=True, text=True, check=False)
    return done.stdout + done.stderr


def session(project: Path, *args: str, **options: object) -> tuple[CoverageMap, str]:
    out = project / "out"
    told = json.dumps({"roots": ["."], "omit": ["says.py"], "out": str(out), "top": str(project), **options})
    plugins = ["-p", "pytest_agentflow.child.recorder", "-p", "says"]
    said = pytest_in(project, *plugins, *args, AGENTFLOW_RECORDER=told)
    return read(out, project), said


def lines(
    coverage: CoverageMap, path: str = "pkg/__init__.py", test: str = "test_it.py::test_it"
) -> set[int]:
    bits = coverage.bits_of(test, ["call"]).get(path, 0)
    return {n for n in range(bits.bit_length()) if bits >> n & 1}


def test_the_project_and_its_rewritten_tests_are_recorded_by_marks(project: Path) -> None:
    coverage, said = session(project)
    assert "1 passed" in said
    assert "by marks" in said
    assert lines(coverage) == {2, 4}
    assert lines(coverage, "test_it.py") == {5}


def test_tests_that_pytest_has_rewritten_before_are_recorded_too(project: Path) -> None:
    pytest_in(project)
    coverage, said = session(project)
    assert "by marks" in said
    assert lines(coverage, "test_it.py") == {5}


def test_no_marks_are_left_in_the_caches_of_bytecode(project: Path) -> None:
    session(project)
    kept = list(project.rglob("*.pyc"))
    assert any("pytest" in each.name for each in kept)
    assert not any(b"<marks>" in each.read_bytes() or b"Marks" in each.read_bytes() for each in kept)
    assert "1 passed" in pytest_in(project)


LATE = {
    "a module that was there before the recorder": (
        "",
        "from pkg import low\ndef test_it(): low(1)\n",
        ["-p", "pkg"],
    ),
    "code compiled by a test": (
        "",
        "import pathlib\ndef test_it():\n    names = {}\n    path = 'pkg/__init__.py'\n"
        "    exec(compile(pathlib.Path(path).read_text(encoding='utf-8') + '\\nlow(1)\\n', path, 'exec'), names)\n    names['low'](1)\n",
        [],
    ),
    "a function made of compiled code": (
        "",
        "import pathlib, types\ndef test_it():\n    path = 'pkg/__init__.py'\n    text = pathlib.Path(path).read_text(encoding='utf-8')\n"
        "    code = compile(text, path, 'exec').co_consts[0]\n    types.FunctionType(code, {})(1)\n",
        [],
    ),
    "a function whose code is exchanged": (
        "",
        "import pathlib\ndef test_it():\n    path = 'pkg/__init__.py'\n    text = pathlib.Path(path).read_text(encoding='utf-8')\n"
        "    def low(x): pass\n    low.__code__ = compile(text, path, 'exec').co_consts[0]\n    low(1)\n",
        [],
    ),
    "code that cannot be marked": (
        "import pytest_agentflow.child.recorder_marks as r\n\n\ndef mark(*_, **__): raise ValueError\n\n\nr.mark = mark\n",
        "from pkg import low\ndef test_it(): low(1)\n",
        [],
    ),
}


@pytest.mark.parametrize(("conftest", "test", "arguments"), LATE.values(), ids=LATE)
def test_code_that_comes_without_marks_is_recorded_by_the_tracer(
    project: Path, conftest: str, test: str, arguments: list[str]
) -> None:
    (project / "conftest.py").write_text(conftest)
    (project / "test_it.py").write_text(test)
    options = {"roots": ["pkg"]}
    out, told = project / "out", {**options, "out": str(project / "out"), "top": str(project)}
    plugins = [*arguments, "-p", "pytest_agentflow.child.recorder", "-p", "says"]
    said = pytest_in(project, *plugins, AGENTFLOW_RECORDER=json.dumps(told))
    assert "1 passed" in said
    assert "by tracer" in said
    assert {2, 4} <= lines(read(out, project))


def test_a_module_that_is_loaded_again_is_still_recorded_by_marks(project: Path) -> None:
    (project / "test_it.py").write_text(
        "import importlib\nimport pkg\n\n\ndef test_it():\n    importlib.reload(pkg).low(9)\n"
    )
    coverage, said = session(project)
    assert "by marks" in said
    assert lines(coverage) == {1, 2, 3, 7, 8}


def test_unmarked_code_in_a_thread_is_recorded_there_and_said_to_be_uncertain(project: Path) -> None:
    (project / "test_it.py").write_text(
        "import pathlib, threading\n\n\ndef run():\n    path = 'pkg/__init__.py'\n"
        "    exec(compile(pathlib.Path(path).read_text(encoding='utf-8') + '\\nlow(1)\\n', path, 'exec'), {})\n\n\n"
        "def test_it():\n    thread = threading.Thread(target=run)\n    thread.start()\n    thread.join()\n\n\n"
        "def test_next():\n    run()\n"
    )
    coverage, said = session(project)
    assert "2 passed" in said
    assert {1, 2, 4} <= lines(coverage)
    assert {1, 2, 4} <= lines(coverage, test="test_it.py::test_next")
    assert any("threads" in note for note in coverage.notes)


def test_at_function_level_marks_name_the_functions_that_ran(project: Path) -> None:
    coverage, said = session(project, level="functions")
    assert "by marks" in said
    assert lines(coverage) == {1}
    assert lines(coverage, "test_it.py") == {4}


def test_edges_are_recorded_by_the_tracer_alone(project: Path) -> None:
    coverage, _ = session(project, level="edges")
    assert (2, 4) in coverage.edges["pkg/__init__.py"]


def test_coverage_beside_us_reports_what_it_reports_alone(project: Path) -> None:
    beside = ["--cov=pkg", "--cov-branch", "--cov-report=term-missing"]
    alone = pytest_in(project, *beside)
    coverage, said = session(project, *beside)
    assert "by marks" in said
    assert lines(coverage) == {2, 4}
    assert coverage.notes == ()
    reported = [line for line in alone.splitlines() if line.startswith(("pkg", "TOTAL"))]
    assert reported
    assert all(line in said for line in reported)


@pytest.mark.parametrize("broken", ["def f(:\n", "return 1\n", "import nowhere\n", "1 / 0\n"])
@pytest.mark.parametrize("where", ["pkg/__init__.py", "test_it.py"])
def test_a_module_that_cannot_be_loaded_fails_with_the_same_words(
    project: Path, where: str, broken: str
) -> None:
    (project / where).write_text(broken)

    def errors(said: str) -> list[str]:
        return [line for line in said.splitlines() if line.startswith(("E ", "pkg", "test_it"))]

    plain = errors(pytest_in(project))
    assert plain
    assert errors(session(project)[1]) == plain


def test_functions_pickled_with_their_code_are_recorded_where_they_run(project: Path) -> None:
    (project / "test_it.py").write_text(
        "import pickle, types\nimport pkg\n\n\ndef test_it():\n    consts = pkg.low.__code__.co_consts\n"
        "    again = pickle.loads(pickle.dumps(consts))\n"
        "    types.FunctionType(pkg.low.__code__.replace(co_consts=again), {})(9)\n"
    )
    coverage, said = session(project)
    assert "by marks" in said
    assert lines(coverage) == {2, 3}
