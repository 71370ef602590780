"""What does a test do as plain Python? Runs in a process with no pytest, nothing of this package, and no expected value.

The request comes over an inherited socket; so do the answers: for every check the values, built of exact built-in types, or
which of several candidates a value equals that has code of its own, or the name of its type. Standard library only.
"""

from __future__ import annotations

import asyncio
import contextlib
import copy
import inspect
import json
import os
import random
import sys
import types
import unittest
from typing import Any

from pytest_agentflow.child.calls import Recorder
from pytest_agentflow.child.stand_in import Fixtures, Row, Tools, Unsupported, is_foreign
from pytest_agentflow.core.plain_values import Opaque, decode, encode


class Unloadable(Exception):
    """A test module that cannot even be imported plainly."""


class Runner:
    """Loads plain test modules and runs single tests of them."""

    def __init__(self, request: dict[str, Any]) -> None:
        self.request = request
        self.modules: dict[str, dict[str, Any]] = {}
        self.checks: list[list[Any]] = []
        self.candidates: dict[str, Any] = {}
        self.native = 0

    def hand_out(self, number: int, *values: Any) -> None:
        try:
            self.checks.append([number, {"values": [encode(v) for v in values]}])
            return
        except Opaque as kind:
            told: dict[str, Any] = {"opaque": str(kind)}
        asked = self.candidates.get(str(number), {})
        if asked:
            row = asked["rows"][values[asked["column"]] if "column" in asked else 0]
            told = {"picked": [_equal(values[asked["handed"]], decode(c)) for c in row]}
        elif asked is None and len(values) == 2:
            told = _discern(*values)
        self.checks.append([number, told])

    def hold(self) -> None:
        self.native += 1

    def module(self, path: str) -> dict[str, Any]:
        if path not in self.modules:
            name = self.request["names"][path]
            module = types.ModuleType(name)
            module.__file__ = os.path.join(self.request["tree"], path)  # noqa: PTH118
            module.__package__ = self.request["packages"][path]
            sys.modules[name] = module
            space = module.__dict__
            space.update({"tools": Tools(), "hand_out": self.hand_out, "hold": self.hold})
            try:
                exec(compile(self.request["sources"][path], name, "exec", dont_inherit=True), space)
            except Exception as problem:
                raise Unloadable(f"{type(problem).__name__}: {problem}") from problem
            for start in ("setUpModule", "setup_module"):
                if callable(space.get(start)):
                    space[start](*[module][: len(inspect.signature(space[start]).parameters)])
            self.modules[path] = space
        return self.modules[path]

    def run(self, test: dict[str, Any]) -> dict[str, Any]:
        self.checks, self.native, self.candidates = [], 0, test.get("candidates", {})
        told: dict[str, Any] = {"id": test["id"], "status": "done", "detail": ""}
        recorder = Recorder(self.request["tree"], set(self.request["names"].values()))
        try:
            with contextlib.ExitStack() as stack:
                if self.request["record"]:
                    sys.setprofile(recorder)
                    stack.callback(sys.setprofile, None)
                self._run(test, stack)
        except Unsupported as problem:
            told.update(status="n/a", detail=str(problem))
        except Unloadable as problem:
            kind = "n/a" if isinstance(problem.__cause__, Unsupported) else "unloadable"
            told.update(status=kind, detail=f"its module cannot be loaded: {problem}"[:300])
        except BaseException as problem:  # noqa: BLE001 - whatever the tested code raises is this test's result
            kind = "assertion" if isinstance(problem, AssertionError) else "exception"
            told.update(status=kind, detail=f"{type(problem).__name__}: {problem}"[:300])
        told.update(checks=self.checks, native=self.native, calls=recorder.calls, whole=recorder.whole)
        return told

    def _run(self, test: dict[str, Any], stack: contextlib.ExitStack) -> None:
        space = self.module(test["path"])
        owner: Any = None
        for part in filter(None, test["cls"].split(".")):
            owner = space[part] if owner is None else getattr(owner, part)
        if owner is not None and issubclass(owner, unittest.TestCase):
            self._unittest(owner, test["function"])
            return
        instance = owner() if owner is not None else None
        function = getattr(instance, test["function"]) if instance is not None else space[test["function"]]
        values = self._parameters(function, test["indices"])
        if owner is not None:
            values |= self._parameters(owner, test["indices"])
        spaces = [*map(self.module, test["conftests"]), space]
        fixtures = Fixtures(spaces, instance, values, test["indices"], stack)
        for name in test["fixtures"]:
            if name in fixtures.known and name not in values:
                fixtures.value(name)
            elif name not in values and is_foreign(name):
                raise Unsupported(f"the fixture {name}")
        wanted = list(inspect.signature(function).parameters)
        arguments = {name: values[name] if name in values else fixtures.value(name) for name in wanted}
        for name, given in (
            ("setup_class", []),
            ("setup_method", [function]),
            ("setup_function", [function]),
        ):
            setup = getattr(instance, name, None) if instance is not None else space.get(name)
            if setup is not None:
                setup(*given[: len(inspect.signature(setup).parameters)])
        result = function(**arguments)
        if inspect.iscoroutine(result):
            asyncio.run(result)

    def _unittest(self, owner: Any, name: str) -> None:
        result = unittest.TestResult()
        owner.setUpClass()
        try:
            owner(name).run(result)
        finally:
            owner.tearDownClass()
        for _, text in result.failures:
            raise AssertionError(text.strip().splitlines()[-1])
        for _, text in result.errors:
            if "Unsupported" in text:
                raise Unsupported(text.strip().splitlines()[-1])
            raise RuntimeError(text.strip().splitlines()[-1])
        if result.skipped:
            raise Unsupported("skipped")

    @staticmethod
    def _parameters(function: Any, indices: dict[str, int]) -> dict[str, Any]:
        found = {}
        for names, rows in getattr(function, "known_parameters", ()):
            if names[0] not in indices or rows is None:
                raise Unsupported(f"the rows of {names[0]} cannot be told apart")
            row = rows[indices[names[0]]]
            row = row if len(names) > 1 or isinstance(row, Row) else (row,)
            found.update(dict(zip(names, row, strict=True)))
        return found


