"""Which lines ran since last asked, by marks in the project's code (Python 3.11)?

Code in scope is exchanged, while it is loaded, for code that marks each line as it begins; nothing is called and no other code
is touched. Where code in scope runs without marks, coverage's C tracer records beside them from there on: for the whole
session if it was there before us.
"""

from __future__ import annotations

import gc
import os
import sys
import threading
from collections.abc import Callable, Mapping
from operator import call
from types import CodeType, FunctionType, ModuleType
from typing import Any

from pytest_agentflow.child.marked_code import is_marked, mark
from pytest_agentflow.child.recorder_loading import Loading
from pytest_agentflow.child.recorder_scope import Scope
from pytest_agentflow.child.recorder_slots import Slots


class Marks(set[int]):
    """The slots that ran; a constant of the marked code, and the hash of code is made from those of its constants."""

    __hash__ = object.__hash__  # type: ignore[assignment]

    def __repr__(self) -> str:
        return "<marks>"  # listings of code show its constants

    def __reduce__(self) -> tuple[Any, ...]:
        """Functions are pickled with their code: here it marks on, elsewhere its slots mean nothing."""
        return _marks_of, (PROCESS,)


PROCESS = os.urandom(8)
MARKS = Marks()


def _marks_of(process: bytes) -> Marks:
    return MARKS if process == PROCESS else Marks()


class MarksEngine:
    """Lines, or first lines of functions, by marks."""

    def __init__(self, scope: Scope, level: str) -> None:
        self._scope = scope
        self._functions = level == "functions"
        self._slots = Slots()
        self._loading = Loading(self._marked)
        self._thread = 0
        self._tracer: Any = None  # once code ran that has no marks
        self._on = self._paused = False
        self.note: str | None = None

    def start(self) -> None:
        if self._is_late():
            self._trace()
            return
        self._on, self._thread = True, threading.get_ident()
        self._loading.start()
        sys.addaudithook(self._hook())

    def stop(self) -> None:
        if self._on:
            self._on = False
            self._loading.stop()
        if self._tracer is not None:
            self._tracer.stop()
            self.note = self.note or self._tracer.note

    def pause(self) -> None:
        """Marks cost next to nothing outside the project; a tracer does."""
        self._paused = True
        if self._tracer is not None:
            self._tracer.pause()

    def resume(self) -> None:
        self._paused = False
        if self._tracer is not None:
            self._tracer.resume()

    def take(self) -> Mapping[str, int]:
        """The lines since last asked, as bitmaps by file name."""
        if not MARKS and self._tracer is None:
            return {}
        # Both calls in one instruction: no thread marks between them.
        ran, _ = map(call, (MARKS.copy, MARKS.clear))
        taken = self._slots.bitmaps(ran or ())
        if self._tracer is not None:
            for name, lines in self._tracer.take().items():
                taken[name] = taken.get(name, 0) | lines
        return taken

    # code that gets marks ------------------------------------------------------------------------

    def _marked(self, code: CodeType) -> CodeType:
        if self._scope.path(code.co_filename) is None or is_marked(code, MARKS):
            return code
        try:
            return mark(code, MARKS, self._slots.of(code.co_filename), functions=self._functions)
        except Exception:  # noqa: BLE001 - it is heard when the code runs without marks
            return code

    # code that has none --------------------------------------------------------------------------

    def _is_late(self) -> bool:
        """True when code in scope was loaded before us."""
        modules = [
            vars(each).get("__file__") for each in list(sys.modules.values()) if isinstance(each, ModuleType)
        ]
        files = {name for name in modules if isinstance(name, str)}
        files |= {thing.__code__.co_filename for thing in gc.get_objects() if type(thing) is FunctionType}
        return any(self._scope.path(name) is not None for name in files)

    def _hook(self) -> Callable[[str, tuple[Any, ...]], None]:
        """A function: a bound method takes four times as long to call, and every `id()` calls it."""
        heard = self._heard

        def hook(event: str, arguments: tuple[Any, ...]) -> None:
            if event in _RUNS:
                heard(event, arguments)

        return hook

    def _heard(self, event: str, arguments: tuple[Any, ...]) -> None:
        """Code begins to run, or becomes a function's, that may have come past us."""
        if not self._on or self._tracer is not None:
            return
        code = arguments[-1] if event == "object.__setattr__" else arguments[0]
        if isinstance(code, CodeType) and self._scope.path(code.co_filename) and not is_marked(code, MARKS):
            self._trace()

    def _trace(self) -> None:
        """From now on, in this thread and in those begun later, record without marks as well."""
        from pytest_agentflow.child.recorder_tracer import TracerEngine

        self._tracer = tracer = TracerEngine(self._scope, "lines")
        if self._on and threading.active_count() > 1:
            self.note = (
                "code without marks came while several threads ran: in some of them its lines may be missing"
            )
        if self._on and threading.get_ident() != self._thread:
            tracer.start_in_thread()
            return
        tracer.start()
        if self._paused:
            tracer.pause()


# The events of the interpreter that tell of it; of `__setattr__`, what is set on a function.
_RUNS = frozenset({"exec", "function.__new__", "object.__setattr__"})
