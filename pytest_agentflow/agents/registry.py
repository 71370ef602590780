"""Which agent does a name in the configuration mean?"""

from __future__ import annotations

import importlib
import importlib.metadata
from collections.abc import Mapping
from typing import Any, cast

from pytest_agentflow.agents.base import Agent
from pytest_agentflow.errors import AgentflowError

BUILT_IN = {
    "search": "pytest_agentflow.agents.search:SearchAgent",
    "anthropic": "pytest_agentflow.agents.anthropic:AnthropicAgent",
    "scripted": "pytest_agentflow.agents.scripted:ScriptedAgent",
}
KIND = {**BUILT_IN, "command": "pytest_agentflow.agents.command:CommandAgent"}
ENTRY_POINTS = "pytest_agentflow.agents"


def resolve(name: str, config: Mapping[str, Any]) -> Agent:
    """The agent called `name`; `config` is its own section, `[tool.agentflow.agents.NAME]`, or empty.

    A section says what it is by `kind` (a built-in), by `argv` (a command) or by `factory` (`module:callable` of an
    installed package); a name that itself reads `module:callable` needs no section. Imports happen here and not earlier.
    """
    if "instance" in config:  # an installed plugin's hook made it
        return cast(Agent, config["instance"])
    target = config.get("factory") or KIND.get(str(config.get("kind", ""))) or BUILT_IN.get(name)
    if target is None and "argv" in config:
        target = KIND["command"]
    if target is None and ":" in name:
        target = name
    if target is None:
        target = _entry_point(name)
    if target is None:
        known = ", ".join(sorted(BUILT_IN))
        raise AgentflowError(
            f"unknown agent {name!r}",
            f"use one of {known}, or add a section [tool.agentflow.agents.{name}] with argv = [...]",
        )
    return cast(Agent, load(name, str(target))(name, config))


def secret_names(sections: Mapping[str, Mapping[str, Any]]) -> frozenset[str]:
    """The credentials that the controller keeps for its agents: the model's key and every command agent's variables."""
    listed = {str(name) for section in sections.values() for name in section.get("env", ())}
    return frozenset({"ANTHROPIC_API_KEY"} | listed)


def _entry_point(name: str) -> str | None:
    found = importlib.metadata.entry_points(group=ENTRY_POINTS, name=name)
    return next((point.value for point in found), None)


def load(name: str, target: str) -> Any:
    """The object that `module:callable` names, from an installed package only."""
    module, _, attribute = target.partition(":")
    if not attribute:
        raise AgentflowError(f"agent {name!r}: {target!r} is not of the form module:callable")
    if not _installed(module, target):
        raise AgentflowError(
            f"agent {name!r}: module {module!r} belongs to no installed package",
            "code of the project under test never runs beside the key: package the agent and install it",
        )
    try:
        return getattr(importlib.import_module(module), attribute)
    except (ImportError, AttributeError) as error:
        raise AgentflowError(f"agent {name!r}: cannot load {target}: {error}") from error


def _installed(module: str, target: str) -> bool:
    """True for our own code, for an installed distribution's module, and for what such a distribution registered."""
    top = module.partition(".")[0]
    if top == "pytest_agentflow" or top in importlib.metadata.packages_distributions():
        return True
    return any(point.value == target for point in importlib.metadata.entry_points(group=ENTRY_POINTS))
