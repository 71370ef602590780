"""A tiny broken project, and a model agent that talks to a scripted server over a real socket."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from pytest_agentflow.agents.anthropic import AnthropicAgent
from pytest_agentflow.agents.base import AgentReport
from pytest_agentflow.testing import LocalBench, MessagesServer, brief

KEY = "sk-ant-canary-0123456789abcdef"
TARGET = "test_calc.py::test_add"


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """`add` subtracts, and one test says so."""
    tree = tmp_path / "project"
    tree.mkdir()
    (tree / "calc.py").write_text("def add(a, b):\n    return a - b\n")
    (tree / "test_calc.py").write_text(
        "from calc import add\n\n\ndef test_add():\n    assert add(1, 2) == 3\n"
    )
    return tree


class Run:
    """What one attempt of the model agent left behind."""

    def __init__(self, server: MessagesServer, bench: LocalBench, report: AgentReport) -> None:
        self.server, self.bench, self.report = server, bench, report

    @property
    def ended(self) -> str:
        return str(self.report.notes["ended"])


@pytest.fixture
def converse(project: Path) -> Callable[..., Run]:
    """Runs one attempt against a script; keyword arguments shape the brief, the bench and the agent's section."""

    def run(
        script: Any,
        *,
        bench: LocalBench | None = None,
        config: dict[str, Any] | None = None,
        check: bool = True,
        **given: Any,
    ) -> Run:
        bench = bench or LocalBench(project)
        bench.secrets = {"ANTHROPIC_API_KEY": KEY}
        server = MessagesServer(script)
        try:
            section = {
                "base_url": server.url,
                "max_wait": 5.0,
                "retries": 3,
                "read_timeout": 2.0,
                **(config or {}),
            }
            report = AnthropicAgent("anthropic", section).attempt(brief(project, [TARGET], **given), bench)
        finally:
            server.close()
        if check:
            server.check()
        return Run(server, bench, report)

    return run
