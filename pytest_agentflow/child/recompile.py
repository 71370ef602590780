"""Which code object would the import have made of one function, before and after an edit in its body?

The function is compiled alone, at its own lines and columns, inside classes of the right names: O(function), not O(file).
"""

from __future__ import annotations
import __future__

import ast
import sys
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from difflib import SequenceMatcher
from types import CellType, CodeType, FunctionType
from typing import Any

from pytest_agentflow.child.overlay import FAR, add_bell

Def = ast.FunctionDef | ast.AsyncFunctionDef
Delta = Sequence[Any]  # offset in the base, bytes dropped there, bytes put there as latin-1 text


class Refused(Exception):
    """Why a candidate cannot be hot-swapped; the message is for the record."""


def why_not(error: Exception) -> str:
    """Why there is no plan; what nobody foresaw costs one candidate its speed, and is told with its type."""
    return str(error) if isinstance(error, Refused) else f"{type(error).__name__}: {error}"


@dataclass(frozen=True)
class Hunk:
    """Lines `first` to `last` of the base (1-based, `last < first` for a mere insertion) become `lines`."""

    first: int
    last: int
    lines: tuple[str, ...]


@dataclass(frozen=True)
class Outermost:
    """A function that lies in no other one, with the names of the classes around it and its first line, decorators included."""

    node: Def
    classes: tuple[str, ...]
    top: int
    body: int  # the first line below the signature: comments above the first statement belong to the body
    end: int


