"""What does a test do as plain Python? Run as a script: no pytest, nothing of this package, and no expected value in the process.

The request comes over an inherited socket; so do the answers: for every check the returned value, built of exact built-in types,
or the name of the type where it is not. Standard library only.
"""

from __future__ import annotations

import asyncio
import contextlib
import inspect
import json
import os
import socket
import sys
import tempfile
import types
import unittest
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any


class Unsupported(Exception):
    """Something that the stand-in for pytest does not do: the layer does not apply to this test."""


class _Mark:
    """`mark.anything(...)`: remembers parametrisation, ignores the rest."""

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)

        def decorate(*args: Any, **_: Any) -> Any:
            if name == "parametrize":
                return lambda func: _remember(func, args[0], args[1])
            if name in ("skip", "skipif", "xfail"):
                return lambda func: func
            return args[0] if len(args) == 1 and callable(args[0]) else lambda func: func

        return decorate


def _remember(func: Any, names: Any, values: Any) -> Any:
    listed = [n.strip() for n in names.split(",") if n.strip()] if isinstance(names, str) else list(names)
    known = (
        func.__dict__.setdefault("known_parameters", [])
        if not isinstance(func, type)
        else func.__dict__.get("known_parameters", [])
    )
    known.append((listed, list(values)))
    if isinstance(func, type):
        func.known_parameters = known  # type: ignore[attr-defined]
    return func


class _Row(tuple):  # type: ignore[type-arg]
    """`param(...)`"""


class _Near:
    """`approx`: within 1e-6 of the expected value, or the tolerances given; element by element."""

    def __init__(
        self,
        expected: Any,
        rel: float | None = None,
        abs: float | None = None,  # noqa: A002
        nan_ok: bool = False,
    ) -> None:
        self.expected, self.rel, self.abs, self.nan_ok = expected, rel, abs, nan_ok

    def _near(self, value: Any, expected: Any) -> bool:
        if isinstance(expected, dict):
            return set(value) == set(expected) and all(self._near(value[k], e) for k, e in expected.items())
        if isinstance(expected, list | tuple):
            return len(value) == len(expected) and all(map(self._near, value, expected))
        if not isinstance(expected, int | float | complex):
            if type(expected).__module__ not in ("builtins", "decimal", "fractions"):
                raise Unsupported("approx of such a value")
            return bool(value == expected)
        if self.nan_ok and expected != expected and value != value:  # noqa: PLR0124
            return True
        relative = (1e-6 if self.rel is None else self.rel) * abs(expected)
        tolerance = (
            max(relative, 1e-12 if self.abs is None else self.abs)
            if self.rel is not None or self.abs is None
            else self.abs
        )
        return bool(value == expected or abs(value - expected) <= tolerance)

    def __eq__(self, value: object) -> bool:
        return self._near(value, self.expected)

    def __ne__(self, value: object) -> bool:
        return not self == value

    __hash__ = None  # type: ignore[assignment]


class _Raised:
    value: BaseException
    type: type[BaseException]


class _Raises:
    def __init__(self, kind: Any, match: str | None = None) -> None:
        self.kind, self.match, self.info = kind, match, _Raised()

    def __enter__(self) -> _Raised:
        return self.info

    def __exit__(self, kind: Any, error: Any, trace: Any) -> bool:
        if kind is None:
            raise AssertionError(f"did not raise {self.kind}")
        if not issubclass(kind, self.kind):
            return False
        self.info.value, self.info.type = error, kind
        if self.match is not None:
            import re

            assert re.search(self.match, str(error)), f"{self.match!r} does not match {str(error)!r}"
        return True


class Tools:
    """The stand-in for pytest in test modules."""

    mark = _Mark()
    approx = _Near

    @staticmethod
    def param(*values: Any, **_: Any) -> _Row:
        return _Row(values)

    @staticmethod
    def raises(kind: Any, *call: Any, match: str | None = None, **kwargs: Any) -> Any:
        if not call:
            return _Raises(kind, match)
        raising = _Raises(kind, match)
        with raising:
            call[0](*call[1:], **kwargs)
        return raising.info

    @staticmethod
    def fixture(func: Any = None, **options: Any) -> Any:
        if options.get("params"):
            options["unsupported"] = "a parametrised fixture"

        def decorate(function: Any) -> Any:
            function.is_fixture = options
            return function

        return decorate(func) if callable(func) else decorate

    def __getattr__(self, name: str) -> Any:
        raise Unsupported(f"pytest.{name}")


