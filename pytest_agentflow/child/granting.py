"""How is one function made to give, or raise, what a test demands, in a fork in which all of it dies again?"""

from __future__ import annotations

import ast
import copy
import inspect
import json
import os
import select
import signal
import sys
import time
import types
from collections.abc import Callable
from typing import Any

from pytest_agentflow.child.demands import Seen, copied

HOOK = "@af_what_if"


def function_of(code: types.CodeType, space: dict[str, Any]) -> types.FunctionType | None:
    """The function object that holds this code, found by its qualified name, through wrappers."""
    found: Any = sys.modules.get(space.get("__name__", ""))
    for part in code.co_qualname.split("."):
        found = inspect.getattr_static(found, part, None) if found is not None else None
        found = getattr(found, "__func__", found)
    found = inspect.unwrap(found) if callable(found) else None
    if isinstance(found, types.FunctionType) and found.__code__ is code and not code.co_freevars:
        return found
    return None


def grant(function: types.FunctionType, arguments: dict[str, Any], value: Any, raises: bool = False) -> None:
    """From now on this function gives `value`, or raises it, for these arguments, whoever holds a reference to it."""
    real = types.FunctionType(
        function.__code__, function.__globals__, function.__name__, function.__defaults__
    )
    real.__kwdefaults__ = function.__kwdefaults__
    signature = inspect.signature(function)
    busy: list[int] = []

    def answer(*args: Any, **kwargs: Any) -> Any:
        if not busy:
            busy.append(1)
            try:
                bound = signature.bind(*args, **kwargs)
                bound.apply_defaults()
                these = {n: copied(v) for n, v in bound.arguments.items()}
            finally:
                busy.clear()
            if these == arguments:
                if raises:
                    Seen.granted += 1
                    raise value("as the test demands")
                return copy.deepcopy(value)
            result = real(*args, **kwargs)
            Seen.calls.append((function, (real.__code__, real.__globals__), these, result))
            return result
        return real(*args, **kwargs)

    name = f"{HOOK}{len([k for k in function.__globals__ if k.startswith(HOOK)])}"
    function.__globals__[name] = answer
    source = ast.parse("def stand_in(*args, **kwargs):\n    return answer(*args, **kwargs)")
    for node in ast.walk(source):
        if isinstance(node, ast.Name) and node.id == "answer":
            node.id = name
    module = compile(source, "<what if>", "exec")
    function.__code__ = next(c for c in module.co_consts if isinstance(c, types.CodeType))
    function.__defaults__ = function.__kwdefaults__ = None
    function.__signature__ = signature  # type: ignore[attr-defined]


def forked(work: Callable[[], dict[str, Any]], seconds: float) -> dict[str, Any]:
    """The result of `work` in a fork: what it changes dies with it."""
    reader, writer = os.pipe()
    sys.stdout.flush()
    pid = os.fork()
    if pid == 0:
        try:
            data = json.dumps(work()).encode()
        except BaseException as problem:  # noqa: BLE001 - told to the parent
            data = json.dumps({"na": f"{type(problem).__name__}: {problem}"[:200]}).encode()
        os.write(writer, data[:60000])
        os._exit(0)
    os.close(writer)
    chunks, limit = b"", time.monotonic() + seconds
    while select.select([reader], [], [], max(0.0, limit - time.monotonic()))[0]:
        part = os.read(reader, 1 << 16)
        if not part:
            break
        chunks += part
    else:
        os.kill(pid, signal.SIGKILL)
    os.close(reader)
    os.waitpid(pid, 0)
    try:
        found: dict[str, Any] = json.loads(chunks)
    except ValueError:
        return {"na": "the experiment did not end"}
    return found
