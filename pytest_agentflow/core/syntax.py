"""Which statements and units does a source file have, and what is each statement made of?"""

from __future__ import annotations

import ast
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from pytest_agentflow.core.model import SourceUnit

MODULE = "<module>"
Function = ast.FunctionDef | ast.AsyncFunctionDef

# Values that say nothing about where they come from.
COMMONPLACE = frozenset({"0", "1", "2", "-1", "10", "100", "0.0", "1.0", ",", ".", " ", "utf-8", "ascii"})

# Nodes that a fault can sit in: each is a decision somebody wrote down.
_SITES = (
    ast.operator,
    ast.unaryop,
    ast.boolop,
    ast.cmpop,
    ast.Call,
    ast.Subscript,
    ast.Attribute,
    ast.Constant,
    ast.Name,
    ast.IfExp,
    ast.comprehension,
    ast.keyword,
    ast.Slice,
    ast.FormattedValue,
)


@dataclass(frozen=True, slots=True)
class Statement:
    """One statement; of a compound one only its header. `unit` is the index of its unit in the file's list."""

    first_line: int
    last_line: int
    unit: int
    kind: str  # "if", "return", "assign", …
    sites: int  # places in it where a fault can sit
    names: frozenset[str]  # names and attributes it mentions
    calls: frozenset[str]  # names of what it calls
    binds: frozenset[str]  # names it assigns or defines
    values: frozenset[str]  # its string and number constants as text, the commonplace ones left out
    depth: int  # nesting inside its unit
    branches: tuple[int, ...] = ()  # first lines of the blocks that a condition guards
    guards: tuple[int, int] = (0, 0)  # first and last line of everything inside a compound statement
    owner: int = -1  # for a class body or a `def` line: the first line of the definition


@dataclass(frozen=True, slots=True)
class Source:
    """A parsed file."""

    path: str
    units: tuple[SourceUnit, ...]  # `<module>` first
    statements: tuple[Statement, ...]  # by line

    def at(self, line: int) -> Statement | None:
        """The innermost statement whose header holds a line."""
        found = None
        for statement in self.statements:
            if statement.first_line <= line <= statement.last_line:
                found = statement
        return found


def parse(path: str, text: str | bytes) -> Source | None:
    """None for a file that does not parse."""
    try:
        tree = ast.parse(text)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return None
    lines = text.count(b"\n" if isinstance(text, bytes) else "\n") + 1  # type: ignore[arg-type]
    walker = _Walker(path, lines)
    walker.body(tree.body, "", 0, 0, -1)
    statements = sorted(walker.statements, key=lambda s: (s.first_line, s.last_line))
    return Source(path, tuple(walker.units), tuple(statements))


class _Walker:
    def __init__(self, path: str, lines: int) -> None:
        self.path = path
        self.units = [SourceUnit(path, MODULE, 1, max(lines, 1))]
        self.statements: list[Statement] = []

    def body(self, nodes: list[ast.stmt], prefix: str, unit: int, depth: int, owner: int) -> None:
        for node in nodes:
            self.statement(node, prefix, unit, depth, owner)

    def statement(self, node: ast.stmt, prefix: str, unit: int, depth: int, owner: int) -> None:
        if isinstance(node, Function):
            self.function(node, prefix)
        elif isinstance(node, ast.ClassDef):
            self.statements.append(self.header(node, unit, depth, node.lineno))
            self.body(node.body, f"{prefix}{node.name}.", unit, 0, node.lineno)
        elif not _is_docstring(node):
            self.statements.append(self.header(node, unit, depth, owner))
            for block in _blocks(node):
                self.body(block, prefix, unit, depth + 1, owner)

    def function(self, node: Function, prefix: str) -> None:
        first = min([node.lineno, *(d.lineno for d in node.decorator_list)])
        number = len(self.units)
        qualname = prefix + node.name
        self.units.append(SourceUnit(self.path, qualname, first, node.end_lineno or node.lineno))
        self.statements.append(self.header(node, number, 0, first))
        self.body(node.body, f"{qualname}.", number, 0, -1)

    def header(self, node: ast.stmt, unit: int, depth: int, owner: int) -> Statement:
        parts = list(_header_nodes(node))
        inside = [n for part in parts for n in ast.walk(part)]
        blocks = [block for block in _blocks(node) if block]
        first = min([node.lineno, *(n.lineno for n in inside if hasattr(n, "lineno"))])
        last = _last_line(node, parts, blocks)
        return Statement(
            first,
            last,
            unit,
            _kind(node),
            sum(isinstance(n, _SITES) for n in inside),
            frozenset(_names(inside)),
            frozenset(_calls(inside)),
            frozenset(_binds(node, inside)),
            frozenset(_values(inside)),
            depth,
            tuple(block[0].lineno for block in blocks),
            (last + 1, node.end_lineno or last) if blocks else (0, 0),
            owner,
        )


