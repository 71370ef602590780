"""How does a run come to be, from what pytest handed over or from an interrupted run's journal, and how does it end?"""

from __future__ import annotations

import os
import secrets
import shutil
import signal
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pluggy
from filelock import FileLock, Timeout

from pytest_agentflow import hookspecs
from pytest_agentflow.adapters import delivery, import_roots, sandbox, snapshot, workspaces
from pytest_agentflow.adapters.journal import Journal
from pytest_agentflow.adapters.repository import Repository, open_repository
from pytest_agentflow.adapters.sessions import RunSpec
from pytest_agentflow.adapters.toolcache import tool_bytecode
from pytest_agentflow.adapters.workspaces import Pool
from pytest_agentflow.agents import preflight, registry
from pytest_agentflow.core import codec
from pytest_agentflow.core.consent import Decision
from pytest_agentflow.core.events import INTERRUPTED, RESUMED, STARTED, Event, content_key
from pytest_agentflow.core.plan import Bounds
from pytest_agentflow.core.redact import Redactor
from pytest_agentflow.core.selection import sort_arguments
from pytest_agentflow.errors import AgentflowError
from pytest_agentflow.loop import fix_loop
from pytest_agentflow.report.live import open_view
from pytest_agentflow.settings import Settings, frozen_differences
from pytest_agentflow.stages import report
from pytest_agentflow.stages.brief import agent_config
from pytest_agentflow.stages.run import Run, Selection

Request = Mapping[str, Any]
FORMAT = 1


def fix_session(request: Request) -> int:
    """One `pytest --agent-fix` (or `--agent-plan`, `--agent-resume`), from handover to exit code."""
    rootdir = Path(request["rootdir"])
    repository = open_repository(Path(request["invocation_dir"]))
    home = agentflow_home(rootdir, repository)
    lock = FileLock(str(home / "lock"))
    try:
        lock.acquire(timeout=0)
    except Timeout:
        raise AgentflowError(
            f"Another run works in {home}.", "Wait for it, or stop it; `agentflow show` tells which one."
        ) from None
    workspaces.sweep()
    try:
        return _session(request, repository, home)
    finally:
        lock.release()


def agentflow_home(rootdir: Path, repository: Repository) -> Path:
    """`.agentflow` under the rootdir (under the top level when the rootdir lies above it); it ignores itself."""
    place = rootdir if rootdir.is_relative_to(repository.top) else repository.top
    home = place / ".agentflow"
    home.mkdir(exist_ok=True)
    ignore = home / ".gitignore"
    if not ignore.exists():
        ignore.write_text("*\n")
    return home


def _session(request: Request, repository: Repository, home: Path) -> int:
    colour = request["color"] == "yes" or (request["color"] == "auto" and request["terminal"])
    verbosity = request["verbosity"]
    view = open_view(sys.stdout, terminal=request["terminal"], verbosity=verbosity, colour=colour)
    redact = Redactor(request["secrets"].values())

    def progress(name: str, data: Mapping[str, Any]) -> None:
        if name == "attempt":
            view.progress(data["attempt"], data["text"], data["numbers"])
        elif name == "note":
            view.note(data["text"])
        else:
            view.stage(name, data.get("text", ""))

    delivery.recover_all(
        repository, home / "runs"
    )  # what a killed process was about to write, whole or not at all
    run = _resumed(request, repository, home) if _resumes(request) else _fresh(request, repository, home)
    for note in run.base.notes:
        view.note(note)
    plugins = hookspecs.manager(run.plugins)

    def listen(event: Event) -> None:
        view.event(event.event, event.data)
        problem = _tell(plugins, event)
        if problem:
            view.note(problem)

    journal = Journal(run.directory / "journal.jsonl", listen, redact.text)
    live = _complete(run, journal, progress, plugins)
    try:
        _begin(live, request, repository)
        code = fix_loop(live)
    except KeyboardInterrupt:
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # a second Ctrl-C must not leave half a clean-up behind
        journal.append(INTERRUPTED, {"reason": "interrupted"})
        report.write(live, None)
        code = 2
    except AgentflowError:
        journal.append(INTERRUPTED, {"reason": "error"})
        raise
    finally:
        view.close()
        live.pool.close()
        shutil.rmtree(live.temp, ignore_errors=True)
    report.show(live, colour=colour, verbosity=verbosity)
    journal.close()
    return code


