"""The clean process that decides: builds the run from what pytest handed over, runs the loop, cleans up, prints, exits.

It never imports or runs project code, since it holds the key.
"""

from __future__ import annotations

import ctypes
import json
import math
import os
import signal
import sys
import time
import warnings
from collections.abc import Callable
from types import FrameType

from pytest_agentflow.errors import AgentflowError

CLEANING = 15.0  # seconds after an interrupt in which further ones change nothing


def main(fd: int) -> int:
    """Read the handover from `fd` and return pytest's exit code. A user's mistake is printed, never as a traceback."""
    warnings.simplefilter("ignore", SyntaxWarning)  # of files that are only read here: pytest shows them
    interrupt = _interruptions()
    signal.signal(signal.SIGTERM, interrupt)
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, interrupt)
    with os.fdopen(fd, encoding="utf-8") as pipe:
        request = json.load(pipe)
    _not_dumpable()
    try:
        if request["settings"]["values"].get("flaky_triage") is not None:
            from pytest_agentflow.triage_session import run_triage_session

            return int(run_triage_session(request))
        from pytest_agentflow.setup.session import fix_session

        return fix_session(request)
    except AgentflowError as error:
        print(f"agentflow: {error}", file=sys.stderr)  # noqa: T201 - the console is this module's job
        return error.exit_code
    except OSError as error:
        print(f"agentflow: the system refused: {error}.", file=sys.stderr)  # noqa: T201
        return 3
    except KeyboardInterrupt:
        print("agentflow: interrupted before anything was recorded; start again.", file=sys.stderr)  # noqa: T201
        return 2


def _interruptions() -> Callable[[int, FrameType | None], None]:
    """A handler that interrupts what runs, and not what then cleans up; where an interrupt got lost, another one counts later."""
    last = -math.inf

    def interrupt(_number: int, _frame: FrameType | None) -> None:
        nonlocal last
        if time.monotonic() - last > CLEANING:
            last = time.monotonic()
            raise KeyboardInterrupt

    return interrupt


def _not_dumpable() -> None:
    """Keep other processes of this user from reading our environment and memory through /proc."""
    try:
        ctypes.CDLL(None).prctl(4, 0, 0, 0, 0)  # PR_SET_DUMPABLE
    except (OSError, AttributeError):
        return
