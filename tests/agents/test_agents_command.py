"""A command-line agent is bounded, never believed, and read off the tree: a real program that misbehaves in every way."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from pytest_agentflow.adapters import sandbox
from pytest_agentflow.agents.base import AgentOutcome, AgentReport
from pytest_agentflow.agents.command import CommandAgent
from pytest_agentflow.core.budget import Cap, Caps
from pytest_agentflow.errors import AgentflowError
from pytest_agentflow.testing import LocalBench, brief

FAKE = Path(__file__).with_name("fake_agent.py")
TARGET = "test_calc.py::test_add"
FIX = {"edit": {"path": "calc.py", "old": "a - b", "new": "a + b"}}
BILL = {"say": json.dumps({"total_cost_usd": 0.25, "num_turns": 3, "usage": {"input_tokens": 900, "output_tokens": 80, "cache_read_input_tokens": 400}})}  # fmt: skip
Go = Callable[..., tuple[AgentReport, LocalBench]]


@pytest.fixture(params=["none", "bwrap"])
def rung(request: pytest.FixtureRequest) -> str:
    works = {r.name for r in sandbox.ladder() if r.works}
    if request.param not in works:
        pytest.skip(f"the sandbox {request.param} does not work on this machine")
    return str(request.param)


@pytest.fixture
def go(project: Path, tmp_path: Path) -> Go:
    def run(
        plan: list[Any],
        *,
        sandbox: str = "none",
        deadline: float = 30.0,
        caps: Caps | None = None,
        **section: Any,
    ) -> Any:
        script = project / ".plan.json"
        script.write_text(json.dumps(plan))
        bench = LocalBench(project, caps=caps or Caps(), sandbox=sandbox, secrets=section.pop("secrets", {}))
        given = {
            "argv": [sys.executable, str(FAKE), ".plan.json"],
            "readable": [str(FAKE.parent)],
            "network": False,
            **section,
        }
        agent = CommandAgent("fake", given)
        report = agent.attempt(
            brief(project, [TARGET], deadline=deadline, directory=tmp_path / "attempt"), bench
        )
        assert bench.book.totals().held_usd == 0.0
        return report, bench

    return run


def alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def test_an_edit_is_a_changed_tree_and_the_bill_is_read(go: Go, rung: str, project: Path) -> None:
    report, bench = go([FIX, BILL], sandbox=rung, usage="claude", max_usd=1.0)
    assert report.outcome is AgentOutcome.CHANGED
    assert "a + b" in (project / "calc.py").read_text()
    assert (report.spend.usd, report.spend.input_tokens, report.spend.calls) == (0.25, 900, 3)
    assert bench.book.totals().usd == 0.25


def test_exit_code_0_with_a_claim_and_no_change_is_no_change(go: Go) -> None:
    report, _ = go([{"say": "All tests pass now!"}])
    assert report.outcome is AgentOutcome.NO_CHANGE


def test_exit_code_1_with_a_good_patch_is_a_changed_tree(go: Go) -> None:
    report, _ = go([FIX, {"exit": 1}])
    assert report.outcome is AgentOutcome.CHANGED
    assert "exit code 1" in report.message


def test_exit_code_1_without_a_change_is_an_error_not_no_change(go: Go) -> None:
    report, _ = go([{"try_write": {"path": "/nowhere/x", "text": ""}}, {"exit": 1}])
    assert report.outcome is AgentOutcome.ERROR
    assert "refused: " in report.message


def test_a_hang_ends_by_the_clock_also_when_it_ignores_being_asked(go: Go, rung: str) -> None:
    started = time.monotonic()
    report, _ = go([{"deaf": True}, FIX, {"sleep": 600}], sandbox=rung, deadline=1.0)
    assert report.outcome is AgentOutcome.TIMED_OUT
    assert time.monotonic() - started < 60


def test_a_flood_costs_no_memory_and_a_capped_log(go: Go, tmp_path: Path) -> None:
    report, _ = go([{"flood": 2000}, FIX, BILL], usage="none")
    assert report.outcome is AgentOutcome.CHANGED
    assert report.notes["output_bytes_cut"] > 100_000_000
    assert (tmp_path / "attempt/agent.log").stat().st_size < 3_000_000


def test_a_daemon_that_left_the_group_does_not_outlive_the_attempt(go: Go, project: Path) -> None:
    started = time.monotonic()
    report, _ = go([{"daemon": "pid"}, FIX])
    assert report.outcome is AgentOutcome.CHANGED
    assert time.monotonic() - started < 60
    assert not alive(int((project / "pid").read_text()))


def test_a_write_outside_the_workspace_is_refused_by_the_sandbox(go: Go, tmp_path: Path) -> None:
    if not any(r.works for r in sandbox.ladder() if r.name == "bwrap"):
        pytest.skip("bubblewrap does not work on this machine")
    outside = Path("/usr/local/agentflow-escaped")
    report, _ = go([{"try_write": {"path": str(outside), "text": "x"}}, {"try_write": {"path": str(tmp_path / "x"), "text": "x"}}, FIX], sandbox="bwrap")  # fmt: skip
    assert report.outcome is AgentOutcome.CHANGED
    assert not outside.exists()
    assert not (tmp_path / "x").exists()


def test_giving_up_through_the_file_is_an_outcome_and_the_file_is_gone(go: Go, project: Path) -> None:
    report, _ = go(
        [{"write": {"path": "AGENTFLOW_GIVE_UP.md", "text": "test_add wants a sum, the docs a difference"}}]
    )
    assert report.outcome is AgentOutcome.GAVE_UP
    assert "wants a sum" in report.evidence
    assert not (project / "AGENTFLOW_GIVE_UP.md").exists()


def test_a_program_that_is_not_there_is_an_error(go: Go) -> None:
    report, _ = go([], argv=["no-such-agent-program"])
    assert report.outcome is AgentOutcome.ERROR


@pytest.mark.parametrize("how", ["stdin", "file", "argv"])
def test_the_prompt_arrives_and_only_listed_variables_with_it(
    go: Go, project: Path, how: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GITHUB_TOKEN", "ghp_should_not_pass")
    extra = {"stdin": [], "file": ["{prompt_file}"], "argv": []}[how]
    argv = [sys.executable, str(FAKE), ".plan.json", *extra]
    if how == "argv":
        argv = [
            "bash",
            "-c",
            f'printf %s "$0" > given; exec {sys.executable} {FAKE} .plan.json given',
            "{prompt}",
        ]
    report, _ = go([{"dump": "seen.json"}], argv=argv, prompt=how, env=["MODEL_KEY"], secrets={"MODEL_KEY": "sk-canary-42", "OTHER": "no"}, set_env={"LEVEL": "low"})  # fmt: skip
    assert report.outcome is AgentOutcome.CHANGED
    seen = json.loads((project / "seen.json").read_text())
    assert TARGET in seen["prompt"]
    assert "give up" in seen["prompt"].lower()
    assert seen["env"]["MODEL_KEY"] == "sk-canary-42"
    assert seen["env"]["LEVEL"] == "low"
    assert seen["env"]["AGENTFLOW_ATTEMPT_KEY"].startswith("agentflow-")
    assert not {"GITHUB_TOKEN", "OTHER", "PYTEST_CURRENT_TEST"} & set(seen["env"])
    assert seen["env"]["HOME"] != str(Path.home())


def test_no_byte_of_a_secret_reaches_log_journal_or_report(go: Go, tmp_path: Path) -> None:
    key = "sk-canary-7777"
    report, bench = go([{"say": f"my key is {key}"}, {"exit": 1}], env=["K"], secrets={"K": key})
    log = (tmp_path / "attempt/agent.log").read_text()
    assert "my key is [secret]" in log
    assert key not in log + json.dumps(bench.journal) + repr(report)


def test_an_unreadable_bill_is_charged_as_reserved(go: Go) -> None:
    report, bench = go([FIX, {"say": "no json here"}], usage="claude", max_usd=0.75)
    assert report.notes["bill"] == "unknown: charged as reserved"
    assert bench.book.totals().usd == 0.75


def test_without_room_for_its_reservation_the_program_is_never_started(go: Go, project: Path) -> None:
    report, _ = go([FIX], caps=Caps(run=Cap(usd=0.5)), max_usd=0.75)
    assert report.outcome is AgentOutcome.OVER_BUDGET
    assert "a - b" in (project / "calc.py").read_text()


@pytest.mark.parametrize(
    ("section", "words"),
    [
        ({}, "argv must be a list"),
        ({"argv": "claude -p"}, "argv must be a list"),
        ({"argv": ["x"], "prompt": "mail"}, "not one of stdin, file, argv"),
        ({"argv": ["x"], "prompt": "file"}, "needs {prompt_file}"),
        ({"argv": ["x"], "usage": "abacus"}, "unknown usage parser"),
        ({"argv": ["x"], "promt": "stdin"}, "unknown key 'promt'"),
    ],
)
def test_a_mistake_in_the_section_is_named(section: dict[str, Any], words: str) -> None:
    with pytest.raises(AgentflowError, match=words):
        CommandAgent("fake", section)


def test_the_fingerprint_holds_the_programs_version(tmp_path: Path) -> None:
    agent = CommandAgent("py", {"argv": [sys.executable, "x.py"]})
    assert "Python 3" in agent.fingerprint({})
    assert CommandAgent("py", {"argv": [sys.executable, "y.py"]}).fingerprint({}) != agent.fingerprint({})
