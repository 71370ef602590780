"""What is an agent told about its attempt, and what is kept from it?"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from pytest_agentflow.agents.base import Brief
from pytest_agentflow.agents.preflight import cascade_of
from pytest_agentflow.core.limits import search_limit
from pytest_agentflow.core.model import Attempt
from pytest_agentflow.settings import Settings
from pytest_agentflow.stages import flaky_targets
from pytest_agentflow.stages.lane import Lane

NOTES_READ = 256 * 1024  # characters of one context note that are read at all; the prompt shows far fewer


def brief_of(
    lane: Lane, attempt: Attempt, workspace: Path, directory: Path, scratch: Path, config: dict[str, Any]
) -> Brief:
    results = lane.baseline.results
    shown = {*attempt.visible, *attempt.guards} - {*attempt.hidden_choose, *attempt.hidden_judge}
    failures = {i: f for i in attempt.visible if i in results and (f := results[i].failure) is not None}
    return Brief(
        attempt=hide(attempt),
        workspace=workspace,
        directory=directory,
        failures=failures,
        passing_seconds={i: results[i].duration for i in shown if i in results},
        scope=lane.scope.globs,
        protected=lane.scope.protected,
        notes={**_context_notes(workspace, lane.settings.agent_context), **_flaky_notes(lane, attempt)},
        deadline=attempt.timeout,
        limit=_limit(attempt, lane.settings),
        config={**config, "run_spec": lane.spec, "scratch": scratch},
    )


def hide(attempt: Attempt) -> Attempt:
    """The attempt as its agent may know it: held-out tests are neither named nor countable among the guards."""
    hidden = {*attempt.hidden_choose, *attempt.hidden_judge}
    return replace(
        attempt, hidden_choose=(), hidden_judge=(), guards=tuple(g for g in attempt.guards if g not in hidden)
    )


def _limit(attempt: Attempt, settings: Settings) -> str:
    """Only the search has limits of its own; every other agent has the option's."""
    if attempt.agent != "search":
        return ""
    cascade = cascade_of(settings.agent, settings.sections.get("agents", {}), settings.agent_model)
    return search_limit(attempt.timeout, cascade, settings.agent_attempt_timeout)


def _flaky_notes(lane: Lane, attempt: Attempt) -> dict[str, str]:
    """Why flaky targets flip, and how to see them fail; nothing where none is opted in."""
    mine = [r for r in flaky_targets.load(lane.directory) if r.nodeid in attempt.visible]
    return {"flaky targets": flaky_targets.told(mine)} if mine else {}


def _context_notes(workspace: Path, paths: Sequence[str]) -> dict[str, str]:
    """AGENTS.md and the like, as untrusted data. A link that leads out of the workspace is not followed."""
    notes: dict[str, str] = {}
    root = workspace.resolve()
    for name in paths:
        place = workspace / name
        for file in sorted(place.glob("*.md")) if place.is_dir() else [place]:
            if file.is_file() and file.resolve().is_relative_to(root):
                with file.open(encoding="utf-8", errors="replace") as stream:
                    notes[str(file.relative_to(workspace))] = stream.read(NOTES_READ)
    return notes


def agent_config(settings: Settings, name: str, plugins: Any = None) -> dict[str, Any]:
    """The agent's own section, plus the general options that concern models, and the agent that a plugin gives for the name."""
    section = dict(settings.sections.get("agents", {}).get(name, {}))
    for option, key in (("agent_model", "model"), ("agent_effort", "effort")):
        if settings.get(option) is not None:
            section[key] = settings[option]
    given = plugins.hook.pytest_agentflow_agent(name=name, settings=settings) if plugins else None
    if given is not None:
        section["instance"] = given
    section.setdefault("prices", settings.sections.get("prices", {}))
    return section
