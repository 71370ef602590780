"""What takes pytest's place where a test runs as plain Python? Marks, `approx`, `raises` and the simple fixtures; no more.

Executed from its text in a process without this package: the standard library and `plain_values` only.
"""

from __future__ import annotations

import contextlib
import importlib
import inspect
import io
import os
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from pytest_agentflow.core.plain_values import near


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
    # What has no order of its own has another one in this process: a row's number says nothing.
    rows = list(values) if isinstance(values, Sequence) else None
    if rows and not isinstance(names, str):  # then a row is a row, even of one value
        rows = [Row(r) for r in rows]
    known.append((listed, rows))
    if isinstance(func, type):
        func.known_parameters = known  # type: ignore[attr-defined]
    return func


class Row(tuple):  # type: ignore[type-arg]
    """`param(...)`"""


class _Near:
    """`approx`"""

    def __init__(
        self,
        expected: Any,
        rel: float | None = None,
        abs: float | None = None,  # noqa: A002
        nan_ok: bool = False,
    ) -> None:
        self.expected, self.tolerance = expected, (rel, abs, nan_ok)

    def __eq__(self, value: object) -> bool:
        try:
            return near(value, self.expected, *self.tolerance)
        except TypeError as problem:
            raise Unsupported(str(problem)) from None

    def __ne__(self, value: object) -> bool:
        return not self == value

    __hash__ = None  # type: ignore[assignment]


class _Raised:
    value: BaseException
    type: type[BaseException]

    def match(self, pattern: str) -> bool:
        import re

        assert re.search(pattern, str(self.value)), f"{pattern!r} does not match {str(self.value)!r}"
        return True

    def __getattr__(self, name: str) -> Any:
        raise Unsupported(f"excinfo.{name}")


class _Raises:
    def __init__(self, kind: Any, match: Any) -> None:
        self.kind, self.pattern, self.info = kind, match, _Raised()

    def __enter__(self) -> _Raised:
        return self.info

    def __exit__(self, kind: Any, error: Any, trace: Any) -> bool:
        if kind is None:
            raise AssertionError(f"did not raise {self.kind}")
        if not issubclass(kind, self.kind):
            return False
        self.info.value, self.info.type = error, kind
        return self.pattern is None or self.info.match(self.pattern)


class Tools:
    """The stand-in for pytest in test modules."""

    mark = _Mark()
    approx = _Near

    class MonkeyPatch:
        """An annotation only."""

    @staticmethod
    def param(*values: Any, **_: Any) -> Row:
        return Row(values)

    @staticmethod
    def raises(expected_exception: Any, *call: Any, **options: Any) -> Any:
        if not call:
            if set(options) - {"match"}:
                raise Unsupported("raises with such options")
            return _Raises(expected_exception, options.get("match"))
        raising = _Raises(expected_exception, None)
        with raising:
            call[0](*call[1:], **options)
        return raising.info

    @staticmethod
    def fixture(func: Any = None, **options: Any) -> Any:
        def decorate(function: Any) -> Any:
            function.is_fixture = options
            return function

        return decorate(func) if callable(func) else decorate

    def __getattr__(self, name: str) -> Any:
        raise Unsupported(f"pytest.{name}")


class _Patch:
    """`monkeypatch`"""

    def __init__(self, stack: contextlib.ExitStack) -> None:
        self.stack = stack

    def setattr(self, target: Any, name: Any, value: Any = ..., raising: bool = True) -> None:
        if isinstance(target, str):
            target, name, value = *_resolve(target), name
        if raising and not hasattr(target, name):
            raise AttributeError(name)
        own = vars(target).get(name, ...) if isinstance(target, type) else getattr(target, name, ...)
        self.stack.callback(lambda: delattr(target, name) if own is ... else setattr(target, name, own))
        setattr(target, name, value)

    def delattr(self, target: Any, name: str = "", raising: bool = True) -> None:
        if isinstance(target, str):
            target, name = _resolve(target)
        if hasattr(target, name):
            self.stack.callback(setattr, target, name, getattr(target, name))
            delattr(target, name)
        elif raising:
            raise AttributeError(name)

    def setitem(self, mapping: Any, name: Any, value: Any) -> None:
        old = mapping.get(name, ...)
        self.stack.callback(lambda: mapping.pop(name, None) if old is ... else mapping.__setitem__(name, old))
        mapping[name] = value

    def delitem(self, mapping: Any, name: Any, raising: bool = True) -> None:
        if name in mapping:
            self.stack.callback(mapping.__setitem__, name, mapping.pop(name))
        elif raising:
            raise KeyError(name)

    def setenv(self, name: str, value: str, prepend: str | None = None) -> None:
        old = os.environ.get(name)
        self.setitem(os.environ, name, value if prepend is None or old is None else f"{value}{prepend}{old}")

    def delenv(self, name: str, raising: bool = True) -> None:
        self.delitem(os.environ, name, raising)

    def chdir(self, path: Any) -> None:
        self.stack.callback(os.chdir, Path.cwd())
        os.chdir(path)

    def __getattr__(self, name: str) -> Any:
        raise Unsupported(f"monkeypatch.{name}")

    def syspath_prepend(self, path: Any) -> None:
        self.stack.callback(sys.path.remove, str(path))
        sys.path.insert(0, str(path))


