"""Which lines ran since last asked, by `sys.monitoring` (Python 3.12 and later)?

Events are armed on in-scope code objects only, so other code runs at full speed. Each line reports once and is then
switched off until the next owner begins. New code objects are met through the audit event of `exec`, which every import
passes; a global start-of-function event would fire for all of the standard library after each re-arming.
"""

from __future__ import annotations

import gc
import sys
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping
from opcode import opmap
from types import CodeType, FunctionType
from typing import Any

from pytest_agentflow.child.recorder_bitmap import remembered_bitmap
from pytest_agentflow.child.recorder_scope import Scope

RESUME = opmap["RESUME"]
TOOL_IDS = (4, 3, 5, 2)  # the ones no well-known tool reserves come first


def nested(code: CodeType) -> Iterator[CodeType]:
    """A code object and every function, lambda and class body compiled inside it."""
    yield code
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from nested(constant)


def starts_silently(code: CodeType) -> bool:
    """True where the first line of the body is the line of the definition, as in a lambda.

    The interpreter marks the start of a function with that line already, so that no line event follows for the body
    (3.12 and 3.13): such code needs the event of its start as well.
    """
    raw = code.co_code
    at = next((i for i in range(0, len(raw), 2) if raw[i] == RESUME), -1)
    if at < 0:
        return False
    return any(
        first <= at + 2 < last and line == code.co_firstlineno for first, last, line in code.co_lines()
    )


class MonitoringEngine:
    """Lines or functions by `sys.monitoring`."""

    def __init__(self, scope: Scope, level: str) -> None:
        self._scope = scope
        self._level = level
        # `mypy` checks against 3.11, where the module does not exist.
        self._monitoring: Any = sys.monitoring  # type: ignore[attr-defined, unused-ignore]
        self._tool = -1
        self._lines: defaultdict[str, set[int]] = defaultdict(set)
        self._edges: defaultdict[str, set[tuple[int, int]]] = defaultdict(set)
        self._on = False
        self.note: str | None = None

    def start(self) -> None:
        """Claim a tool id and arm all code that is in scope, now and later."""
        monitoring = self._monitoring
        free = [i for i in TOOL_IDS if monitoring.get_tool(i) is None]
        if not free:
            self.note = "every sys.monitoring tool id is taken: nothing was recorded"
            return
        self._tool = free[0]
        monitoring.use_tool_id(self._tool, "agentflow")
        self._register()
        self._on = True
        sys.addaudithook(self._hook())
        for thing in gc.get_objects():
            if type(thing) is FunctionType:
                self._arm(thing.__code__)

    def stop(self) -> None:
        if self._on:
            self._on = False
            self._monitoring.free_tool_id(self._tool)

    def pause(self) -> None:
        """Nothing to do: code out of scope costs nothing."""

    def resume(self) -> None:
        """Nothing to do."""

    def take(self) -> Mapping[str, int]:
        """The lines since last asked, as bitmaps by file name; arms everything again."""
        taken = self._lines
        if not taken or not self._on:
            return {}
        self._lines = defaultdict(set)
        self._register()
        self._monitoring.restart_events()
        return {name: remembered_bitmap(frozenset(found)) for name, found in taken.items()}

    def _hook(self) -> Callable[[str, tuple[Any, ...]], None]:
        """A function: a bound method takes three to four times as long to call, and every `id()` calls it."""

        def heard(event: str, arguments: tuple[Any, ...]) -> None:
            if event == "exec" and self._on and isinstance(arguments[0], CodeType):
                self._arm(arguments[0])

        return heard

    def _arm(self, code: CodeType) -> None:
        if self._scope.path(code.co_filename) is None:
            return
        events = self._monitoring.events
        for each in nested(code):
            if self._level == "functions":
                wanted = events.PY_START
            else:
                wanted = events.LINE | (events.PY_START if starts_silently(each) else 0)
            self._monitoring.set_local_events(self._tool, each, wanted)

    def _register(self) -> None:
        """Give the interpreter a callback bound to the current owner's sets."""
        monitoring, lines, disable = self._monitoring, self._lines, self._monitoring.DISABLE

        # Keyed by file name: a code object's hash walks its whole bytecode, a string's is kept.
        def line(code: CodeType, number: int) -> object:
            lines[code.co_filename].add(number)
            return disable

        def start(code: CodeType, _offset: int) -> object:
            lines[code.co_filename].add(code.co_firstlineno)
            return disable

        monitoring.register_callback(self._tool, monitoring.events.PY_START, start)
        if self._level != "functions":
            monitoring.register_callback(self._tool, monitoring.events.LINE, line)
