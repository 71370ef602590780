"""`agentflow map` as a user types it."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    top = tmp_path_factory.mktemp("map")
    (top / "m.py").write_text(
        "def f():\n    return 1\n\n\ndef g():\n    return h()\n\n\ndef h():\n    return 2\n"
    )
    (top / "test_m.py").write_text("from m import f\n\n\ndef test_f():\n    assert f() == 1\n")
    done = agentflow(top, "--record")
    assert "1 tests, 2 files; 0 changed since" in done.stdout, done.stderr
    return top


def agentflow(top: Path, *args: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "pytest_agentflow.cli", "map", *args]
    return subprocess.run(command, cwd=top, capture_output=True, text=True, check=False)


def test_a_function_a_line_and_a_file_name_their_tests(project: Path) -> None:
    for place in ("m.py::f", "m.py:2", "m.py:1-2", "m.py"):
        assert agentflow(project, place).stdout.endswith("test_m.py::test_f\n"), place


def test_dark_code_is_a_list_with_the_largest_first(project: Path) -> None:
    found = json.loads(agentflow(project, "--dark", "--json").stdout)
    assert [d["qualname"] for d in found] == ["g", "h"]


def test_mistakes_name_the_cause_and_the_next_step(project: Path, tmp_path: Path) -> None:
    assert "agentflow map --record" in agentflow(tmp_path).stderr
    assert "not in the map" in agentflow(project, "x.py:1").stderr
    assert "no function nope" in agentflow(project, "m.py::nope").stderr
    assert "Traceback" not in agentflow(project, "m.py:x").stderr


def test_what_coverage_is_told_to_omit_is_recorded_but_not_reported(project: Path) -> None:
    config = project / ".coveragerc"
    try:
        config.write_text("[run]\nomit = m.py\n")
        assert json.loads(agentflow(project, "--dark", "--json").stdout) == []
        assert agentflow(project, "m.py::f").stdout.endswith("test_m.py::test_f\n")
        config.write_text("[run\n")
        broken = agentflow(project, "--dark")
    finally:
        config.unlink()
    assert broken.returncode != 0
    assert "coverage cannot read its configuration" in broken.stderr
