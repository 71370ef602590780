"""Which lines run only because a failure is put into words?

A failed assertion renders its operands: every `__repr__`, `__eq__` or `__iter__` on that way would be run by failing tests
alone and look guilty. The functions that render are therefore wrapped, and what runs inside them belongs to no test.
"""

from __future__ import annotations

import functools
import sys
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

from _pytest.assertion import rewrite

# Rewritten assertions look these up by name each time; unittest's are globals of its module.
_PYTESTS = ("_saferepr", "_format_assertmsg", "_should_repr_global_name", "_call_reprcompare")
_UNITTESTS = ("safe_repr", "_common_shorten_repr")


class Rendering:
    """Wraps the renderers; `leave` and `back` say whose lines run: back(leave()) restores the owner."""

    def __init__(self, leave: Callable[[], Any], back: Callable[[Any], object]) -> None:
        self._leave, self._back = leave, back
        self._replaced: list[tuple[Any, str, Any]] = []
        self._met: set[str] = set()

    def start(self) -> None:
        """Wrap what is loaded by now and was not yet: unittest is not loaded for us alone."""
        if "pytest" not in self._met:
            self._met.add("pytest")
            self._wrap(rewrite, _PYTESTS)
        case: Any = sys.modules.get("unittest.case")
        if case is not None and "unittest" not in self._met:
            self._met.add("unittest")
            self._wrap(case, _UNITTESTS)
            self._wrap(case.TestCase, ("_formatMessage",))
            shown = {**vars(case.pprint), "pformat": self.apart(case.pprint.pformat)}
            self._replace(case, "pprint", SimpleNamespace(**shown))

    def _wrap(self, place: Any, names: tuple[str, ...]) -> None:
        for name in names:
            original = getattr(place, name, None)  # a private name of another version may be gone
            if original is not None:
                self._replace(place, name, self.apart(original))

    def stop(self) -> None:
        while self._replaced:
            place, name, original = self._replaced.pop()
            setattr(place, name, original)
        self._met.clear()

    def apart(self, function: Callable[..., Any]) -> Callable[..., Any]:
        """The same function, run as nobody's."""

        @functools.wraps(function)
        def rendered(*args: Any, **more: Any) -> Any:
            before = self._leave()
            try:
                return function(*args, **more)
            finally:
                self._back(before)

        return rendered

    def _replace(self, place: Any, name: str, new: Any) -> None:
        self._replaced.append((place, name, getattr(place, name)))
        setattr(place, name, new)
