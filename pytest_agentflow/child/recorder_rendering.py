"""Which lines run only because a failure is put into words?

A failed assertion renders its operands: every `__repr__`, `__eq__` or `__iter__` on that way would be run by failing tests
alone and look guilty. The functions that render are therefore wrapped, and what runs inside them belongs to no test.
"""

from __future__ import annotations

import functools
import unittest.case
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

from _pytest.assertion import rewrite

# Rewritten assertions look these up by name each time; unittest's are globals of its module or methods.
_RENDERERS: tuple[tuple[Any, str], ...] = (
    (rewrite, "_saferepr"),
    (rewrite, "_format_assertmsg"),
    (rewrite, "_should_repr_global_name"),
    (rewrite, "_call_reprcompare"),
    (unittest.case, "safe_repr"),
    (unittest.case, "_common_shorten_repr"),
    (unittest.case.TestCase, "_formatMessage"),
)


class Rendering:
    """Wraps the renderers; `leave` and `back` say whose lines run: back(leave()) restores the owner."""

    def __init__(self, leave: Callable[[], Any], back: Callable[[Any], object]) -> None:
        self._leave, self._back = leave, back
        self._replaced: list[tuple[Any, str, Any]] = []

    def start(self) -> None:
        for place, name in _RENDERERS:
            original = getattr(place, name, None)  # a private name of another version may be gone
            if original is not None:
                self._replace(place, name, self.apart(original))
        pprint: Any = unittest.case.pprint  # type: ignore[attr-defined]
        shown = SimpleNamespace(**{**vars(pprint), "pformat": self.apart(pprint.pformat)})
        self._replace(unittest.case, "pprint", shown)

    def stop(self) -> None:
        while self._replaced:
            place, name, original = self._replaced.pop()
            setattr(place, name, original)

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
