"""Which code ran while the session was collected, and what else happened then that a hot swap could not undo?"""

from __future__ import annotations

import inspect
import os
import sys
import threading
from types import CodeType, FrameType, TracebackType
from typing import Any


class Ran:
    """Watches from before the first conftest to the end of collection."""

    def __init__(self) -> None:
        self._codes: dict[int, CodeType] = {}
        self._forked = False
        self.sources_read: set[str] = (
            set()
        )  # files whose source text something asked for: a copy may live elsewhere

    def start(self) -> None:
        os.register_at_fork(before=self._note_fork)
        find = inspect.findsource

        def findsource(thing: Any) -> Any:
            found = find(thing)
            if not isinstance(thing, FrameType | TracebackType):  # those only want to show a line
                self.sources_read.add(os.path.realpath(inspect.getsourcefile(thing) or ""))
            return found

        inspect.findsource = findsource  # type: ignore[assignment]
        self._watch()

    def _note_fork(self) -> None:
        self._forked = True

    def _watch(self) -> None:
        codes = self._codes
        if sys.version_info >= (3, 12):
            monitoring = sys.monitoring
            self._tool = next(n for n in (5, 4, 3, 2, 1, 0) if monitoring.get_tool(n) is None)
            monitoring.use_tool_id(self._tool, "agentflow")

            def on_start(code: CodeType, _offset: int) -> object:
                codes[id(code)] = code
                return monitoring.DISABLE

            monitoring.register_callback(self._tool, monitoring.events.PY_START, on_start)
            monitoring.set_events(self._tool, monitoring.events.PY_START)
            return

        def on_call(frame: Any, _event: str, _arg: object) -> None:
            codes[id(frame.f_code)] = frame.f_code

        self._on_call = on_call
        sys.settrace(on_call)
        threading.settrace(on_call)

    def stop(self) -> tuple[set[CodeType], str]:
        """The code objects that ran, and why that is not the whole truth ("" when it is)."""
        why = "the project forked while it was collected" if self._forked else ""
        if sys.version_info >= (3, 12):
            sys.monitoring.set_events(self._tool, 0)
            sys.monitoring.free_tool_id(self._tool)
        else:
            if sys.gettrace() is not self._on_call:
                why = why or "the project traced its own code while it was collected"
            sys.settrace(None)
            threading.settrace(None)
        codes = set(self._codes.values())
        self._codes.clear()
        return codes, why
