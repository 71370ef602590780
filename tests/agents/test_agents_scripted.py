"""The scripted agent does what its plan says, and nothing when no rule fits."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import pytest

from pytest_agentflow.agents.base import AgentOutcome, AgentReport
from pytest_agentflow.agents.scripted import ScriptedAgent
from pytest_agentflow.core.budget import Cap, Caps
from pytest_agentflow.errors import AgentflowError
from pytest_agentflow.testing import LocalBench, brief

TARGET = "test_calc.py::test_add"
FIX = {"path": "calc.py", "old": "a - b", "new": "a + b"}


def act(
    project: Path, *rules: dict[str, Any], bench: LocalBench | None = None, **attempt: Any
) -> AgentReport:
    agent = ScriptedAgent("scripted", {"plan": {"rules": list(rules)}})
    return agent.attempt(brief(project, [TARGET], **attempt), bench or LocalBench(project))


def test_edits_are_made_and_reported(project: Path) -> None:
    report = act(project, {"target": "test_calc.py::*", "edits": [FIX], "message": "swapped"})
    assert (report.outcome, report.message) == (AgentOutcome.CHANGED, "swapped")
    assert "a + b" in (project / "calc.py").read_text()


@pytest.mark.parametrize("rule", [{"target": "other.py::*"}, {"attempt": "r9-*"}, {"retry": 2}, {"round": 3}])
def test_a_rule_that_does_not_fit_is_not_carried_out(project: Path, rule: dict[str, Any]) -> None:
    assert act(project, {**rule, "edits": [FIX]}).outcome is AgentOutcome.NO_CHANGE
    assert "a - b" in (project / "calc.py").read_text()


def test_the_id_of_a_parametrised_test_matches_itself(project: Path) -> None:
    agent = ScriptedAgent("scripted", {"rules": [{"target": "t.py::test[a-1]", "outcome": "refused"}]})
    report = agent.attempt(brief(project, ["t.py::test[a-1]"]), LocalBench(project))
    assert report.outcome is AgentOutcome.REFUSED


@pytest.mark.parametrize("suffix", [".json", ".toml"])
def test_a_plan_comes_from_a_file_and_its_content_is_the_fingerprint(
    project: Path, tmp_path: Path, suffix: str
) -> None:
    file = tmp_path / f"plan{suffix}"
    prints = set()
    for message in ("one", "two"):
        rules = {"rules": [{"message": message}]}
        file.write_text(json.dumps(rules) if suffix == ".json" else f'[[rules]]\nmessage = "{message}"\n')
        agent = ScriptedAgent("scripted", {"plan": str(file)})
        assert agent.attempt(brief(project, [TARGET]), LocalBench(project)).message == message
        prints.add(agent.fingerprint({}))
    assert len(prints) == 2


def test_a_plan_that_cannot_be_read_says_so(project: Path, tmp_path: Path) -> None:
    agent = ScriptedAgent("scripted", {"plan": str(tmp_path / "missing.json")})
    with pytest.raises(AgentflowError, match="cannot read the plan"):
        agent.attempt(brief(project, [TARGET]), LocalBench(project))


def test_candidates_spend_and_screening_are_reported(project: Path) -> None:
    rule = {
        "candidates": [{"files": {"calc.py": "x"}, "label": "best", "score": 0.9}],
        "calls": [{"tokens": 100, "usd": 0.5, "used": 0.5}],
        "run_tests": True,
    }
    bench = LocalBench(project)
    report = act(project, rule, bench=bench)
    assert report.candidates[0].files == {"calc.py": b"x"}
    assert report.spend.usd == bench.book.totals().usd == 0.25
    assert report.notes["screened"] == {TARGET: "failed"}


def test_a_call_without_room_ends_over_budget(project: Path) -> None:
    bench = LocalBench(project, caps=Caps(run=Cap(usd=0.1)))
    assert (
        act(project, {"calls": [{"usd": 0.5}], "edits": [FIX]}, bench=bench).outcome
        is AgentOutcome.OVER_BUDGET
    )
    assert "a - b" in (project / "calc.py").read_text()


def test_a_sleep_ends_with_the_run(project: Path) -> None:
    bench = LocalBench(project)
    threading.Timer(0.2, bench.stop.set).start()
    started = time.monotonic()
    assert act(project, {"sleep": 30}, bench=bench).outcome is AgentOutcome.CANCELLED
    assert time.monotonic() - started < 5


@pytest.mark.parametrize(
    ("rule", "code"), [({"crash": "exit", "code": 9}, 9), ({"crash": "kill"}, -9), ({"crash": "raise"}, 1)]
)
def test_a_crash_on_request_is_a_real_one(project: Path, rule: dict[str, Any], code: int) -> None:
    program = (
        "import sys, json, pathlib\n"
        "from pytest_agentflow.agents.scripted import ScriptedAgent\n"
        "from pytest_agentflow.testing import LocalBench, brief\n"
        "p = pathlib.Path(sys.argv[1])\n"
        "ScriptedAgent('s', {'rules': [json.loads(sys.argv[2])]}).attempt(brief(p, ['t']), LocalBench(p))\n"
    )
    command = [sys.executable, "-c", program, str(project), json.dumps(rule)]
    assert subprocess.run(command, check=False, capture_output=True).returncode == code
