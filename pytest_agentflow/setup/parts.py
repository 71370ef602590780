"""From which parts is a run made: a fresh one from what pytest handed over, a resumed one from its journal?"""

from __future__ import annotations

import os
import secrets
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import pluggy

from pytest_agentflow.adapters import sandbox, snapshot, workspaces
from pytest_agentflow.adapters.journal import Journal
from pytest_agentflow.adapters.repository import Repository
from pytest_agentflow.adapters.sessions import RunSpec
from pytest_agentflow.adapters.toolcache import tool_bytecode
from pytest_agentflow.adapters.workspaces import Pool
from pytest_agentflow.agents import preflight, registry
from pytest_agentflow.core import codec
from pytest_agentflow.core.confinement import why_refused
from pytest_agentflow.core.events import STARTED, content_key
from pytest_agentflow.core.plan import Bounds
from pytest_agentflow.errors import AgentflowError
from pytest_agentflow.settings import Settings, frozen_differences
from pytest_agentflow.setup.consent import consented
from pytest_agentflow.setup.handover import Request, run_spec, selection_of, user_lanes
from pytest_agentflow.setup.home import find_run
from pytest_agentflow.stages.brief import agent_config
from pytest_agentflow.stages.run import Progress, Run, Selection

# Settings that may differ between a run and its resumption: they limit work, and change no result.
LIMITS = frozenset(
    {
        "agent_max_attempts",
        "agent_confirm",
        "agent_resume",
        "agent_budget_usd",
        "agent_budget_tokens",
        "agent_deadline",
        "agent_lanes",
        "agent_fix",
    }
)


MODEL_LANES = 16  # unless the user says otherwise: these mostly wait for a provider


@dataclass(frozen=True, slots=True)
class Parts:
    """A run before its journal is open."""

    id: str
    directory: Path
    settings: Settings
    base: snapshot.Snapshot
    spec: RunSpec
    selection: Selection
    threshold: float | None
    repository: Repository
    secrets: Mapping[str, str]
    lanes: int | None  # as the user asked
    plugins: tuple[str, ...]


def parts_of(request: Request, repository: Repository, home: Path) -> Parts:
    """The interrupted run that `--agent-resume` means, or a new one."""
    wanted = request["settings"]["values"].get("agent_resume")
    if wanted is not None:
        return _resumed(request, repository, find_run(home, wanted))
    return _fresh(request, repository, home)


def _fresh(request: Request, repository: Repository, home: Path) -> Parts:
    settings = consented(request, Settings.from_json(request["settings"]))
    unconfined = why_refused(sys.platform, settings.agent_sandbox, settings.agent.split(","))
    if unconfined:
        raise AgentflowError(f"{unconfined}.", "Use --agent search, or allow it with --agent-sandbox none.")
    run_id = time.strftime("%Y%m%d-%H%M%S-") + secrets.token_hex(2)
    directory = home / "runs" / run_id
    directory.mkdir(parents=True)
    base = snapshot.take(repository, directory / "base.git")
    rung = sandbox.choose(settings.agent_sandbox)
    spec = run_spec(request, repository, settings, rung)
    return _parts(request, repository, directory, settings, base, spec, selection_of(request, repository))


def _parts(
    request: Request,
    repository: Repository,
    directory: Path,
    settings: Settings,
    base: snapshot.Snapshot,
    spec: RunSpec,
    selection: Selection,
) -> Parts:
    threshold = request["pass_threshold"]
    return Parts(
        id=directory.name,
        directory=directory,
        settings=settings,
        base=base,
        spec=spec,
        selection=selection,
        threshold=None if threshold is None else float(threshold),
        repository=repository,
        secrets=request["secrets"],
        lanes=settings.agent_lanes or user_lanes(request),
        plugins=settings.agent_plugins,
    )


def _resumed(request: Request, repository: Repository, directory: Path) -> Parts:
    journal = Journal(directory / "journal.jsonl")
    started = next((e.data for e in journal.events if e.event == STARTED), None)
    finished = journal.state().finished
    journal.close()
    if started is None:
        raise AgentflowError(
            f"Run {directory.name} never started.", "Start a new one with `pytest --agent-fix`."
        )
    if finished:
        raise AgentflowError(
            f"Run {directory.name} is finished.", f"See it with `agentflow show {directory.name}`."
        )
    settings = Settings.from_json(started["settings"])
    given = {k: v for k, v in request["settings"]["values"].items() if k in request["given"]}
    changed = list(frozen_differences(settings, given))
    if changed:
        raise AgentflowError(
            f"A resumed run keeps its settings; {', '.join(changed)} cannot change.",
            "Only budgets, deadline and lanes can be raised.",
        )
    raised = {k: v for k, v in given.items() if k != "agent_resume"}
    settings = consented(request, Settings({**settings, **raised}, settings.sections))
    base = snapshot.load(directory / "base.git", started["base"])
    spec = RunSpec.from_json(started["spec"])
    selection = codec.decode(Selection, started["selection"])
    return _parts(request, repository, directory, settings, base, spec, selection)


def complete(parts: Parts, journal: Journal, progress: Progress, plugins: pluggy.PluginManager) -> Run:
    """The run, with its private directory made."""
    sections = parts.settings.sections.get("agents", {})
    cascade = preflight.cascade_of(parts.settings.agent, sections, parts.settings.agent_model)
    versions, paid, cores = [], False, os.cpu_count() or 1
    for name in cascade:
        config = agent_config(parts.settings, name, plugins)
        agent = registry.resolve(name, config)
        versions.append([name, agent.fingerprint(config)])
        paid = paid or agent.paid
    settings = parts.settings
    frozen = {k: v for k, v in settings.to_json()["values"].items() if k not in LIMITS}
    deadline = settings.agent_deadline
    temp = workspaces.private_root(parts.id, parts.repository.top)
    pool = Pool(temp, run=parts.id)
    tools = None if parts.spec.sandbox == "none" else tool_bytecode(parts.spec, workspaces.base_directory())
    return Run(
        id=parts.id,
        directory=parts.directory,
        temp=temp,
        pool=pool,
        settings=settings,
        bounds=Bounds(
            agents=cascade,
            retries=settings.agent_retries,
            max_attempts=settings.agent_max_attempts,
            holdout=settings.agent_holdout,
            timeout=settings.agent_attempt_timeout,
            seed=settings.agent_seed,
            fingerprint=content_key(versions, frozen),
        ),
        repository=parts.repository,
        base=parts.base,
        spec=replace(parts.spec, bytecode=str(tools or "")),
        selection=parts.selection,
        journal=journal,
        plugins=plugins,
        progress=progress,
        threshold=parts.threshold,
        secrets=parts.secrets,
        deadline=None if deadline is None else time.monotonic() + deadline,
        lanes=parts.lanes or (max(cores, MODEL_LANES) if paid else cores),
        free_lanes=parts.lanes or cores,
    )
