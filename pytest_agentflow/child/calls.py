"""Which plain calls of project functions do tests make, and what does the project answer to further ones?

Executed from its text in a process without this package: the standard library and `plain_values` only.
"""

from __future__ import annotations

import asyncio
import importlib
import inspect
import itertools
import json
import signal
import sys
import time
import types
from typing import Any

from pytest_agentflow.core.plain_values import Opaque, decode, encode

MOST_CALLS, MOST_ITEMS, SECONDS = 30, 200, 2
AGAIN, AGAIN_SECONDS = 300, 0.1
_STARRED = inspect.CO_VARARGS | inspect.CO_VARKEYWORDS


class Recorder:
    """A profile function: remembers calls that come straight from test code, with arguments that are plain values."""

    def __init__(self, top: str, tests: set[str]) -> None:
        self.top, self.tests = top, tests
        self.calls: list[Any] = []
        self.whole = True  # every call could be told

    def __call__(self, frame: types.FrameType, event: str, _: object) -> None:
        code, caller = frame.f_code, frame.f_back
        if event != "call" or caller is None or caller.f_code.co_filename not in self.tests:
            return
        if not code.co_filename.startswith(self.top):
            return
        call = self._told(frame, code)
        if call is None or len(self.calls) >= MOST_CALLS:
            self.whole = False
        elif call not in self.calls:
            self.calls.append(call)

    def _told(self, frame: types.FrameType, code: types.CodeType) -> list[Any] | None:
        if code.co_flags & _STARRED or "<" in code.co_qualname:
            return None
        names = code.co_varnames[: code.co_argcount + code.co_kwonlyargcount]
        try:
            arguments = [[name, _state(frame.f_locals[name])] for name in names]
        except Opaque:
            return None
        return [frame.f_globals.get("__name__", ""), code.co_qualname, arguments]


def _state(value: Any) -> Any:
    """Plain values, and objects that hold nothing but plain values."""
    try:
        return encode(value)
    except Opaque:
        kind = type(value)
        if kind.__module__ == "builtins" or not hasattr(value, "__dict__"):
            raise
        return {"object": [kind.__module__, kind.__qualname__, encode(dict(vars(value)))]}


def _made(data: Any) -> Any:
    if not (isinstance(data, dict) and "object" in data):
        return decode(data)
    module, name, state = data["object"]
    kind = _found(module, name)
    value = kind.__new__(kind)
    vars(value).update(decode(state))
    return value


def _found(module: str, name: str) -> Any:
    found: Any = importlib.import_module(module)
    for part in name.split("."):
        found = getattr(found, part)
    return found


def answer(call: list[Any]) -> dict[str, Any]:
    """What the call gives: a plain value, the name of another value's type, or of the exception."""
    module, name, arguments = call
    try:
        made = {n: _made(value) for n, value in arguments}
        owner = made.pop("self", None) if "." in name else None
        function = getattr(owner, name.rpartition(".")[2]) if owner is not None else _found(module, name)
        value = function(**made)
        if inspect.iscoroutine(value):
            value = asyncio.run(value)
        if isinstance(value, types.GeneratorType | map | filter | zip | range):
            value = list(itertools.islice(value, MOST_ITEMS))
        return {"value": _state(value), "left": _state(owner) if owner is not None else None}
    except Opaque as kind:
        return {"opaque": str(kind)}
    except BaseException as problem:  # noqa: BLE001 - whatever the code raises is its answer
        return {"raised": type(problem).__name__}


def worn(call: list[Any]) -> bool:
    """Whether the answer is steady at first and another one after many calls."""
    until, answers = time.monotonic() + AGAIN_SECONDS, [answer(call), answer(call)]
    while len(answers) < AGAIN and (time.monotonic() < until or len(answers) < 5):
        answers.append(answer(call))
    last = answers[-1]
    return bool(answers[0] == answers[1] != last and answers[-3:] == [last] * 3)


def _late(*_: object) -> None:
    raise TimeoutError


def main(channel: Any, stream: Any, request: dict[str, Any]) -> None:
    """Answer every call twice; one whose answers differ has none. The first `again` calls are made many times."""
    nonce = request.pop("nonce")
    stream.close()
    signal.signal(signal.SIGALRM, _late)
    for number, call in enumerate(request["calls"]):
        signal.alarm(SECONDS)
        first, second = answer(call), answer(call)
        tired = first == second and number < request["again"] and worn(call)
        signal.alarm(0)
        message = {"id": str(number), "answer": first if first == second else None, "worn": tired}
        channel.sendall(nonce.encode() + json.dumps(message).encode() + b"\n")
    channel.sendall(nonce.encode() + json.dumps({"end": True}).encode() + b"\n")
    sys.stdout.flush()
