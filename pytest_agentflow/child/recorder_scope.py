"""Is this source file one whose lines are recorded, and what is it called relative to the top level?"""

from __future__ import annotations

import fnmatch
import os
from collections.abc import Mapping, Sequence
from typing import TypeVar

# Code that is never the project's own, wherever it lies under the roots.
FOREIGN_PARTS = frozenset(
    {"site-packages", "dist-packages", "node_modules", ".tox", ".nox", ".venv", "venv", ".agentflow", ".eggs"}
)

Found = TypeVar("Found", int, set[int])  # bitmaps of lines, or packed edges


class Scope:
    """Decides by path alone, once per file name."""

    def __init__(self, top: str, roots: Sequence[str], omit: Sequence[str] = ()) -> None:
        self.top = os.path.realpath(top)
        self._roots = tuple(self._root(root) for root in roots) or (self.top,)
        self._omit = tuple(omit)
        self._known: dict[str, str | None] = {}
        self._real: dict[str, str] = {}  # of directories: thousands of files lie in few of them

    def _root(self, root: str) -> str:
        return os.path.realpath(os.path.join(self.top, root))  # noqa: PTH118 - no pathlib in a traced process

    def path(self, filename: str) -> str | None:
        """The path relative to the top level, or None for a file out of scope."""
        try:
            return self._known[filename]
        except KeyError:
            found = self._known[filename] = self._decide(filename)
            return found

    def by_path(self, reached: Mapping[str, Found]) -> dict[str, Found]:
        """What was found by path; one file may run under several names."""
        paths: dict[str, Found] = {}
        for name, found in reached.items():
            path = self.path(name)
            if path:
                paths[path] = paths[path] | found if path in paths else found
        return paths

    def _decide(self, filename: str) -> str | None:
        if filename.startswith("<") or not filename.endswith((".py", ".pyw")):
            return None
        real = self._realpath(filename)
        if not any(real.startswith(root + os.sep) or real == root for root in self._roots):
            return None
        relative = os.path.relpath(real, self.top).replace(os.sep, "/")
        if FOREIGN_PARTS & set(relative.split("/")):
            return None
        if any(fnmatch.fnmatch(relative, p) or fnmatch.fnmatch(real, p) for p in self._omit):
            return None
        return relative

    def _realpath(self, filename: str) -> str:
        if os.path.islink(filename):  # noqa: PTH114
            return os.path.realpath(filename)
        directory, name = os.path.split(filename)
        if directory not in self._real:
            self._real[directory] = os.path.realpath(directory)
        return os.path.join(self._real[directory], name)  # noqa: PTH118
