"""How does a run begin, and how does it end, however it ends?"""

from __future__ import annotations

import shutil
import signal
import sys
import traceback
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import pluggy

from pytest_agentflow import hookspecs
from pytest_agentflow.adapters import delivery, workspaces
from pytest_agentflow.adapters.journal import Journal
from pytest_agentflow.adapters.repository import Repository, open_repository
from pytest_agentflow.core.events import INTERRUPTED, RESUMED, STARTED, Event
from pytest_agentflow.core.redact import Redactor
from pytest_agentflow.errors import AgentflowError
from pytest_agentflow.loop import fix_loop
from pytest_agentflow.report.live import View, open_view
from pytest_agentflow.setup.handover import Request
from pytest_agentflow.setup.home import agentflow_home, locked
from pytest_agentflow.setup.parts import complete, parts_of
from pytest_agentflow.stages import report
from pytest_agentflow.stages.run import Progress, Run

FORMAT = 1


def fix_session(request: Request) -> int:
    """One `pytest --agent-fix` (or `--agent-plan`, `--agent-resume`), from handover to exit code."""
    repository = open_repository(Path(request["invocation_dir"]))
    home = agentflow_home(Path(request["rootdir"]), repository)
    with locked(home):
        workspaces.sweep()
        delivery.recover_all(repository, home / "runs")  # what a killed process was writing: whole, or not
        return _session(request, repository, home)


def _session(request: Request, repository: Repository, home: Path) -> int:
    colour = request["color"] == "yes" or (request["color"] == "auto" and request["terminal"])
    verbosity = request["verbosity"]
    parts = parts_of(request, repository, home)
    plugins = hookspecs.manager(parts.plugins)
    view = open_view(sys.stdout, terminal=request["terminal"], verbosity=verbosity, colour=colour)

    def listen(event: Event) -> None:
        view.event(event.event, event.data)
        problem = _tell(plugins, event)
        if problem:
            view.note(problem)

    redact = Redactor(request["secrets"].values())
    try:
        journal = Journal(parts.directory / "journal.jsonl", listen, redact.text)
        run = complete(parts, journal, _progress(view), plugins)
        for note in run.base.notes:
            view.note(note)
        code = _to_its_end(run, request)
    finally:
        view.close()
    report.show(run, colour=colour, verbosity=verbosity)
    journal.close()
    return code


def _to_its_end(run: Run, request: Request) -> int:
    """The loop, with an interruption journalled and nothing left behind."""
    try:
        _begin(run, request)
        return fix_loop(run)
    except KeyboardInterrupt:
        for number in (signal.SIGINT, signal.SIGTERM):  # what comes now must not leave half a clean-up behind
            signal.signal(number, signal.SIG_IGN)
        _stopped(run, "interrupted")
        report.write(run, None)
        return 2
    except AgentflowError:
        _stopped(run, "error")
        raise
    except OSError as error:
        _stopped(run, "error")
        raise AgentflowError(
            f"The system refused: {error}.", f"Mend that, then {_resume(run)}.", 2
        ) from error
    except Exception as error:
        _stopped(run, "internal error")
        log = run.directory / "error.log"
        log.write_text(traceback.format_exc(), encoding="utf-8")
        what = f"Internal error: {type(error).__name__}: {error} (traceback in {log})."
        raise AgentflowError(what, f"Nothing was lost: {_resume(run)}.", 3) from error
    finally:
        run.pool.close()
        shutil.rmtree(run.temp, ignore_errors=True)


def _stopped(run: Run, reason: str) -> None:
    with suppress(OSError):  # a full disk: the journal ends with what was done
        run.journal.append(INTERRUPTED, {"reason": reason})


def _resume(run: Run) -> str:
    return f"go on with `pytest --agent-resume {run.id}`"


def _progress(view: View) -> Progress:
    """How stages speak to the view."""

    def progress(name: str, data: Mapping[str, Any]) -> None:
        if name == "attempt":
            view.progress(data["attempt"], data["text"], data["numbers"])
        elif name == "note":
            view.note(data["text"])
        else:
            view.stage(name, data.get("text", ""))

    return progress


def _tell(plugins: pluggy.PluginManager, event: Event) -> str | None:
    """Tell plugins of an event that was written. What goes wrong there is shown and changes nothing."""
    try:
        plugins.hook.pytest_agentflow_event(event=event.event, data=event.data)
    except Exception as error:  # noqa: BLE001 - a plugin's mistake must not end a run
        return f"a plugin failed on {event.event}: {type(error).__name__}: {error}"
    return None


def _begin(run: Run, request: Request) -> None:
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
            "repository": {
                "top": str(run.repository.top),
                "head": run.repository.head,
                "branch": run.repository.branch,
            },
            "base": run.base.tree,
            "python": run.spec.python,
            "sandbox": run.spec.sandbox,
            "argv": list(request["argv"]),
            "spec": run.spec.to_json(),
            "selection": {name: getattr(run.selection, name) for name in run.selection.__slots__},
            "notes": list(run.base.notes),
        },
    )
