"""How does a forked child import a candidate's source without anyone writing it to the tree, and prove that it ran?

A candidate is a whole new text per path. The import system is told to compile that text whenever it would load the
file, and every changed function (or the module itself) first rings a bell, so that "passed" can be told apart from
"passed without ever running the patch".
"""

from __future__ import annotations

import ast
import builtins
import io
import linecache
import os
from collections.abc import Iterable, Mapping, Sequence
from difflib import SequenceMatcher
from functools import cached_property
from importlib.machinery import ModuleSpec, SourceFileLoader
from types import CodeType
from typing import Any

from _pytest.assertion.rewrite import AssertionRewritingHook

BELL = "__agentflow_ran__"
FAR = 2_000  # lines between the first and the last edit of a file; beyond that they count as one

Scope = ast.FunctionDef | ast.AsyncFunctionDef | ast.Module


class Bell:
    """Which of the patched places were entered in this process."""

    def __init__(self) -> None:
        self.heard: set[int] = set()
        self.hung = 0  # how many places have a bell, numbered from 0

    @property
    def rung(self) -> bool:
        return self.hung > 0 and self.heard.issuperset(range(self.hung))

    def hang(self, places: int) -> None:
        """A method of a builtin type: it adds no frame to the stack of the code that rings."""
        self.hung = places
        setattr(builtins, BELL, self.heard.add)


def split_lines(text: str) -> list[str]:
    """Lines as Python's tokenizer counts them: a form feed or a Unicode separator ends none."""
    return io.StringIO(text, newline="").readlines()


def changed_ranges(base: str, new: str) -> list[tuple[int, int]]:
    """First and last lines of `new` (1-based) that differ from `base`; a mere deletion names the line after it."""
    old, fresh = split_lines(base), split_lines(new)
    first = 0
    while first < min(len(old), len(fresh)) and old[first] == fresh[first]:
        first += 1
    last_old, last_new = len(old), len(fresh)
    while min(last_old, last_new) > first and old[last_old - 1] == fresh[last_new - 1]:
        last_old, last_new = last_old - 1, last_new - 1
    if max(last_old, last_new) - first > FAR:
        return [(first + 1, max(last_new, first + 1))]
    found = SequenceMatcher(None, old[first:last_old], fresh[first:last_new], autojunk=False).get_opcodes()
    return [(first + c + 1, max(first + d, first + c + 1)) for tag, _, _, c, d in found if tag != "equal"]


def _innermost(scope: Scope, first: int, last: int) -> Scope:
    """The innermost function inside `scope` whose body holds the changed lines; `scope` itself when there is none."""
    found = scope
    for node in ast.walk(scope):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            inside = node.body[0].lineno <= first and last <= (node.end_lineno or 0)
            if inside and (isinstance(found, ast.Module) or node.lineno >= found.lineno):
                found = node
    return found


def add_bell(tree: Scope, first: int, last: int, number: int) -> None:
    """Let the scope that holds the changed lines ring first, without moving any line."""
    scope = _innermost(tree, first, last)
    at = 0
    if scope.body and isinstance(scope.body[0], ast.Expr) and isinstance(scope.body[0].value, ast.Constant):
        at = 1
    while (
        at < len(scope.body)
        and isinstance(stmt := scope.body[at], ast.ImportFrom)
        and stmt.module == "__future__"
    ):
        at += 1
    anchor = scope.body[min(at, len(scope.body) - 1)] if scope.body else None
    call = ast.Expr(ast.Call(ast.Name(BELL, ast.Load()), [ast.Constant(number)], []))
    ast.fix_missing_locations(call)
    for part in ast.walk(call):
        if anchor is not None and hasattr(part, "lineno"):
            ast.copy_location(part, anchor)
    scope.body.insert(at, call)


def compile_with_bells(ranges: Sequence[tuple[int, int]], new: bytes, path: str, start: int) -> CodeType:
    """Compile a candidate file as the import system would, with its bells, numbered from `start`."""
    tree = ast.parse(new, path)
    for number, (first, last) in enumerate(ranges, start):
        add_bell(tree, first, last, number)
    return compile(tree, path, "exec", dont_inherit=True)


class Overlay:
    """The candidate's files, served to the import system in place of what is on disk."""

    def __init__(self, files: Mapping[str, tuple[bytes, bytes]], start: int = 0) -> None:
        self._files = files  # real path -> (base, new)
        self._start = start  # number of the first bell

    @cached_property
    def _ranges(self) -> dict[str, list[tuple[int, int]]]:
        return {
            path: changed_ranges(*(data.decode("utf-8", "surrogateescape") for data in pair))
            for path, pair in self._files.items()
        }

    def bells(self, paths: Iterable[str]) -> int:
        """How many places of these files change."""
        return sum(len(self._ranges[path]) for path in paths)

    def _compiled(self, path: str, real: str) -> CodeType:
        places = list(self._ranges.values())
        before = sum(map(len, places[: list(self._files).index(real)]))
        return compile_with_bells(self._ranges[real], self._files[real][1], path, self._start + before)

    def install(self) -> None:
        """For this process only; it is a fork that ends after its tests."""
        loader: Any = SourceFileLoader
        real_code, real_data = loader.get_code, loader.get_data

        def get_code(this: Any, fullname: str) -> CodeType | None:
            path = this.get_filename(fullname)
            real = os.path.realpath(path)
            if real not in self._files:
                code: CodeType | None = real_code(this, fullname)
                return code
            if type(this).source_to_code is not SourceFileLoader.source_to_code:
                # An import hook that transforms the source: its transformation counts, and no bell will ring.
                transformed: CodeType = this.source_to_code(self._files[real][1], path)
                return transformed
            return self._compiled(path, real)

        def get_data(this: Any, path: str) -> bytes:
            pair = self._files.get(os.path.realpath(path))
            data: bytes = real_data(this, path) if pair is None else pair[1]
            return data

        loader.get_code, loader.get_data = get_code, get_data
        self._keep_pytest_off()
        for path, (_, new) in self._files.items():  # tracebacks and `inspect.getsource` show the candidate
            lines = split_lines(new.decode("utf-8", "replace"))
            linecache.cache[path] = (len(new), None, lines, path)

    def _keep_pytest_off(self) -> None:
        """Modules whose asserts pytest rewrites are read by pytest itself: a candidate's file is not."""
        real, files = AssertionRewritingHook.find_spec, self._files

        def find_spec(this: Any, name: str, path: Any = None, target: Any = None) -> ModuleSpec | None:
            spec = real(this, name, path, target)
            return None if spec is not None and os.path.realpath(spec.origin or "") in files else spec

        AssertionRewritingHook.find_spec = find_spec  # type: ignore[method-assign, assignment]
