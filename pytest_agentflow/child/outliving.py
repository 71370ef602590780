"""Which threads outlive the tests, and which lines of the project started them?

A thread that sleeps past the last test can do anything once nobody looks; only its start can be seen in time.
"""

from __future__ import annotations

import _thread
import os
import sys
import threading
from collections.abc import Callable
from types import FrameType
from typing import Any

import pytest

_STARTS = frozenset(["_thread.start_new_thread", "_thread.start_joinable_thread"])
_POOL = f"concurrent{os.sep}futures{os.sep}thread.py"
_GRACE = 0.1  # seconds that a thread about to end is given
_MOST = 50


class Threads:
    """Remembers who started which thread; tells at the end which of them are still there."""

    def __init__(self, top: str, emit: Callable[[str, object], None]) -> None:
        self.top = os.path.realpath(top) + os.sep
        self.emit = emit
        self.started: list[tuple[threading.Thread | None, list[list[Any]]]] = []

    def __call__(self, event: str, args: tuple[Any, ...]) -> None:
        if event not in _STARTS or len(self.started) >= _MOST:
            return
        thread = getattr(args[0], "__self__", None)
        places = self._places(sys._getframe(1))
        if places:
            self.started.append((thread if isinstance(thread, threading.Thread) else None, places))

    def _places(self, frame: FrameType | None) -> list[list[Any]]:
        found: list[list[Any]] = []
        while frame is not None:
            file = frame.f_code.co_filename
            if file.startswith(self.top):
                found.append([file[len(self.top) :].replace(os.sep, "/"), frame.f_lineno])
            frame = frame.f_back
        return found

    @pytest.hookimpl(tryfirst=True)
    def pytest_sessionfinish(self) -> None:
        for thread, places in self.started:
            if thread is not None:
                thread.join(_GRACE)
                if not thread.is_alive() or _idle(thread):
                    continue
            self.emit("outlives", {"started": places})


def _idle(thread: threading.Thread) -> bool:
    """Whether this is a worker of a pool that waits for work: it will do nothing more by itself."""
    frame = sys._current_frames().get(thread.ident or 0)
    return frame is not None and frame.f_code.co_filename.endswith(_POOL)


def before_pytest(options: dict[str, Any], emit: Callable[[str, object], None]) -> Threads:
    """Watch from the start: a conftest or a plugin may import the code under test."""
    watch = Threads(options["top"], emit)
    if sys.version_info >= (3, 12):
        sys.addaudithook(watch)
    else:
        _announce(watch)
    return watch


def _announce(watch: Threads) -> None:
    """Python 3.11 raises no audit event for a thread's start: do it in its place."""
    start = _thread.start_new_thread

    def start_new_thread(function: Callable[..., object], /, *args: Any) -> int:
        watch("_thread.start_new_thread", (function, *args))
        return start(function, *args)

    _thread.start_new_thread = _thread.start_new = start_new_thread
    threading._start_new_thread = start_new_thread  # type: ignore[attr-defined]