@dataclass
class BaseFile:
    """One source file as collected: its text, its outermost functions, and the flags its code was compiled with."""

    path: str
    data: bytes
    lines: list[str]
    starts: list[int]  # byte offset of each line
    outermost: list[Outermost]
    flags: int
    imported: str  # `import a, b` for every name that the module's top level imports
    codes: dict[int, CodeType] = field(default_factory=dict)  # by first line of the function
    # By that, what module and classes do.
    around: dict[int, list[tuple[Any, ...]]] = field(default_factory=dict)

    @classmethod
    def read(cls, path: str) -> BaseFile:
        with open(path, "rb") as file:  # noqa: PTH123 - pathlib is not worth importing in a child
            data = file.read()
        if data.startswith(b"\xef\xbb\xbf") or data.count(b"\r") != data.count(b"\r\n"):
            raise Refused("the base has a byte order mark or lone carriage returns")
        try:
            text = data.decode("utf-8")  # any other encoding is refused: columns would differ
            tree = ast.parse(text, path)
        except (SyntaxError, ValueError) as error:
            raise Refused(f"the base cannot be read as UTF-8 source: {type(error).__name__}") from error
        lines = _split(text)
        starts = [0]
        for line in lines:
            starts.append(starts[-1] + len(line.encode()))
        found = [_measured(lines, *pair) for pair in _outermost(tree, ())]
        return cls(path, data, lines, starts, found, _flags(tree), _imports(tree))

    def hunks(self, delta: Delta) -> list[Hunk]:
        """The edit as changed lines; edits far apart in the file come as one delta and are told apart here."""
        at, drop, put = delta
        first = bisect_right(self.starts, at, hi=len(self.lines) or 1)
        last = max(first, bisect_right(self.starts, at + drop, hi=len(self.lines) or 1))
        if last - first > FAR:
            raise Refused("the edits are too far apart to be told from each other")
        start, end = self.starts[first - 1], self.starts[min(last, len(self.lines))]
        new = self.data[start:at] + put.encode("latin-1") + self.data[at + drop : end]
        if new.count(b"\r") != new.count(b"\r\n"):
            raise Refused("a lone carriage return")
        old, lines = self.lines[first - 1 : last], _split(new.decode("utf-8"))
        found = SequenceMatcher(None, old, lines, autojunk=False).get_opcodes()
        return [
            Hunk(first + a, first + b - 1, tuple(lines[c:d])) for tag, a, b, c, d in found if tag != "equal"
        ]

    def enclosing(self, hunk: Hunk) -> Outermost:
        """The outermost function whose body holds the whole edit; lines put behind its end belong to it when indented so."""
        for function in self.outermost:
            inside = function.body <= hunk.first <= function.end and hunk.last <= function.end
            if inside or (hunk.first == function.end + 1 > hunk.last and _belongs(function, hunk)):
                if function.node.body[0].lineno == function.node.lineno:
                    raise Refused("a function on one line")
                return function
        raise Refused("the edit is outside of a function body")

    def old_code(self, function: Outermost) -> CodeType:
        """What the import made of a function, as compiled here."""
        if function.top not in self.codes:
            lines = self.lines[function.top - 1 : function.end]
            self.codes[function.top], self.around[function.top] = self._singled_out(
                function, self._parsed(function, lines)
            )
        return self.codes[function.top]

    def new_lines(self, function: Outermost, hunks: Sequence[Hunk]) -> list[str]:
        """The function's lines after the edits, which are in ascending order."""
        lines = self.lines[function.top - 1 : function.end]
        for hunk in reversed(hunks):
            lines[hunk.first - function.top : hunk.last + 1 - function.top] = hunk.lines
        return lines

    def compile(self, function: Outermost, lines: Sequence[str], bells: Sequence[Bellrope] = ()) -> CodeType:
        """The code object of the function made of `lines`; SyntaxError when they are no Python.

        Without bells from the text alone, which takes half the time: what stands around the function must come out as it did.
        """
        self.old_code(function)
        whole = self._parsed(function, lines, bells) if bells else self._skeleton(function, lines)
        code, around = self._singled_out(function, whole)
        if around != self.around[function.top] or code.co_firstlineno != function.top:
            raise Refused("the edit leaves the function")
        return code

    def _parsed(
        self, function: Outermost, lines: Sequence[str], bells: Sequence[Bellrope] = ()
    ) -> ast.Module:
        """The skeleton with its bells, having looked that it holds the function and nothing else."""
        tree = ast.parse(self._skeleton(function, lines), self.path)
        node = _only(tree.body[1:] if self.imported else tree.body, function)
        for number, first, last in bells:
            add_bell(node, first, last, number)
        return tree

    def _singled_out(
        self, function: Outermost, whole: str | ast.Module
    ) -> tuple[CodeType, list[tuple[Any, ...]]]:
        """The function's code object, and what module and classes around it do."""
        code: CodeType = compile(whole, self.path, "exec", self.flags, dont_inherit=True)
        around = []
        for name in (*function.classes, function.node.name):
            around.append(own_part(code))
            inner = [c for c in code.co_consts if isinstance(c, CodeType) and c.co_name == name]
            if len(inner) != 1:
                raise Refused("the function could not be singled out")
            code = inner[0]
        return code, around

    def _skeleton(self, function: Outermost, lines: Sequence[str]) -> str:
        """The function alone, at its own lines and columns, inside classes of the right names (mangling, `__class__`)."""
        indent, depth = function.node.col_offset, len(function.classes)
        if depth > indent:
            raise Refused("no room to rebuild the enclosing classes")
        head = self.imported
        for level, name in enumerate(function.classes):
            head += " " * level + f"class {name}:\n"
        if indent and not function.classes:
            head += "if 1:\n"
        if head.count("\n") >= function.top:
            raise Refused("no room to rebuild what stands above the function")
        return "\n" * (function.top - 1 - head.count("\n")) + head + "".join(lines)


Bellrope = tuple[int, int, int]  # number of the bell, first and last changed line as they are after the edits


def ropes(function: Outermost, hunks: Sequence[Hunk], number: int) -> list[Bellrope]:
    """One bell per hunk, at the lines that it has after the edits, the function standing where it stood."""
    found, shift = [], 0
    for n, hunk in enumerate(hunks):
        first = min(hunk.first, function.end) + shift
        found.append((number + n, first, max(first, hunk.first + shift + len(hunk.lines) - 1)))
        shift += len(hunk.lines) - (hunk.last + 1 - hunk.first)
    return found


