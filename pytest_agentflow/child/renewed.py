"""Parameters that work once only, made anew before each run of the same test in one process.

A context manager made by `@contextmanager` cannot be entered twice, and an iterator does not start again: a test that has one as a
parameter fails when it runs a second time, whatever the code under test does.
"""

from __future__ import annotations

import contextlib
import copy
from collections.abc import Iterable
from typing import Any

import pytest

# What `iter()` gives for a container: a copy of it goes on by itself. Generators, `zip` and `map` cannot be copied so.
_CONTAINERS: tuple[Iterable[Any], ...] = ([], (), "", b"", {}, set(), range(0))
_ITERATORS = tuple(type(iter(empty)) for empty in _CONTAINERS)


class Renewed:
    """The one-shot parameters of an item that has not run yet. `renew` gives it copies that nobody has used."""

    def __init__(self, item: pytest.Item) -> None:
        callspec = getattr(item, "callspec", None)
        self._params: dict[str, Any] = callspec.params if callspec is not None else {}
        self._unused = {name: value for name, value in self._params.items() if _one_shot(value)}

    def renew(self) -> None:
        """Put an unused copy in the place of each; what was collected is never handed out, so it stays unused."""
        for name, value in self._unused.items():
            self._params[name] = _again(value)


def _one_shot(value: Any) -> bool:
    return isinstance(value, (contextlib._GeneratorContextManager, *_ITERATORS))


def _again(value: Any) -> Any:
    if isinstance(value, contextlib._GeneratorContextManager):
        return value._recreate_cm() if hasattr(value, "args") else value
    return copy.copy(value)