def _resolve(dotted: str) -> tuple[Any, str]:
    owner, _, name = dotted.rpartition(".")
    parts = owner.split(".")
    for length in range(len(parts), 0, -1):
        with contextlib.suppress(ImportError):
            found: Any = importlib.import_module(".".join(parts[:length]))
            for part in parts[length:]:
                found = getattr(found, part)
            return found, name
    raise AttributeError(dotted)


class _Printed(NamedTuple):
    out: str
    err: str


class _Capture:
    """`capsys`"""

    def __init__(self, stack: contextlib.ExitStack) -> None:
        self.out, self.err = io.StringIO(), io.StringIO()
        stack.enter_context(contextlib.redirect_stdout(self.out))
        stack.enter_context(contextlib.redirect_stderr(self.err))

    def readouterr(self) -> _Printed:
        told = _Printed(self.out.getvalue(), self.err.getvalue())
        for stream in (self.out, self.err):
            stream.seek(0)
            stream.truncate()
        return told

    def __getattr__(self, name: str) -> Any:
        raise Unsupported(f"capsys.{name}")


_OURS = ("tmp_path", "monkeypatch", "capsys")
# Of plugins that run coroutines, and of pytest itself: nothing that a plain call needs.
_NEEDLESS = ("request", "event_loop", "event_loop_policy", "anyio_backend")


def is_foreign(name: str) -> bool:
    """Whether a fixture that nobody here knows may change what the test does."""
    return not (name.startswith("_") or name in _OURS or name in _NEEDLESS)


class _Request:
    """`request` of a parametrised fixture."""

    def __init__(self, fixtures: Fixtures, param: Any) -> None:
        self._fixtures = fixtures
        if param is not ...:
            self.param = param

    def getfixturevalue(self, name: str) -> Any:
        return self._fixtures.value(name)

    def addfinalizer(self, function: Any) -> None:
        self._fixtures.stack.callback(function)

    def __getattr__(self, name: str) -> Any:
        raise Unsupported(f"request.{name}")


class Fixtures:
    """Simple fixtures of the module, its class and the conftests above; the rest is not supported."""

    def __init__(self, spaces: list[Any], instance: Any, values: dict[str, Any], indices: dict[str, int],
                 stack: contextlib.ExitStack) -> None:  # fmt: skip
        self.known: dict[str, Any] = {}
        self.values, self.indices, self.stack = dict(values), indices, stack
        for space in spaces:
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
        if name not in self.values:
            self.values[name] = self._make(name)
        return self.values[name]

    def _make(self, name: str) -> Any:
        if name in self.known:
            return self._call(name, self.known[name])
        if name == "tmp_path":
            return Path(self.stack.enter_context(tempfile.TemporaryDirectory()))
        if name == "monkeypatch":
            return _Patch(self.stack)
        if name == "capsys":
            return _Capture(self.stack)
        raise Unsupported(f"the fixture {name}")

    def _call(self, name: str, function: Any) -> Any:
        rows = function.is_fixture.get("params")
        row = list(rows)[self.indices[name]] if rows else ...
        request = _Request(self, row[0] if isinstance(row, Row) else row)
        wanted = inspect.signature(function).parameters
        made = function(**{n: request if n == "request" else self.value(n) for n in wanted})
        if inspect.iscoroutine(made) or inspect.isasyncgen(made):
            raise Unsupported("an async fixture")
        if inspect.isgenerator(made):
            generator: Iterator[Any] = made
            value = next(generator)
            self.stack.callback(lambda: next(generator, None))
            return value
        return made
