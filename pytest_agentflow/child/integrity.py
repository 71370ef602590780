"""Is the machinery that judges still what it was before any project code was imported, and whose functions do the tests call?

Told after every test: code that puts things back at the end is seen before it does.
"""

from __future__ import annotations

import importlib
import os
import sys
import unittest  # noqa: F401 - looked at even where nobody has imported it yet
import zlib
from collections.abc import Callable, Generator, Iterator, Mapping
from types import BuiltinFunctionType, FunctionType, ModuleType
from typing import Any

import pytest
from _pytest.config import default_plugins

_MACHINERY = ("_pytest", "pluggy", "unittest", "builtins", "pytest_agentflow")
_MOST_LOOKS = 50


def _modules() -> dict[str, ModuleType]:
    return {
        name: module
        for name, module in list(sys.modules.items())
        if name.partition(".")[0] in _MACHINERY and isinstance(module, ModuleType)
    }


def _described(value: object) -> str:
    """Says which code this is; empty for what holds none."""
    value = getattr(value, "__func__", value) if isinstance(value, classmethod | staticmethod) else value
    if isinstance(value, FunctionType):
        code = value.__code__
        return f"{code.co_filename}:{code.co_firstlineno}:{zlib.crc32(code.co_code)}"
    if isinstance(value, type | BuiltinFunctionType):
        return f"{value.__module__}.{value.__qualname__}"
    return ""


def _contents(module: ModuleType) -> Iterator[tuple[str, str]]:
    for name, value in list(vars(module).items()):
        yield name, _described(value)
        if isinstance(value, type) and value.__module__ == module.__name__:
            yield from ((f"{name}.{inner}", _described(held)) for inner, held in list(vars(value).items()))


def _digest(module: ModuleType) -> dict[str, str]:
    return {name: told for name, told in _contents(module) if told}


class Integrity:
    """Compares with the start; functions that replaced others are told once, by name."""

    def __init__(self, options: dict[str, Any], emit: Callable[[str, object], None]) -> None:
        self.top = os.path.realpath(options["top"]) + os.sep
        self.tests = frozenset(self.top + path for path in options["tests"])
        self.emit = emit
        self.start: Mapping[str, Mapping[str, str]] = {n: _digest(m) for n, m in _modules().items()}
        self.said: set[str] = set()
        self.looks = 0

    @pytest.hookimpl(wrapper=True, trylast=True)
    def pytest_runtest_teardown(self) -> Generator[None, object, object]:
        result = yield
        self.looks += 1
        if self.looks <= _MOST_LOOKS:
            self._look()
        return result

    @pytest.hookimpl(tryfirst=True)
    def pytest_sessionfinish(self) -> None:
        self._look()
        for module in list(sys.modules.values()):
            file = getattr(module, "__file__", None)
            if isinstance(file, str) and os.path.realpath(file) in self.tests:
                self.emit("names", {"file": self._short(file), "names": dict(self._callables(module))})

    def _look(self) -> None:
        current = _modules()
        for module, names in self.start.items():
            now = _digest(current[module]) if module in current else {}
            for name, told in names.items():
                key = f"{module}.{name}"
                if now.get(name) != told and key not in self.said and len(self.said) < 50:
                    self.said.add(key)
                    self.emit("changed", key)

    def _callables(self, module: ModuleType) -> Iterator[tuple[str, str]]:
        """Name -> file of its code, relative inside the workspace; also of what modules and classes hold that the tests name."""
        for name, value in list(vars(module).items()):
            held = (
                {f"{name}.{n}": v for n, v in vars(value).items()}
                if isinstance(value, type | ModuleType)
                else {name: value}
            )
            own = not isinstance(value, ModuleType) or str(getattr(value, "__file__", "")).startswith(
                self.top
            )
            for inner, found in held.items() if own else ():
                if isinstance(found, FunctionType):
                    yield inner, self._short(found.__code__.co_filename)

    def _short(self, file: str) -> str:
        real = os.path.realpath(file)
        return real[len(self.top) :].replace(os.sep, "/") if real.startswith(self.top) else file


def before_pytest(options: dict[str, Any], emit: Callable[[str, object], None]) -> Integrity:
    """Look at everything before a conftest or a plugin can import the code under test."""
    for name in default_plugins:
        importlib.import_module(f"_pytest.{name}")
    return Integrity(options, emit)
