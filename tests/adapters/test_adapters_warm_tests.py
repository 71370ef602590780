"""An agent's tests run in forks while it edits, and cold where only that would be the truth."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from pytest_agentflow.adapters.sessions import RunSpec
from pytest_agentflow.adapters.warm_tests import WarmTests
from pytest_agentflow.agents.tools import ToolBox
from pytest_agentflow.core.model import Outcome
from pytest_agentflow.core.redact import Redactor
from pytest_agentflow.testing.bench import LocalBench, brief

TEST = "test_mod.py::test_add"


@pytest.fixture
def workspace(tmp_path: Path) -> Path:
    tree = tmp_path / "work"
    tree.mkdir()
    (tree / "mod.py").write_text("def add(a, b):\n    return [a, -b]\n")
    (tree / "test_mod.py").write_text(
        "from mod import add\n\n\ndef test_add():\n    assert add(1, 2) == [1, 2]\n"
    )
    return tree


def spec() -> RunSpec:
    return RunSpec(
        python=sys.executable,
        import_roots=(".",),
        pytest_args=("-p", "no:cacheprovider"),
        env={"PATH": os.environ["PATH"], "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"},
    )


def test_edits_are_seen_at_once_and_what_only_a_cold_run_can_tell_is_left_to_it(
    workspace: Path, tmp_path: Path
) -> None:
    with WarmTests(spec(), workspace, tmp_path / "scratch", [TEST]) as tests:
        first = tests.run([TEST], 20.0)
        assert first is not None
        failure = first.results[TEST].failure
        assert failure is not None
        assert "mod.py" in failure.text or "test_mod.py:5" in failure.text
        assert "At index 1 diff" in failure.text, "pytest's own words, for a reader"
        (workspace / "mod.py").write_text("def add(a, b):\n    return [a, b]\n")
        second = tests.run([TEST], 20.0)
        assert second is not None
        assert second.results[TEST].outcome is Outcome.PASSED
        (workspace / "other.py").write_text("x = 1\n")
        assert tests.run([TEST], 20.0) is None
        assert "changed" in tests.why
        third = tests.run([TEST], 20.0)  # prepared anew, from what is there now
        assert third is not None
        assert third.results[TEST].outcome is Outcome.PASSED


def test_the_answer_to_a_model_says_how_the_tests_were_run(workspace: Path, tmp_path: Path) -> None:
    config = {"run_spec": spec(), "scratch": tmp_path / "scratch"}
    box = ToolBox(brief(workspace, [TEST], config=config), LocalBench(workspace), Redactor([]), deadline=1e12)
    try:
        answers = [box.run("run_tests", {}).text for _ in range(2)]
        (workspace / "mod.py").write_text("def add(a, b):\n    return [a, b]\n")
        answers.append(box.run("run_tests", {}).text)
    finally:
        box.close()
    assert "session of its own" in answers[0]
    assert "failed" in answers[1]
    assert "fork of a prepared session" in answers[1]
    assert f"{TEST}: passed" in answers[2]
    assert "fork of a prepared session" in answers[2]
