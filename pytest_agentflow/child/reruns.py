"""Do the targets hold again and again, each time in a fork of its own, under another clock?

The forks start from the collected session, so a repetition costs a fork; the harness counts them, nothing is averaged.
"""

from __future__ import annotations

import contextlib
import os
import random
import signal
import sys
import threading
import time
import warnings
from collections.abc import Callable
from typing import Any

import pytest
from _pytest.runner import runtestprotocol

from pytest_agentflow.child import conditions
from pytest_agentflow.child.names import known_as
from pytest_agentflow.core.conditions import Conditions


class Reruns:
    """After a target's ordinary run: `repeats` more in forks, until `seconds` are used up."""

    def __init__(self, options: dict[str, Any], emit: Callable[[str, object], None]) -> None:
        self.rootdir: str = options["rootdir"]
        self.repeats = int(options["repeats"])
        self.seconds = float(options["seconds"])
        self.each = float(options["each"])
        self.emit = emit
        self.used = 0.0
        self.threads = 1

    @pytest.hookimpl(tryfirst=True)
    def pytest_collection(self) -> None:
        self.threads = threading.active_count()  # of pytest's own plugins: no test module is imported yet

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_runtest_protocol(self, item: pytest.Item, nextitem: pytest.Item | None) -> Any:
        told = {"passed": 0, "red": 0, "lost": 0}
        if threading.active_count() <= self.threads and hasattr(os, "fork"):
            for number in range(self.repeats):
                if self.used > self.seconds:
                    break
                began = time.monotonic()
                told[_fork(item, nextitem, number, self.each)] += 1
                self.used += time.monotonic() - began
        self.emit("reruns", {"id": known_as(item.nodeid, self.rootdir), **told})
        return (yield)


def _fork(item: pytest.Item, nextitem: pytest.Item | None, number: int, seconds: float) -> str:
    """One repetition; its word is an exit code nobody uses by accident."""
    sys.stdout.flush()
    sys.stderr.flush()
    with warnings.catch_warnings():
        warnings.simplefilter(
            "ignore", DeprecationWarning
        )  # idle threads of plugins are no danger to a fork that only runs a test
        pid = os.fork()
    if pid == 0:
        code = 99
        try:
            random.seed(f"repeat {number}")
            reports = runtestprotocol(item, log=False, nextitem=nextitem)
            code = 41 if reports and all(r.outcome == "passed" for r in reports) and len(reports) == 3 else 42
        finally:
            os._exit(code)
    limit = time.monotonic() + seconds
    while True:
        done, status = os.waitpid(pid, os.WNOHANG)
        if done:
            code = os.waitstatus_to_exitcode(status)
            return {41: "passed", 42: "red"}.get(code, "lost")
        if time.monotonic() > limit:
            with contextlib.suppress(OSError):
                os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)
            return "lost"
        time.sleep(0.002)


def before_pytest(options: dict[str, Any], emit: Callable[[str, object], None]) -> Reruns:
    """Move the clock before a conftest or a plugin can import the code under test: what that reads at import must be moved too."""
    if options.get("clock"):
        conditions.apply(Conditions(clock=time.time() + float(options["clock"])))
    return Reruns(options, emit)
