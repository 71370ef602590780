"""Can this failure be repaired offline, by trying likely edits on the suspected code until the visible tests pass?"""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

from pytest_agentflow.adapters.warm import WarmRunner
from pytest_agentflow.agents.base import AgentOutcome, AgentReport, Bench, Brief
from pytest_agentflow.agents.search.course import Search

VERSION = "3"


class SearchAgent:
    """Template search, offline and free. Offers up to five candidates, best first; leaves the workspace at base."""

    name = "search"
    paid = False

    def __init__(self, name: str = "search", config: Mapping[str, Any] | None = None) -> None:
        self.name = name
        self._config = dict(config or {})

    def fingerprint(self, config: Mapping[str, Any]) -> str:
        """Another version of the templates, or other limits, is another agent."""
        limits = {k: config[k] for k in ("max_candidates", "batches") if k in config}
        return f"search {VERSION} {limits or ''}".strip()

    def attempt(self, brief: Brief, bench: Bench) -> AgentReport:
        began = time.monotonic()
        if "run_spec" not in brief.config:
            return AgentReport(AgentOutcome.ERROR, "the search needs to know how the project's tests are run")
        search = Search(brief, bench, began, {**self._config, **brief.config})
        with WarmRunner() as runner:
            search.run(runner)
        return search.report()