def _split(text: str) -> list[str]:
    lines = text.split("\n")
    return [line + "\n" for line in lines[:-1]] + ([lines[-1]] if lines[-1] else [])


def _belongs(function: Outermost, hunk: Hunk) -> bool:
    indent = function.node.col_offset
    return all(not line.strip() or not line[: indent + 1].strip(" \t") for line in hunk.lines)


def _only(body: list[ast.stmt], function: Outermost) -> Def:
    """The skeleton holds the function and nothing else, or the edit did more than change a body."""
    for _ in function.classes:
        body = body[0].body if len(body) == 1 and isinstance(body[0], ast.ClassDef) else []
    if len(body) == 1 and isinstance(body[0], ast.If) and body[0].lineno < function.top:
        body = [*body[0].body, *body[0].orelse]
    if (
        len(body) != 1
        or not isinstance(node := body[0], ast.FunctionDef | ast.AsyncFunctionDef)
        or node.lineno != function.node.lineno
    ):
        raise Refused("the edit leaves the function")
    return node


def _flags(tree: ast.Module) -> int:
    flags = 0
    for node in tree.body:
        if isinstance(node, ast.ImportFrom) and node.module == "__future__":
            for feature in (getattr(__future__, alias.name) for alias in node.names):
                since = feature.getMandatoryRelease()
                if since is None or since > sys.version_info:  # the compiler leaves no trace of the others
                    flags |= feature.compiler_flag
    return flags


def _imports(tree: ast.Module) -> str:
    """The compiler calls `name.method()` differently where the module imports `name`: the rebuilt module must too."""
    names: dict[str, None] = {}
    stack: list[ast.AST] = [tree]
    while stack:
        node = stack.pop()
        if isinstance(node, ast.Import | ast.ImportFrom):
            names.update(dict.fromkeys((a.asname or a.name).partition(".")[0] for a in node.names))
        elif not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef | ast.expr):
            stack += ast.iter_child_nodes(node)
    names.pop("*", None)
    return f"import {', '.join(names)}\n" if names else ""


def _outermost(node: ast.AST, classes: tuple[str, ...]) -> Iterator[tuple[Def, tuple[str, ...]]]:
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef):
            yield child, classes
        elif isinstance(child, ast.ClassDef):
            yield from _outermost(child, (*classes, child.name))
        elif not isinstance(child, ast.expr):
            yield from _outermost(child, classes)


def _measured(lines: Sequence[str], node: Def, classes: tuple[str, ...]) -> Outermost:
    body = node.body[0].lineno
    while body - 1 > node.lineno and lines[body - 2].lstrip()[:1] in ("", "#"):
        body -= 1
    top = min([node.lineno, *(d.lineno for d in node.decorator_list)])
    return Outermost(node, classes, top, body, node.end_lineno or 0)


# code objects -----------------------------------------------------------------------------------------


def nested(code: CodeType) -> list[CodeType]:
    return [c for c in code.co_consts if isinstance(c, CodeType)]


def walk(code: CodeType) -> Iterator[CodeType]:
    yield code
    for inner in nested(code):
        yield from walk(inner)


def docstring(code: CodeType) -> str | None:
    """What `__doc__` of a function made from this code would be: it is copied when the function is made."""
    cells = tuple(CellType() for _ in code.co_freevars)
    return FunctionType(code, {}, None, None, cells or None).__doc__


def own_part(code: CodeType) -> tuple[Any, ...]:
    """What a code object does by itself, apart from lines and from the functions inside it."""
    consts = tuple("code" if isinstance(c, CodeType) else (type(c), repr(c)) for c in code.co_consts)
    return (
        code.co_code,
        consts,
        code.co_names,
        code.co_varnames,
        code.co_freevars,
        code.co_cellvars,
        code.co_flags,
        code.co_exceptiontable,
        code.co_argcount,
        code.co_kwonlyargcount,
        code.co_posonlyargcount,
    )