def _last_line(node: ast.stmt, parts: list[ast.AST], blocks: list[list[ast.stmt]]) -> int:
    if isinstance(node, Function | ast.ClassDef):
        before_body = max(node.lineno, node.body[0].lineno - 1)
        ends = [getattr(part, "end_lineno", None) or node.lineno for part in parts]
        return min(before_body, max([node.lineno, *ends]))
    if not blocks:
        return node.end_lineno or node.lineno
    return max([node.lineno, *((getattr(part, "end_lineno", None) or node.lineno) for part in parts)])


def _is_docstring(node: ast.stmt) -> bool:
    return (
        isinstance(node, ast.Expr)
        and isinstance(node.value, ast.Constant)
        and isinstance(node.value.value, str)
    )


def _blocks(node: ast.stmt) -> list[list[ast.stmt]]:
    """The statement lists that a compound statement holds."""
    found = [getattr(node, name, []) for name in ("body", "orelse", "finalbody")]
    found += [handler.body for handler in getattr(node, "handlers", [])]
    found += [case.body for case in getattr(node, "cases", [])]
    return [block for block in found if block]


def _header_nodes(node: ast.stmt) -> Iterator[ast.AST]:
    """The expressions of a statement without the statements inside it."""
    for name, value in ast.iter_fields(node):
        if name in ("body", "orelse", "finalbody"):
            continue
        for each in value if isinstance(value, list) else [value]:
            if isinstance(each, ast.ExceptHandler):
                if each.type is not None:
                    yield each.type
            elif isinstance(each, ast.match_case):
                yield each.pattern
                if each.guard is not None:
                    yield each.guard
            elif isinstance(each, ast.AST):
                yield each


def _names(nodes: list[ast.AST]) -> Iterator[str]:
    for node in nodes:
        if isinstance(node, ast.Name):
            yield node.id
        elif isinstance(node, ast.Attribute):
            yield node.attr


def _calls(nodes: list[ast.AST]) -> Iterator[str]:
    for node in nodes:
        if isinstance(node, ast.Call):
            target = node.func
            if isinstance(target, ast.Name):
                yield target.id
            elif isinstance(target, ast.Attribute):
                yield target.attr


def _binds(node: ast.stmt, inside: list[ast.AST]) -> Iterator[str]:
    if isinstance(node, Function | ast.ClassDef):
        yield node.name
    for each in inside:
        if isinstance(each, ast.Name) and isinstance(each.ctx, ast.Store):
            yield each.id
        elif isinstance(each, ast.alias):
            yield (each.asname or each.name).partition(".")[0]


def _values(nodes: list[ast.AST]) -> Iterator[str]:
    for node in nodes:
        if isinstance(node, ast.Constant) and type(node.value) in (str, int, float):
            told = str(node.value).strip()
            if told and told not in COMMONPLACE:
                yield told


_SPELT = {
    "annassign": "assign",
    "asyncfor": "for",
    "asyncwith": "with",
    "importfrom": "import",
    "classdef": "class",
    "trystar": "try",
}


def _kind(node: ast.stmt) -> str:
    name = type(node).__name__.lower()
    if isinstance(node, Function):
        return "def"
    if isinstance(node, ast.Expr):
        return "call" if isinstance(node.value, ast.Call) else "expr"
    return _SPELT.get(name, name)


def regroup(source: Source, units: Sequence[SourceUnit]) -> Source:
    """The file with source units that a plugin gave instead of its functions; `<module>` keeps what is in none of them."""
    every = (source.units[0], *units)

    def index(line: int) -> int:
        inside = [n for n, u in enumerate(every) if n and u.first_line <= line <= u.last_line]
        return min(inside, key=lambda n: every[n].last_line - every[n].first_line, default=0)

    return replace(
        source, units=every, statements=tuple(replace(s, unit=index(s.first_line)) for s in source.statements)
    )
