"""Where can one small, realistic bug be put into a Python file, and what does the file look like with it?

Independent of the product's own repair templates: it works on bytes and the syntax tree, and knows nothing about repair.
"""

from __future__ import annotations

import ast
import random
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

FLIPS = {
    "comparison boundary": {
        ast.Lt: ("<", "<="),
        ast.LtE: ("<=", "<"),
        ast.Gt: (">", ">="),
        ast.GtE: (">=", ">"),
    },
    "comparison inverted": {
        ast.Eq: ("==", "!="),
        ast.NotEq: ("!=", "=="),
        ast.In: ("in", "not in"),
        ast.NotIn: ("not in", "in"),
        ast.Is: ("is", "is not"),
        ast.IsNot: ("is not", "is"),
    },
    "arithmetic operator": {
        ast.Add: ("+", "-"),
        ast.Sub: ("-", "+"),
        ast.Mult: ("*", "+"),
        ast.FloorDiv: ("//", "*"),
        ast.Mod: ("%", "//"),
    },
}


@dataclass(frozen=True)
class Bug:
    """One edit of one file: bytes [start, end) become `after`."""

    kind: str
    path: str
    line: int
    start: int
    end: int
    before: str
    after: str

    def apply(self, source: bytes) -> bytes:
        return source[: self.start] + self.after.encode() + source[self.end :]


class File:
    """A parsed file with byte offsets of its nodes."""

    def __init__(self, path: str, source: bytes) -> None:
        self.path, self.source = path, source
        self.tree = ast.parse(source)
        self._starts = [0]
        for line in source.splitlines(keepends=True):
            self._starts.append(self._starts[-1] + len(line))

    def span(self, node: ast.AST) -> tuple[int, int]:
        start = self._starts[node.lineno - 1] + node.col_offset  # type: ignore[attr-defined]
        end = self._starts[node.end_lineno - 1] + node.end_col_offset  # type: ignore[attr-defined]
        return start, end

    def text(self, node: ast.AST) -> str:
        start, end = self.span(node)
        return self.source[start:end].decode()

    def bug(self, kind: str, node: ast.AST, start: int, end: int, after: str) -> Bug:
        line = node.lineno  # type: ignore[attr-defined]
        return Bug(kind, self.path, line, start, end, self.source[start:end].decode(), after)

    def between(self, kind: str, left: ast.AST, right: ast.AST, before: str, after: str) -> Iterator[Bug]:
        """Replace an operator, which has no place of its own in the tree."""
        low, high = self.span(left)[1], self.span(right)[0]
        pattern = rb"(?<![\w<>=!*/])" + re.escape(before).replace(r"\ ", r"\s+").encode() + rb"(?![\w<>=*/])"
        found = list(re.finditer(pattern, self.source[low:high]))
        if len(found) == 1:
            yield self.bug(kind, left, low + found[0].start(), low + found[0].end(), after)


def sites(path: str, source: bytes) -> list[Bug]:
    """Every bug that could be put into this file, inside functions only."""
    file = File(path, source)
    bugs = []
    for function in ast.walk(file.tree):
        if isinstance(function, ast.FunctionDef | ast.AsyncFunctionDef):
            names = _locals(function)
            for statement in function.body:
                for node in ast.walk(statement):
                    bugs += list(_at(file, node, names))
    return [bug for bug in dict.fromkeys(bugs) if _still_parses(bug, source)]


def _locals(function: ast.FunctionDef | ast.AsyncFunctionDef) -> list[str]:
    arguments = function.args.posonlyargs + function.args.args + function.args.kwonlyargs
    names = {a.arg for a in arguments} - {"self", "cls"}
    names |= {n.id for n in ast.walk(function) if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Store)}
    return sorted(names)


