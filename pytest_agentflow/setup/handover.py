"""What does the user's own pytest process say about how this project's tests are run, and which of them are meant?"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pytest_agentflow.adapters import import_roots, workspaces
from pytest_agentflow.adapters.repository import Repository
from pytest_agentflow.adapters.sessions import RunSpec
from pytest_agentflow.core.selection import sort_arguments
from pytest_agentflow.errors import AgentflowError
from pytest_agentflow.settings import Settings
from pytest_agentflow.stages.run import Selection

Request = Mapping[str, Any]  # what `takeover.handover` sends


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
    xdist = arguments.xdist or (("-n", str(user_lanes(request))) if user_lanes(request) else ())
    cwd = str(where.relative_to(top)) if where.is_relative_to(top) else "."
    return Selection(arguments.selecting, arguments.paths, cwd, xdist)


def user_lanes(request: Request) -> int:
    """The user's own `-n`, or 0."""
    numprocesses = request["numprocesses"]
    return numprocesses if isinstance(numprocesses, int) and numprocesses > 0 else 0
