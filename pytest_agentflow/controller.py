"""The clean process that decides: builds the run from what pytest handed over, runs the loop, cleans up, prints, exits.

It never imports or runs project code, since it holds the key.
"""

from __future__ import annotations

import ctypes
import json
import os
import signal
import sys
import warnings
from types import FrameType

from pytest_agentflow.errors import AgentflowError


def main(fd: int) -> int:
    """Read the handover from `fd` and return pytest's exit code. A user's mistake is printed, never as a traceback."""
    warnings.simplefilter("ignore", SyntaxWarning)  # of files that are only read here: pytest shows them
    signal.signal(signal.SIGTERM, _interrupt_once)
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, _interrupt_once)
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


def _interrupt_once(_number: int, _frame: FrameType | None) -> None:
    """Interrupt what runs, and nothing that cleans up after it."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    raise KeyboardInterrupt


def _not_dumpable() -> None:
    """Keep other processes of this user from reading our environment and memory through /proc."""
    try:
        ctypes.CDLL(None).prctl(4, 0, 0, 0, 0)  # PR_SET_DUMPABLE
    except (OSError, AttributeError):
        return
