"""What can an installed plugin add to the loop? Never a conftest or code of the tree: the harness holds the key.

Name the plugin's module in `[tool.agentflow] plugins = ["package.module"]` or with `--agent-plugins`; it is loaded in the controller and in lanes,
outside the project's tree.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import pluggy

if TYPE_CHECKING:
    from pytest_agentflow.agents.base import Agent
    from pytest_agentflow.core.model import Attempt, Cluster, SourceUnit, Suspect, TestResult
    from pytest_agentflow.settings import Settings

hookspec = pluggy.HookspecMarker("pytest_agentflow")
hookimpl = pluggy.HookimplMarker("pytest_agentflow")


@hookspec(firstresult=True)
def pytest_agentflow_agent(name: str, settings: Settings) -> Agent | None:
    """Return the agent called `name`, or None when it is not yours. The first answer wins; built-ins come last."""


@hookspec(firstresult=True)
def pytest_agentflow_source_units(path: str, source: str) -> Sequence[SourceUnit] | None:
    """Return the source units of one file (relative path, text), or None to leave it to the AST."""


@hookspec(firstresult=True)
def pytest_agentflow_rank(cluster: Cluster) -> Sequence[Suspect] | None:
    """Return the suspects of a cluster in another order or with other scores, or None to keep the default ranking."""


@hookspec
def pytest_agentflow_modify_attempts(attempts: list[Attempt]) -> None:
    """Drop, reorder or replace attempts of a round in place, before any is dispatched."""


@hookspec
def pytest_agentflow_oracles(settings: Settings) -> Sequence[Any] | Any | None:
    """Return further oracles: objects with `name`, `selects(attempt) -> node ids` and `judge(evidence) -> Finding`."""


@hookspec(firstresult=True)
def pytest_agentflow_quarantined(nodeid: str, evidence: str) -> bool | None:
    """Return True to keep agents away from this flaky test, False to allow it as a target, None for the default."""


@hookspec(firstresult=True)
def pytest_agentflow_gate(results: Mapping[str, TestResult], passed: int, expected: int) -> str | None:
    """Return a reason to keep the run's exit code at 1, or None to leave the decision to the pass rate."""


@hookspec
def pytest_agentflow_event(event: str, data: Mapping[str, Any]) -> None:
    """Called for every journal event, after it was written. An exception is shown and changes nothing."""


def manager(modules: Sequence[str]) -> pluggy.PluginManager:
    """A plugin manager with the named installed modules registered."""
    import importlib

    plugins = pluggy.PluginManager("pytest_agentflow")
    plugins.add_hookspecs(importlib.import_module(__name__))
    for name in modules:
        plugins.register(importlib.import_module(name), name)
    plugins.check_pending()
    return plugins
