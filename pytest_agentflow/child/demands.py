"""What does a running test compare, which exception does it wait for, and which calls of project functions does it make itself?

The runtime of instrumented test modules: `core.relations` puts calls of it into them.
"""

from __future__ import annotations

import itertools
import os
import sys
import types
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

from pytest_agentflow.core.plain_values import Opaque, encode

MAX_CALLS = 2000
MOST_HELD = 400  # objects and containers that may be told of one argument
_NAMED = (type, types.FunctionType, types.BuiltinFunctionType, types.ModuleType)
_ALIKE = ("_thread", "threading")  # locks hold nothing that a test could demand
_UNKNOWN = itertools.count()


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
    """What is equal for two arguments only where they are the same in all they hold; of what cannot be told nothing is equal to it."""
    try:
        return _told(value, [MOST_HELD], ())
    except Exception:  # noqa: BLE001 - `Opaque`, or whatever project code raised that was asked
        return {"unknown": next(_UNKNOWN)}


def _told(value: Any, left: list[int], above: tuple[int, ...]) -> Any:
    """A plain value, or an object as its type and what it holds; `left` values may still be told, `above` hold this one."""
    try:
        return encode(value)
    except Opaque:
        left[0] -= 1
    if left[0] < 0:
        raise Opaque("too much")
    if id(value) in above:
        return {"again": above.index(id(value))}
    kind = type(value)
    if isinstance(value, _NAMED):
        return _named(value)
    name = f"{kind.__module__}.{kind.__qualname__}"
    tell = partial(_told, left=left, above=(*above, id(value)))
    items, held = _items(value, tell), _held(value)
    if items is None and (not held or kind.__module__.partition(".")[0] in sys.stdlib_module_names):
        return {"object": [name, "" if kind.__module__ in _ALIKE else _in_words(value)]}
    return {"object": [name, items, {n: tell(held[n]) for n in sorted(held)}]}


def _named(value: Any) -> Any:
    """A function or class by its name, which tells nothing of one that was made in a call, nor of a method of some object."""
    name = getattr(value, "__qualname__", value.__name__)  # modules have no qualified one
    owner = getattr(value, "__self__", None)
    if "<" in name or not (owner is None or isinstance(owner, types.ModuleType)):
        raise Opaque(name)
    return {"named": [getattr(value, "__module__", ""), name]}


def _held(value: Any) -> dict[str, Any]:
    """The attributes of an object, those in slots too."""
    found = dict(getattr(value, "__dict__", {}))
    for kind in type(value).__mro__:
        slots = kind.__dict__.get("__slots__", ())
        for slot in (slots,) if isinstance(slots, str) else slots:
            hidden = slot.startswith("__") and not slot.endswith("__")
            name = f"_{kind.__name__.lstrip('_')}{slot}" if hidden else slot
            if name not in ("__dict__", "__weakref__") and hasattr(value, name):
                found[name] = getattr(value, name)
    return found


def _in_words(value: Any) -> str:
    """Raises Opaque where the words are an address, which says nothing of what is there."""
    text = repr(value)
    if " at 0x" in text:
        raise Opaque(type(value).__name__)
    return text


def _items(value: Any, tell: Callable[[Any], Any]) -> Any:
    """What a container holds, or what a value of a class derived from a plain one is; None for all others."""
    if isinstance(value, dict):
        return [[tell(k), tell(v)] for k, v in dict.items(value)]
    if isinstance(value, list | tuple):
        return [tell(v) for v in value]
    if isinstance(value, set | frozenset):
        return sorted(map(tell, value), key=repr)
    base = next((b for b in (str, bytes, int, float) if isinstance(value, b)), None)
    return base.__repr__(value) if base is not None else None


def is_plain(value: Any) -> bool:
    try:
        encode(value)
    except Opaque:
        return False
    return True


def shown(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 80 else text[:79] + "…"
