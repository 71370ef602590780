"""How does a forked child import a candidate's source without anyone writing it to the tree, and prove that it ran?

A candidate is a whole new text per path. The import system is told to compile that text whenever it would load the
file, and every changed function (or the module itself) first rings a bell, so that "passed" can be told apart from
"passed without ever running the patch".
"""

from __future__ import annotations

import ast
import builtins
import importlib.machinery
import io
import os
from types import CodeType
from typing import Any

BELL = "__agentflow_ran__"

Scope = ast.FunctionDef | ast.AsyncFunctionDef | ast.Module


class Bell:
    """Counts how often patched code was entered in this process."""

    def __init__(self) -> None:
        self.rung = False

    def ring(self) -> None:
        self.rung = True

    def hang(self) -> None:
        setattr(builtins, BELL, self.ring)


def split_lines(text: str) -> list[str]:
    """Lines as Python's tokenizer counts them: a form feed or a Unicode separator ends none."""
    return io.StringIO(text, newline="").readlines()


def changed_lines(base: str, new: str) -> tuple[int, int]:
    """First and last line of `new` (1-based) that differ from `base`; an empty deletion names the line after it."""
    old, fresh = split_lines(base), split_lines(new)
    first = 0
    while first < min(len(old), len(fresh)) and old[first] == fresh[first]:
        first += 1
    last_old, last_new = len(old), len(fresh)
    while min(last_old, last_new) > first and old[last_old - 1] == fresh[last_new - 1]:
        last_old, last_new = last_old - 1, last_new - 1
    return first + 1, max(last_new, first + 1)


def _innermost(tree: ast.Module, first: int, last: int) -> Scope:
    """The innermost function whose body holds the changed lines; the module when there is none."""
    found: Scope = tree
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            inside = node.body[0].lineno <= first and last <= (node.end_lineno or 0)
            if inside and (isinstance(found, ast.Module) or node.lineno >= found.lineno):
                found = node
    return found


def add_bell(tree: ast.Module, first: int, last: int) -> None:
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
    call = ast.Expr(ast.Call(ast.Name(BELL, ast.Load()), [], []))
    if anchor is not None:
        ast.copy_location(call, anchor)
    ast.fix_missing_locations(call)
    for part in ast.walk(call):
        if anchor is not None and hasattr(part, "lineno"):
            ast.copy_location(part, anchor)
    scope.body.insert(at, call)


def compile_with_bell(base: bytes, new: bytes, path: str) -> CodeType:
    """Compile a candidate file as the import system would, with its bell."""
    tree = ast.parse(new, path)
    first, last = changed_lines(
        base.decode("utf-8", "surrogateescape"), new.decode("utf-8", "surrogateescape")
    )
    add_bell(tree, first, last)
    return compile(tree, path, "exec", dont_inherit=True)


class Overlay:
    """The candidate's files, served to the import system in place of what is on disk."""

    def __init__(self, files: dict[str, tuple[bytes, bytes]]) -> None:
        self._files = files  # real path -> (base, new)

    def install(self) -> None:
        """For this process only; it is a fork that ends after its tests."""
        loader: Any = importlib.machinery.SourceFileLoader
        real_code, real_data, files = loader.get_code, loader.get_data, self._files

        def get_code(self: Any, fullname: str) -> CodeType | None:
            path = self.get_filename(fullname)
            pair = files.get(os.path.realpath(path))
            if pair is None:
                code: CodeType | None = real_code(self, fullname)
                return code
            return compile_with_bell(*pair, path)

        def get_data(self: Any, path: str) -> bytes:
            pair = files.get(os.path.realpath(path))
            data: bytes = real_data(self, path) if pair is None else pair[1]
            return data

        loader.get_code, loader.get_data = get_code, get_data