class Runner:
    """Loads plain test modules and runs single tests of them."""

    def __init__(self, request: dict[str, Any], say: Callable[[dict[str, Any]], None]) -> None:
        self.request, self.say = request, say
        encoder: dict[str, Any] = {}
        exec(request["encoder"], encoder)
        self.encode, self.opaque = encoder["encode"], encoder["Opaque"]
        self.modules: dict[str, dict[str, Any]] = {}
        self.checks: list[list[Any]] = []
        self.native = 0

    def hand_out(self, number: int, value: Any) -> None:
        try:
            self.checks.append([number, self.encode(value)])
        except self.opaque as kind:
            self.checks.append([number, {"opaque": str(kind)}])

    def hold(self) -> None:
        self.native += 1

    def module(self, path: str) -> dict[str, Any]:
        if path not in self.modules:
            name = "case_" + path.replace("/", "_").removesuffix(".py").replace("test", "case")
            module = types.ModuleType(name)
            module.__file__ = os.path.join(self.request["tree"], path)  # noqa: PTH118
            sys.modules[name] = module
            space = module.__dict__
            space.update({"tools": Tools(), "hand_out": self.hand_out, "hold": self.hold})
            exec(compile(self.request["sources"][path], "<case>", "exec", dont_inherit=True), space)
            self.modules[path] = space
        return self.modules[path]

    def run(self, test: dict[str, Any]) -> dict[str, Any]:
        self.checks, self.native = [], 0
        told = {"id": test["id"], "status": "done", "detail": ""}
        try:
            with contextlib.ExitStack() as stack:
                self._run(test, stack)
        except Unsupported as problem:
            told.update(status="n/a", detail=str(problem))
        except BaseException as problem:  # noqa: BLE001 - whatever the tested code raises is this test's result
            kind = "assertion" if isinstance(problem, AssertionError) else "exception"
            told.update(status=kind, detail=f"{type(problem).__name__}: {problem}"[:300])
        told.update(checks=self.checks, native=self.native)
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
        fixtures = _Fixtures(self, test, space, instance, values, stack)
        for name in test["fixtures"]:
            if name in fixtures.known and name not in values:
                fixtures.value(name)
        wanted = list(inspect.signature(function).parameters)
        arguments = {name: values[name] if name in values else fixtures.value(name) for name in wanted}
        for name, args in (("setup_method", 1), ("setup_function", 1)):
            setup = getattr(instance, name, None) if instance is not None else space.get(name)
            if setup is not None:
                setup(*[function][: min(args, len(inspect.signature(setup).parameters))])
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
            row = rows[indices[names[0]]]
            row = row if len(names) > 1 or isinstance(row, _Row) else (row,)
            found.update(dict(zip(names, row, strict=True)))
        return found


class _Fixtures:
    """Plain fixtures of the module, its class and the conftests above; the rest is not supported."""

    def __init__(self, runner: Runner, test: dict[str, Any], space: dict[str, Any], instance: Any, values: dict[str, Any],
                 stack: contextlib.ExitStack) -> None:  # fmt: skip
        self.known: dict[str, Any] = {}
        self.values, self.stack = dict(values), stack
        for conftest in test["conftests"]:
            self._learn(runner.module(conftest).items())
        self._learn(space.items())
        if instance is not None:
            self._learn(
                (name, getattr(instance, name)) for name in dir(type(instance)) if not name.startswith("__")
            )

    def _learn(self, named: Any) -> None:
        for name, value in list(named):
            options = getattr(value, "is_fixture", None) if inspect.isroutine(value) else None
            if isinstance(options, dict):
                self.known[options.get("name") or name] = value

    def value(self, name: str) -> Any:
        if name in self.values:
            return self.values[name]
        if name == "tmp_path":
            made: Any = Path(self.stack.enter_context(tempfile.TemporaryDirectory()))
        elif name in self.known:
            made = self._make(self.known[name])
        else:
            raise Unsupported(f"the fixture {name}")
        self.values[name] = made
        return made

    def _make(self, function: Any) -> Any:
        if function.is_fixture.get("unsupported"):
            raise Unsupported(function.is_fixture["unsupported"])
        made = function(**{name: self.value(name) for name in inspect.signature(function).parameters})
        if inspect.iscoroutine(made) or inspect.isasyncgen(made):
            raise Unsupported("an async fixture")
        if inspect.isgenerator(made):
            generator: Iterator[Any] = made
            value = next(generator)
            self.stack.callback(lambda: next(generator, None))
            return value
        return made


def main() -> None:
    channel = socket.socket(fileno=int(sys.argv[1]))
    os.set_inheritable(channel.fileno(), False)
    sys.argv[:] = [""]
    stream = channel.makefile("rb")
    request = json.loads(stream.readline())
    nonce = request.pop("nonce")

    def say(message: dict[str, Any]) -> None:
        channel.sendall(nonce.encode() + json.dumps(message).encode() + b"\n")

    runner = Runner(request, say)
    for test in request["tests"]:
        say(runner.run(test))
    say({"end": True})


if __name__ == "__main__":
    main()
