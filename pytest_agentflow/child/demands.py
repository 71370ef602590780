"""What does a running test compare, which exception does it wait for, and which calls of project functions does it make itself?

The runtime of instrumented test modules: `core.relations` puts calls of it into them.
"""

from __future__ import annotations

import os
import types
from dataclasses import dataclass
from typing import Any

from pytest_agentflow.core.plain_values import Opaque, encode

MAX_CALLS = 2000


class _Raised:
    def __repr__(self) -> str:
        return "an exception"


RAISED: Any = _Raised()


@dataclass(frozen=True, slots=True)
class Compared:
    """What an instrumented assertion held against what, and which side is as good as a literal."""

    line: int
    left: Any
    right: Any
    left_fixed: bool
    right_fixed: bool
    member: bool = False  # `left in right`

    @property
    def holds(self) -> bool:
        if self.left is RAISED or self.right is RAISED:
            return False
        return bool(self.left in self.right if self.member else self.left == self.right)


class Seen:
    """What the running test compared last, which exception it waits for, and which calls it made itself. One per process."""

    compared: Compared | None = None
    waiting: tuple[int, Any] | None = None
    granted = 0  # how often a granted exception was raised
    calls: list[tuple[types.FunctionType | None, Any, dict[str, Any], Any]] = []  # noqa: RUF012 - module state on purpose

    @classmethod
    def clear(cls) -> None:
        cls.compared, cls.waiting, cls.granted, cls.calls = None, None, 0, []


def last() -> tuple[Compared | None, tuple[int, Any] | None]:
    return Seen.compared, Seen.waiting


def equal(line: int, left_fixed: bool, right_fixed: bool, lazy: bool, left: Any, right: Any) -> Any:
    """`left == right` of an instrumented assertion; remembers both sides."""
    return _compare(line, left_fixed, right_fixed, lazy, left, right, member=False)


def member(line: int, left_fixed: bool, right_fixed: bool, lazy: bool, left: Any, right: Any) -> Any:
    """`left in right`"""
    return _compare(line, left_fixed, right_fixed, lazy, left, right, member=True)


def _compare(
    line: int, left_fixed: bool, right_fixed: bool, lazy: bool, left: Any, right: Any, member: bool
) -> Any:
    """The fixed side is looked at first, so that it is known when the other one raises."""
    if lazy and right_fixed:
        right = right()
        Seen.compared = Compared(line, RAISED, right, left_fixed, right_fixed, member)
        left = left()
    elif lazy:
        left = left()
        Seen.compared = Compared(line, left, RAISED, left_fixed, right_fixed, member)
        right = right()
    Seen.compared = Compared(line, left, right, left_fixed, right_fixed, member)
    return left in right if member else left == right


def raising(line: int, kind: Any) -> Any:
    """The exception that a `with raises(…)` waits for."""
    Seen.waiting = (line, kind)
    return kind


def over() -> None:
    Seen.waiting = None


class Watch:
    """Remembers calls of project functions that come straight from test code."""

    def __init__(self, top: str, tests: set[str]) -> None:
        self.top, self.tests = top + os.sep, tests
        self.open: dict[int, dict[str, Any]] = {}

    def __call__(self, frame: types.FrameType, event: str, value: Any) -> None:
        code = frame.f_code
        if (
            event not in ("call", "return")
            or not code.co_filename.startswith(self.top)
            or code.co_filename in self.tests
        ):
            return
        caller = frame.f_back
        if caller is None or caller.f_code.co_filename not in self.tests:
            return
        if event == "call":
            names = code.co_varnames[: code.co_argcount + code.co_kwonlyargcount]
            self.open[id(frame)] = {n: copied(frame.f_locals.get(n)) for n in names}
        elif len(Seen.calls) < MAX_CALLS:
            Seen.calls.append((None, (code, frame.f_globals), self.open.pop(id(frame), {}), value))


def copied(value: Any) -> Any:
    try:
        return encode(value)
    except Opaque:
        state = getattr(value, "__dict__", None)
        try:
            return {"object": [type(value).__qualname__, encode(dict(state)) if state is not None else None]}
        except Opaque:
            return {"object": [type(value).__qualname__, repr(sorted(state)) if state else None]}


def is_plain(value: Any) -> bool:
    try:
        encode(value)
    except Opaque:
        return False
    return True


def shown(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 80 else text[:79] + "…"