def _at(file: File, node: ast.AST, names: list[str]) -> Iterator[Bug]:
    if isinstance(node, ast.Compare) and len(node.ops) == 1:
        for kind in ("comparison boundary", "comparison inverted"):
            if type(node.ops[0]) in FLIPS[kind]:
                yield from file.between(kind, node.left, node.comparators[0], *FLIPS[kind][type(node.ops[0])])
    elif isinstance(node, ast.BinOp) and type(node.op) in FLIPS["arithmetic operator"]:
        if not isinstance(node.left, ast.Constant) or not isinstance(node.left.value, str | bytes):
            pair = FLIPS["arithmetic operator"][type(node.op)]
            yield from file.between("arithmetic operator", node.left, node.right, *pair)
    elif isinstance(node, ast.BoolOp) and len(node.values) == 2:
        pair = ("and", "or") if isinstance(node.op, ast.And) else ("or", "and")
        yield from file.between("boolean operator", node.values[0], node.values[1], *pair)
    elif isinstance(node, ast.Constant):
        yield from _constant(file, node)
    elif isinstance(node, ast.Call) and len(node.args) >= 2:
        yield from _swapped(file, node)
    elif isinstance(node, ast.If | ast.While | ast.IfExp):
        yield from _condition(file, node)
    elif isinstance(node, ast.Subscript) and isinstance(node.slice, ast.Slice):
        yield from _slice(file, node.slice)
    elif isinstance(node, ast.Return) and node.value is not None:
        yield from _returned(file, node, names)
    elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load) and node.id in names:
        for other in names:
            if other != node.id:
                yield file.bug("wrong variable", node, *file.span(node), other)


def _constant(file: File, node: ast.Constant) -> Iterator[Bug]:
    if isinstance(node.value, bool):
        yield file.bug("flag flipped", node, *file.span(node), str(not node.value))
    elif isinstance(node.value, int) and file.text(node) == str(node.value):
        yield file.bug("constant off by one", node, *file.span(node), str(node.value + 1))


def _swapped(file: File, node: ast.Call) -> Iterator[Bug]:
    first, second = node.args[:2]
    if any(isinstance(a, ast.Starred) for a in (first, second)) or file.text(first) == file.text(second):
        return
    start, end = file.span(first)[0], file.span(second)[1]
    glue = file.source[file.span(first)[1] : file.span(second)[0]].decode()
    yield file.bug("arguments swapped", node, start, end, file.text(second) + glue + file.text(first))


def _condition(file: File, node: ast.If | ast.While | ast.IfExp) -> Iterator[Bug]:
    test = node.test
    if isinstance(test, ast.UnaryOp) and isinstance(test.op, ast.Not):
        yield file.bug("negation dropped", node, *file.span(test), file.text(test.operand))
    elif isinstance(test, ast.Name | ast.Attribute | ast.Call):
        yield file.bug("condition negated", node, *file.span(test), f"not {file.text(test)}")
    leaves = ast.Return | ast.Raise | ast.Continue | ast.Break
    if (
        isinstance(node, ast.If)
        and not node.orelse
        and len(node.body) == 1
        and isinstance(node.body[0], leaves)
    ):
        yield file.bug("guard missing", node, *file.span(node), "pass")


def _slice(file: File, node: ast.Slice) -> Iterator[Bug]:
    for bound in (node.lower, node.upper):
        if bound is not None:
            yield file.bug("slice bound", bound, *file.span(bound), f"{file.text(bound)} + 1")


def _returned(file: File, node: ast.Return, names: list[str]) -> Iterator[Bug]:
    assert node.value is not None
    if isinstance(node.value, ast.Name):
        for other in names:
            if other != node.value.id:
                yield file.bug("wrong return value", node, *file.span(node.value), other)


def _still_parses(bug: Bug, source: bytes) -> bool:
    try:
        return ast.dump(ast.parse(bug.apply(source))) != ast.dump(ast.parse(source))
    except SyntaxError:
        return False


def by_kind(top: Path, files: list[str], rng: random.Random) -> dict[str, list[Bug]]:
    """All possible bugs of these files, each kind in chance order."""
    found: dict[str, list[Bug]] = {}
    for path in sorted(files):
        for bug in sites(path, (top / path).read_bytes()):
            found.setdefault(bug.kind, []).append(bug)
    for bugs in found.values():
        rng.shuffle(bugs)
    return found
