"""If the code gave the very value that a failing test demands, which passing tests would then fail?

For each target: run it, take the equality that failed and the call that gave its actual side; then, in a fork, let that one call
(same function, same arguments) give the demanded value, and run the guards. A guard that fails against a literal of its own
cannot be satisfied together with the target: test and test disagree, whatever the code does.
"""

from __future__ import annotations

import ast
import copy
import inspect
import json
import os
import sys
import time
import types
from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
from _pytest.assertion import rewrite
from _pytest.runner import runtestprotocol

from pytest_agentflow.core.outcomes import to_top_level
from pytest_agentflow.core.plain_values import Opaque, encode, show
from pytest_agentflow.core.relations import turn

HOOK = "@af_what_if"
MAX_CALLS = 2000


class _Seen:
    """What the running test compared last, and which calls it made itself. One per process."""

    compared: tuple[int, Any, Any, bool, bool] | None = None
    calls: list[tuple[types.FunctionType | None, Any, dict[str, Any], Any]] = []  # noqa: RUF012 - module state on purpose


def _last() -> tuple[int, Any, Any, bool, bool] | None:
    return _Seen.compared


def equal(line: int, left_fixed: bool, right_fixed: bool, left: Any, right: Any) -> Any:
    """`left == right` of an instrumented assertion; remembers both sides."""
    _Seen.compared = (line, left, right, left_fixed, right_fixed)
    return left == right


class _Watch:
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
            self.open[id(frame)] = {n: _copied(frame.f_locals.get(n)) for n in names}
        elif len(_Seen.calls) < MAX_CALLS:
            _Seen.calls.append((None, (code, frame.f_globals), self.open.pop(id(frame), {}), value))


def _copied(value: Any) -> Any:
    try:
        return encode(value)
    except Opaque:
        state = getattr(value, "__dict__", None)
        try:
            return {"object": [type(value).__qualname__, encode(dict(state)) if state is not None else None]}
        except Opaque:
            return {"object": [type(value).__qualname__, repr(sorted(state)) if state else None]}


class WhatIf:
    def __init__(self, options: dict[str, Any], emit: Callable[[str, object], None]) -> None:
        self.top: str = os.path.realpath(options["top"])
        self.rootdir: str = options["rootdir"]
        self.targets: list[str] = options["targets"]
        self.guards: list[str] = options["guards"]
        self.seconds = float(options["seconds"])
        self.emit = emit
        self.files = {os.path.join(self.top, f) for f in options["files"]}  # noqa: PTH118
        self._original = rewrite.rewrite_asserts
        rewrite.rewrite_asserts = self._rewrite

    def _rewrite(
        self, mod: ast.Module, source: bytes, module_path: str | None = None, config: Any = None
    ) -> None:
        if os.path.realpath(module_path or "") in self.files:
            turn(mod, __name__)
        self._original(mod, source, module_path, config)

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtestloop(self, session: pytest.Session) -> bool:
        items = {to_top_level(i.nodeid, self.rootdir): i for i in session.items}
        deadline = time.monotonic() + self.seconds
        for target in self.targets:
            item = items.get(target)
            if item is None or time.monotonic() > deadline:
                self.emit("what_if", {"target": target, "na": "not run"})
                continue
            told = _forked(partial(self._experiment, item, items), deadline - time.monotonic() + 10)
            self.emit("what_if", {"target": target, **told})
        return True

    def _experiment(self, item: pytest.Item, items: dict[str, pytest.Item], depth: int = 0) -> dict[str, Any]:
        """In a fork: find what the target demands, grant it, and see who objects."""
        demand = self._demand(item)
        if isinstance(demand, str):
            return {"na": demand}
        function, arguments, value, words, line = demand
        _grant(function, arguments, value)
        if self._demand(item, same_line=line) is not None:
            return {"na": "granting the value does not satisfy the assertion"}
        told: dict[str, Any] = {"demand": words, "line": line, "against": [], "related": []}
        for guard in self.guards:
            if guard not in items:
                continue
            _Seen.compared, _Seen.calls = None, []
            reports = self._run(items[guard])
            if all(r.outcome == "passed" for r in reports):
                continue
            seen = _last()
            if seen is None or seen[1] == seen[2]:
                continue
            if seen[3] or seen[4]:
                told["against"].append(
                    {"test": guard, "line": seen[0], "has": _shown(seen[1]), "wants": _shown(seen[2])}
                )
            elif depth == 0:
                told["related"].append(guard)
                further = _forked(partial(self._experiment, items[guard], items, depth + 1), 30)
                told["against"] += [{**a, "through": guard} for a in further.get("against", ())]
        return told

    def _run(self, item: pytest.Item) -> list[pytest.TestReport]:
        watch = _Watch(self.top, self.files)
        sys.setprofile(watch)
        try:
            return runtestprotocol(item, log=False, nextitem=None)
        finally:
            sys.setprofile(None)

    def _demand(self, item: pytest.Item, same_line: int = 0) -> Any:
        """(function, arguments, demanded value, words, line) of the equality that fails, or why there is none.

        With `same_line`: None when the item gets past that line.
        """
        _Seen.compared, _Seen.calls = None, []
        reports = self._run(item)
        if all(r.outcome == "passed" for r in reports):
            return None if same_line else "it passes"
        seen = _last()
        if seen is None:
            return "it fails before any equality"
        line, left, right, left_fixed, right_fixed = seen
        if same_line and line != same_line:
            return None
        if left == right:
            return "it fails elsewhere than at an equality"
        for actual, demanded, fixed in ((left, right, right_fixed), (right, left, left_fixed)):
            for known, (code, space), arguments, value in reversed(_Seen.calls):
                if (
                    (value is actual or (_plain(value) and value == actual))
                    and _plain(demanded)
                    and (fixed or not left_fixed)
                ):
                    function = known or _function(code, space)
                    if function is None:
                        return "the call that gives the value cannot be exchanged"
                    call = ", ".join(f"{n}={show(v, 40)}" for n, v in arguments.items())
                    return (
                        function,
                        arguments,
                        demanded,
                        f"{code.co_qualname}({call}) == {_shown(demanded)}",
                        line,
                    )
        return "no single call gives the compared value"


def _plain(value: Any) -> bool:
    try:
        encode(value)
    except Opaque:
        return False
    return True


def _shown(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 80 else text[:79] + "…"


def _function(code: types.CodeType, space: dict[str, Any]) -> types.FunctionType | None:
    """The function object that holds this code, found by its qualified name, through wrappers."""
    found: Any = sys.modules.get(space.get("__name__", ""))
    for part in code.co_qualname.split("."):
        found = inspect.getattr_static(found, part, None) if found is not None else None
        found = getattr(found, "__func__", found)
    found = inspect.unwrap(found) if callable(found) else None
    if isinstance(found, types.FunctionType) and found.__code__ is code and not code.co_freevars:
        return found
    return None


def _grant(function: types.FunctionType, arguments: dict[str, Any], value: Any) -> None:
    """From now on this function gives `value` for these arguments, whoever holds a reference to it."""
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
                these = {n: _copied(v) for n, v in bound.arguments.items()}
            finally:
                busy.clear()
            if these == arguments:
                return copy.deepcopy(value)
            result = real(*args, **kwargs)
            _Seen.calls.append((function, (real.__code__, real.__globals__), these, result))
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


def _forked(work: Callable[[], dict[str, Any]], seconds: float) -> dict[str, Any]:
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
    import select
    import signal

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


def configure(_config: pytest.Config, options: dict[str, Any], emit: Callable[[str, object], None]) -> object:
    return WhatIf(options, emit)
