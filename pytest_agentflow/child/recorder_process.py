"""Which lines does a Python process reach that a test started? They are that test's, import-time lines included.

On request only: such processes find `processes/sitecustomize.py` through PYTHONPATH, which their tests could see. A process with
an environment of its own, with `-I`, `-E` or `-S`, or one that is killed stays unrecorded.
"""

from __future__ import annotations

import atexit
import json
import os
import subprocess
from collections.abc import Iterable, Mapping
from types import FunctionType
from typing import Any

from pytest_agentflow.child.recorder_engine import make_engine
from pytest_agentflow.child.recorder_output import Output
from pytest_agentflow.child.recorder_scope import Scope

OPTIONS = "AGENTFLOW_RECORDER_PROCESS"
OWNER = "AGENTFLOW_RECORDER_OWNER"


def invite(options: Mapping[str, Any], top: str) -> None:
    """From now on Python processes started from here record themselves."""
    out = os.path.abspath(str(options["out"]))  # noqa: PTH100 - they may start elsewhere
    told = {"top": top, "roots": options.get("roots"), "omit": options.get("omit"), "out": out}
    os.environ[OPTIONS] = json.dumps(told)
    here = os.path.join(os.path.dirname(os.path.abspath(__file__)), "processes")  # noqa: PTH118, PTH100, PTH120
    os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, [here, os.environ.get("PYTHONPATH")]))


def are_started_by(items: Iterable[object]) -> bool:
    """True when a module of these tests imports `subprocess` or something from it."""
    modules = {id(m): m for item in items if (m := getattr(item, "module", None)) is not None}
    return any(
        value is subprocess or (isinstance(value, FunctionType | type) and value.__module__ == "subprocess")
        for module in modules.values()
        for value in vars(module).values()
    )


def owned_by(kind: str, nodeid: str) -> None:
    """Processes started from now on belong to this phase of this test."""
    os.environ[OWNER] = json.dumps([kind, nodeid])


def begin() -> None:
    """In such a process: record until it ends."""
    told, owner = os.environ.get(OPTIONS), os.environ.get(OWNER)
    if not told or not owner:
        return
    options = json.loads(told)
    kind, nodeid = json.loads(owner)
    scope = Scope(options["top"], options["roots"] or ["."], options["omit"] or [])
    engine = make_engine(scope, "lines")
    output = Output(options["out"])
    engine.start()

    def end() -> None:
        engine.pause()
        reached = scope.by_path(engine.take())
        engine.stop()
        output.lines(kind, output.test(nodeid), reached)
        output.flush()

    atexit.register(end)
