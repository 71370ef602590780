"""`pytest --flaky-triage[=BUDGET]`: from handover to report and exit code, in a working copy of our own."""

from __future__ import annotations

import os
import secrets
import shutil
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pytest_agentflow.adapters import sandbox, snapshot, workspaces
from pytest_agentflow.adapters.repository import open_repository
from pytest_agentflow.adapters.workspaces import Pool
from pytest_agentflow.core.triage_budget import parse_budget
from pytest_agentflow.errors import AgentflowError
from pytest_agentflow.report.live import open_view
from pytest_agentflow.settings import Settings
from pytest_agentflow.setup.handover import run_spec, selection_of
from pytest_agentflow.setup.home import agentflow_home
from pytest_agentflow.stages import flaky_origin
from pytest_agentflow.stages.flaky_triage import run_triage


def run_triage_session(request: Mapping[str, Any]) -> int:
    """0: nothing unquarantined is flaky or failing; 1: something is; 4: usage."""
    from pytest_agentflow.report import triage_files

    settings = Settings.from_json(request["settings"])
    try:
        budget = parse_budget(settings.flaky_triage)
    except ValueError as error:
        raise AgentflowError(f"--flaky-triage: {error}.") from None
    rootdir = Path(request["rootdir"])
    repository = open_repository(Path(request["invocation_dir"]))
    home = agentflow_home(rootdir, repository)
    workspaces.sweep()
    name = time.strftime("%Y%m%d-%H%M%S-") + secrets.token_hex(2)
    directory = home / "triage" / name
    directory.mkdir(parents=True)
    colour = request["color"] == "yes" or (request["color"] == "auto" and request["terminal"])
    view = open_view(sys.stdout, terminal=request["terminal"], verbosity=request["verbosity"], colour=colour)
    pool = Pool(workspaces.private_root(name, repository.top), run=name)
    try:
        base = snapshot.take(repository, pool.root / "base.git")
        spec = run_spec(request, repository, settings, sandbox.choose(settings.agent_sandbox))
        chosen = selection_of(request, repository)
        tree = pool.root / "tree"
        snapshot.materialise(base, tree)
        out = pool.root / "out"
        arguments = [*chosen.options, *(_inside(p, chosen.cwd) for p in chosen.paths)]
        report = run_triage(spec, tree, arguments, budget, out, lambda text: view.stage("triage", text))
        report = flaky_origin.marked(report, spec, repository.top, tree, pool.root / "origin")
    finally:
        view.close()
        pool.close()
        shutil.rmtree(pool.root, ignore_errors=True)
    quarantine = request["quarantine"]
    report = (
        triage_files.quarantined(report, Path(request["invocation_dir"]) / quarantine)
        if quarantine
        else report
    )
    written = triage_files.write(directory, report)
    triage_files.remember(home, base.tree, report)
    width = shutil.get_terminal_size((100, 24)).columns
    sys.stdout.write(triage_files.terminal(report, written, width=width, colour=colour) + "\n")
    return report.exit_code()


def _inside(path: str, cwd: str) -> str:
    """A path typed in `cwd`, relative to the top level, where triage sessions start."""
    return os.path.normpath(os.path.join(cwd, path))  # noqa: PTH118 - node ids are not paths