def _tell(plugins: pluggy.PluginManager, event: Event) -> str | None:
    """Tell plugins of an event that was written. What goes wrong there is shown and changes nothing."""
    try:
        plugins.hook.pytest_agentflow_event(event=event.event, data=event.data)
    except Exception as error:  # noqa: BLE001 - a plugin's mistake must not end a run
        return f"a plugin failed on {event.event}: {type(error).__name__}: {error}"
    return None


@dataclass(frozen=True, slots=True)
class _Parts:
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
    lanes: int
    plugins: tuple[str, ...]


def _resumes(request: Request) -> bool:
    return request["settings"]["values"].get("agent_resume") is not None


def _fresh(request: Request, repository: Repository, home: Path) -> _Parts:
    settings = consented(request, Settings.from_json(request["settings"]))
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
) -> _Parts:
    threshold = request["pass_threshold"]
    return _Parts(
        id=directory.name,
        directory=directory,
        settings=settings,
        base=base,
        spec=spec,
        selection=selection,
        threshold=None if threshold is None else float(threshold),
        repository=repository,
        secrets=request["secrets"],
        lanes=settings.agent_lanes or _user_lanes(request) or os.cpu_count() or 1,
        plugins=settings.agent_plugins,
    )


def _user_lanes(request: Request) -> int:
    numprocesses = request["numprocesses"]
    return numprocesses if isinstance(numprocesses, int) and numprocesses > 0 else 0


def run_spec(request: Request, repository: Repository, settings: Settings, rung: str) -> RunSpec:
    """How this project's tests are run, from what the user's own pytest process saw."""
    top = repository.top
    rootdir = Path(request["rootdir"])
    inside = rootdir.is_relative_to(top)
    inifile = Path(request["inifile"]) if request["inifile"] else None
    facts = request["import_facts"]
    arguments = sort_arguments(request["arguments"], request["selection"])
    roots = import_roots.from_facts(top, rootdir, facts)
    if roots.problems:
        raise AgentflowError("A workspace cannot run its own code here: " + "; ".join(roots.problems) + ".")
    inside_top = (str(top) + os.sep, os.path.realpath(top) + os.sep)
    elsewhere = [p for p in facts["path"] if Path(p).is_dir() and not (p + os.sep).startswith(inside_top)]
    home = Path.home()
    return RunSpec(
        python=request["python"],
        rootdir=str(rootdir.relative_to(top)) if inside else ".",
        inifile=str(inifile.relative_to(top)) if inifile and inifile.is_relative_to(top) else None,
        import_roots=roots.roots,
        pytest_args=arguments.other,
        env=request["env"],
        sandbox=rung,
        network=settings.agent_network,
        user_top=os.path.realpath(top),
        hidden=tuple(str(p) for p in (top, workspaces.base_directory(), home) if str(p) != "/"),
        readable=tuple(dict.fromkeys([*facts["prefixes"], *elsewhere])),
        user_python_path=tuple(p for p in elsewhere if not p.startswith(tuple(facts["prefixes"]))),
        plugins=tuple(request["plugins"]),
    )


def selection_of(request: Request, repository: Repository) -> Selection:
    """What the user's command line selected. Raises AgentflowError for a path that cannot be verified."""
    arguments = sort_arguments(request["arguments"], request["selection"])
    where = Path(request["invocation_dir"])
    top = repository.top
    for path in arguments.paths:
        place = Path(os.path.normpath(where / path.partition("::")[0]))
        if not place.is_relative_to(top):
            raise AgentflowError(
                f"{path} lies outside the repository {top}.",
                "Select tests inside it; only those can be verified.",
            )
    xdist = arguments.xdist or (("-n", str(_user_lanes(request))) if _user_lanes(request) else ())
    cwd = str(where.relative_to(top)) if where.is_relative_to(top) else "."
    return Selection(arguments.selecting, arguments.paths, cwd, xdist)