def _equal(left: Any, right: Any) -> bool:
    try:
        return bool(left == right)
    except Exception:  # noqa: BLE001 - project code decides what it can be compared with
        return False


def _discern(left: Any, right: Any) -> dict[str, Any]:
    """Whether `left` equals `right` and nothing that differs from it; asked in random order."""
    others = [other for _ in range(3) if (other := _unlike(right)) is not None]
    place = random.SystemRandom().randrange(len(others) + 1)
    candidates = [*others[:place], right, *others[place:]]
    return {"picked": [_equal(left, c) for c in candidates], "right": place}


def _unlike(value: Any) -> Any:
    """A copy of an object in which every plain attribute differs; None where there is no such thing."""
    try:
        state = dict(vars(value))
        made = copy.copy(value)
    except Exception:  # noqa: BLE001 - whatever has no such state is compared as it is
        return None
    draw = random.SystemRandom().randrange
    plain: dict[str, Any] = {}
    for name, held in state.items():
        if type(held) in (int, float):
            plain[name] = held + draw(2, 99) * (-1) ** draw(2)
        elif type(held) is str:
            plain[name] = held + chr(97 + draw(26))
        elif type(held) in (list, tuple):
            plain[name] = type(held)([*held, draw(10**6)])
    if made is value or not plain:
        return None
    for name, changed in plain.items():
        object.__setattr__(made, name, changed)
    return made


def main(channel: Any, stream: Any, request: dict[str, Any]) -> None:
    """Answer every test of the request, then say that this was all."""
    nonce = request.pop("nonce")

    def say(message: dict[str, Any]) -> None:
        channel.sendall(nonce.encode() + json.dumps(message).encode() + b"\n")

    stream.close()
    runner = Runner(request)
    for test in request.pop("tests"):
        say(runner.run(test))
    say({"end": True})
