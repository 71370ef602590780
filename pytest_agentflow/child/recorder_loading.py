"""Where does a module's code pass between being loaded and being run, so that other code can run in its place?

Importlib's loader of source files and pytest's rewriting of assertions hand over a code object; both write their caches before
or apart from that. Code that comes another way is not met here: whoever asks must notice it.
"""

from __future__ import annotations

import importlib.machinery
from collections.abc import Callable
from types import CodeType
from typing import Any

from _pytest.assertion import rewrite

_Change = Callable[[CodeType], CodeType]


class Loading:
    """While it is started, `change` says which code runs."""

    def __init__(self, change: _Change) -> None:
        self._change = change
        self._replaced: list[tuple[Any, str, Any]] = []
        self._written: tuple[CodeType, CodeType] | None = None

    def start(self) -> None:
        # The class that defines it is private to importlib: `SourceFileLoader` inherits from it.
        loader = next(c for c in importlib.machinery.SourceFileLoader.__mro__ if "get_code" in vars(c))
        self._replace(loader, "get_code", self._get_code)
        # Private names: in a version of pytest without one of them the code goes unchanged.
        if all(hasattr(rewrite, name) for name in ("_read_pyc", "_rewrite_test", "_write_pyc")):
            self._replace(rewrite, "_read_pyc", self._read_pyc)
            self._replace(rewrite, "_rewrite_test", self._rewrite_test)
            self._replace(rewrite, "_write_pyc", self._write_pyc)

    def stop(self) -> None:
        while self._replaced:
            place, name, original = self._replaced.pop()
            setattr(place, name, original)

    def _replace(self, place: Any, name: str, around: Callable[[Any], Any]) -> None:
        original = getattr(place, name)
        self._replaced.append((place, name, original))
        setattr(place, name, around(original))

    def _get_code(self, original: Any) -> Any:
        def get_code(loader: Any, name: str) -> Any:
            code = original(loader, name)
            return code if code is None else self._change(code)

        # Tracebacks leave out the frames of importlib by their file; this one stands among them.
        get_code.__code__ = get_code.__code__.replace(co_filename=original.__code__.co_filename)
        return get_code

    def _read_pyc(self, original: Any) -> Any:
        def read(*args: Any, **more: Any) -> Any:
            code = original(*args, **more)
            return code if code is None else self._change(code)

        return read

    def _rewrite_test(self, original: Any) -> Any:
        def rewrite_test(*args: Any, **more: Any) -> Any:
            __tracebackhide__ = True  # of a file that does not parse
            source, code = original(*args, **more)
            changed = self._change(code)
            self._written = (changed, code)
            return source, changed

        return rewrite_test

    def _write_pyc(self, original: Any) -> Any:
        def write(state: Any, code: CodeType, *args: Any, **more: Any) -> Any:
            """What is kept is the code as it was."""
            changed, unchanged = self._written or (code, code)
            self._written = None
            return original(state, unchanged if code is changed else code, *args, **more)

        return write