def _resumed(request: Request, repository: Repository, home: Path) -> _Parts:
    directory = find_run(home, request["settings"]["values"]["agent_resume"])
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


def find_run(home: Path, wanted: str) -> Path:
    """The directory of a run: the named one, or the last."""
    runs = sorted(p for p in (home / "runs").glob("*") if (p / "journal.jsonl").exists())
    if wanted:
        runs = [p for p in runs if p.name == wanted]
    if not runs:
        raise AgentflowError(
            f"There is no run {wanted or 'to resume'} in {home}.", "`agentflow show` lists the runs."
        )
    return runs[-1]


def _complete(parts: _Parts, journal: Journal, progress: Any, plugins: pluggy.PluginManager) -> Run:
    sections = parts.settings.sections.get("agents", {})
    cascade = preflight.cascade_of(parts.settings.agent, sections, parts.settings.agent_model)
    versions = []
    for name in cascade:
        config = agent_config(parts.settings, name, plugins)
        versions.append([name, registry.resolve(name, config).fingerprint(config)])
    settings = parts.settings
    frozen = {k: v for k, v in settings.to_json()["values"].items() if k not in _NOT_IN_KEY}
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
        lanes=parts.lanes,
    )


_NOT_IN_KEY = {
    "agent_max_attempts",
    "agent_confirm",
    "agent_resume",
    "agent_budget_usd",
    "agent_budget_tokens",
    "agent_deadline",
    "agent_lanes",
    "agent_fix",
}


def consented(request: Request, settings: Settings) -> Settings:
    """The settings with the agents that may run and the caps that hold; money is asked for once, before anything is made.

    Raises AgentflowError when a paid agent lacks a cap, a price or the user's word.
    """
    if settings.agent_plan:
        return settings
    sections = settings.sections.get("agents", {})
    cascade = preflight.cascade_of(settings.agent, sections, settings.agent_model)
    plugins = hookspecs.manager(settings.agent_plugins)
    decision = preflight.preflight(
        settings.agent,
        {name: agent_config(settings, name, plugins) for name in cascade},
        cascade,
        environ=os.environ,
        terminal=request["terminal"],
        confirmed=settings.agent_confirm,
        usd=settings.agent_budget_usd,
        tokens=settings.agent_budget_tokens,
        attempts=settings.agent_max_attempts,
        secrets=request["secrets"],
    )
    for note in decision.notes:
        sys.stderr.write(f"agentflow: {note}\n")
    if decision.ask and not _agreed(decision):
        raise AgentflowError("Nothing was started.", "Use --agent search for the free search alone.")
    caps = {
        "agent": ",".join(decision.agents),
        "agent_budget_usd": decision.usd,
        "agent_budget_tokens": decision.tokens,
        "agent_max_attempts": decision.attempts or settings.agent_max_attempts,
    }
    return Settings({**settings, **caps}, settings.sections)


def _agreed(decision: Decision) -> bool:
    cap = f" up to ${decision.usd:g}" if decision.usd is not None else ""
    sys.stderr.write(f"{', '.join(decision.agents)} may spend money{cap}. Go on? [y/N] ")
    sys.stderr.flush()
    return sys.stdin.readline().strip().lower() in ("y", "yes")


def _begin(run: Run, request: Request, repository: Repository) -> None:
    if any(e.event == STARTED for e in run.journal.events):
        run.journal.append(
            RESUMED, {"raised": {k: v for k, v in request["given"].items() if k != "agent_resume"}}
        )
        return
    run.journal.append(
        STARTED,
        {
            "version": FORMAT,
            "run": run.id,
            "settings": run.settings.to_json(),
            "repository": {"top": str(repository.top), "head": repository.head, "branch": repository.branch},
            "base": run.base.tree,
            "python": run.spec.python,
            "sandbox": run.spec.sandbox,
            "argv": list(request["argv"]),
            "spec": run.spec.to_json(),
            "selection": {name: getattr(run.selection, name) for name in run.selection.__slots__},
            "notes": list(run.base.notes),
        },
    )
