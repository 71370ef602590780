"""What if the process ends before the gate of its session has spoken? Then it does not end green."""

from __future__ import annotations

import atexit
import os
import sys
from typing import NoReturn

import pytest

CANNOT_JUDGE = 2


class LastWord:
    """While armed, `os._exit(0)` in a test, or an interpreter that ends on its own, ends with 2.

    Code of the project runs in this process: this catches accidents and easy tricks, not a determined author.
    """

    def __init__(self, config: pytest.Config) -> None:
        self._capture = config.pluginmanager.get_plugin("capturemanager")
        self._pid = os.getpid()
        self._exit = os._exit
        os._exit = self._guarded
        atexit.register(self._at_exit)

    def disarm(self) -> None:
        """The session came to its end, and pytest says how."""
        os._exit = self._exit
        atexit.unregister(self._at_exit)

    def _guarded(self, status: int) -> NoReturn:
        if status == 0 and os.getpid() == self._pid:  # not in a forked child
            self._refuse("the process was ended from inside")
        self._exit(status)

    def _at_exit(self) -> None:
        if os.getpid() == self._pid:
            self._refuse("the process ended before the session did")

    def _refuse(self, why: str) -> NoReturn:
        if self._capture is not None:
            self._capture.suspend_global_capture(in_=True)
        self._exit(refused(why))


def refused(why: str) -> int:
    """Say on the error stream that there is no verdict, since no summary will."""
    print(f"gate: cannot judge: {why}", file=sys.stderr, flush=True)  # noqa: T201
    return CANNOT_JUDGE
