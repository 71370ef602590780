"""The real Claude Code program, run as a command agent against a scripted model on the loopback, fixes a bug.

Its binary comes inside the wheel `claude-agent-sdk` (166 MB). Set AGENTFLOW_TEST_CLAUDE_CODE to the path of the program,
or to "install" to fetch the wheel once into a cache folder.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from pytest_agentflow.adapters import sandbox
from pytest_agentflow.agents.base import AgentOutcome
from pytest_agentflow.agents.command import CommandAgent
from pytest_agentflow.testing import LocalBench, MessagesServer, Reply, Request, brief, text, tool

CACHE = Path(tempfile.gettempdir()) / "agentflow-claude-code"
KEY = "sk-ant-fake-canary-1234567"


def program() -> Path:
    """Where Claude Code is, or a skip that says how to get it."""
    wanted = os.environ.get("AGENTFLOW_TEST_CLAUDE_CODE", "")
    bundled = next(CACHE.glob("claude_agent_sdk/_bundled/claude"), None)
    if wanted not in ("", "install"):
        return Path(wanted)
    if bundled is None and wanted == "install":
        command = [
            sys.executable,
            "-m",
            "pip",
            "install",
            "-q",
            "--no-deps",
            "--target",
            str(CACHE),
            "claude-agent-sdk",
        ]
        subprocess.run(command, check=True, timeout=600)
        bundled = next(CACHE.glob("claude_agent_sdk/_bundled/claude"), None)
    found = bundled or (Path(on_path) if (on_path := shutil.which("claude")) else None)
    if found is None:
        pytest.skip("Claude Code is not here; AGENTFLOW_TEST_CLAUDE_CODE=install fetches it (166 MB)")
    return found.resolve()


def test_claude_code_fixes_a_bug_and_sends_no_bill_we_cannot_read(project: Path) -> None:
    binary = program()
    if not any(r.works for r in sandbox.ladder() if r.name == "bwrap"):
        pytest.skip("bubblewrap does not work on this machine")
    calc = str(project / "calc.py")

    def script(request: Request) -> Reply:
        return [
            tool("Read", file_path=calc),
            tool("Edit", file_path=calc, old_string="a - b", new_string="a + b"),
            tool("Bash", command="env", description="look around"),
            text("fixed"),
        ][min(request.turn, 3)]

    with MessagesServer(script) as server:
        section = {
            "argv": [
                str(binary), "-p", "--bare", "--output-format", "json", "--allowedTools", "Read", "Edit", "Bash",
                "--strict-mcp-config", "--no-session-persistence",
            ],
            "env": ["ANTHROPIC_API_KEY"],
            "set_env": {
                "ANTHROPIC_BASE_URL": server.url,
                "CLAUDE_CODE_SUBPROCESS_ENV_SCRUB": "1",
                "CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC": "1",
            },
            "usage": "claude",
            "max_usd": 1.0,
        }  # fmt: skip
        agent = CommandAgent("claude", section)
        bench = LocalBench(project, sandbox="bwrap", secrets={"ANTHROPIC_API_KEY": KEY})
        report = agent.attempt(brief(project, ["test_calc.py::test_add"]), bench)
    assert report.outcome is AgentOutcome.CHANGED, report.message
    assert "a + b" in (project / "calc.py").read_text()
    assert "Claude Code" in agent.fingerprint({})
    assert report.spend.usd > 0
    assert report.spend.calls == 4
    assert report.notes["bill"] == "as reported by the program"
    assert {request.key for request in server.turns} == {KEY}
    (shell,) = server.turns[3].tool_results()
    assert KEY not in json.dumps(shell)  # its shell tool does not get the key
    assert KEY not in json.dumps(bench.journal) + repr(report)
    left = {p.name for p in project.iterdir() if p.is_file()}
    assert left == {"calc.py", "test_calc.py"}  # its sandbox's empty placeholders are gone
