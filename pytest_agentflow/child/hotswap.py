"""Can this candidate be tried by swapping code objects in a collected session, and if so, which ones?

Only by exact identity: the function that encloses the edit is compiled from the base text, and a live function must hold
an equal code object (name, bytecode, constants, every line and column). Whatever cannot be shown to be safe is refused
with a reason, and the caller falls back to a fresh import: testing old code in silence would be worse than being slow.
"""

from __future__ import annotations
import __future__

import ast
import gc
import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from types import AsyncGeneratorType, CodeType, CoroutineType, FunctionType, GeneratorType
from typing import Any

from pytest_agentflow.child.overlay import add_bell, changed_lines, split_lines

Def = ast.FunctionDef | ast.AsyncFunctionDef


class Refused(Exception):
    """Why a candidate cannot be hot-swapped; the message is for the record."""


@dataclass
class BaseFile:
    """One source file as collected: its text, its outermost functions, and the flags its code was compiled with."""

    path: str
    data: bytes
    text: str
    lines: list[str]
    outermost: list[tuple[Def, tuple[str, ...]]]  # function, names of the enclosing classes
    flags: int
    imported: str  # `import a, b` for every name that the module's top level imports
    codes: dict[int, CodeType] = field(default_factory=dict)  # by first line of the function

    @classmethod
    def read(cls, path: str) -> BaseFile:
        with open(path, "rb") as file:  # noqa: PTH123 - pathlib is not worth importing in a child
            data = file.read()
        try:
            text = data.decode("utf-8")  # any other encoding is refused: columns would differ
            tree = ast.parse(text, path)
        except (SyntaxError, ValueError) as error:
            raise Refused(f"the base cannot be read as UTF-8 source: {type(error).__name__}") from error
        return cls(
            path, data, text, split_lines(text), list(_outermost(tree, ())), _flags(tree), _imports(tree)
        )


def _flags(tree: ast.Module) -> int:
    flags = 0
    for node in tree.body:
        if isinstance(node, ast.ImportFrom) and node.module == "__future__":
            for alias in node.names:
                flags |= getattr(__future__, alias.name).compiler_flag
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


def _top(function: Def) -> int:
    return min([function.lineno, *(d.lineno for d in function.decorator_list)])


def enclosing(base: BaseFile, new: str) -> tuple[Def, tuple[str, ...], int]:
    """The outermost function whose body holds the whole edit, and by how many lines the edit moves what follows."""
    first, last = changed_lines(base.text, new)
    shift = new.count("\n") - base.text.count("\n")
    last_in_base = max(first, last - shift)
    for function, classes in base.outermost:
        if _body_starts(base, function) <= first and last_in_base <= (function.end_lineno or 0):
            if function.body[0].lineno == function.lineno:
                raise Refused("a function on one line")
            return function, classes, shift
    raise Refused("the edit is outside of a function body")


def _body_starts(base: BaseFile, function: Def) -> int:
    """The first line below the signature: comments above the first statement belong to the body."""
    line = function.body[0].lineno
    while line - 1 > function.lineno and base.lines[line - 2].lstrip()[:1] in ("", "#"):
        line -= 1
    return line


def _skeleton(base: BaseFile, function: Def, classes: tuple[str, ...], body: str) -> str:
    """The function alone, at its own lines and columns, inside classes of the right names (mangling, `__class__`)."""
    indent = function.col_offset
    if len(classes) > indent:
        raise Refused("no room to rebuild the enclosing classes")
    head = base.imported
    for depth, name in enumerate(classes):
        head += " " * depth + f"class {name}:\n"
    depth = len(classes)
    if indent > depth or (indent and not classes):
        head += " " * depth + "if 1:\n"
    if head.count("\n") >= _top(function):
        raise Refused("no room to rebuild what stands above the function")
    return "\n" * (_top(function) - 1 - head.count("\n")) + head + body


def function_code(
    base: BaseFile, function: Def, classes: tuple[str, ...], body: str, bell: tuple[int, int] | None
) -> CodeType:
    """Compile one function of the file (or a new version of it) to the code object that the import would have made."""
    tree = ast.parse(_skeleton(base, function, classes, body), base.path)
    if bell:
        add_bell(tree, *bell)
    code: CodeType = compile(tree, base.path, "exec", base.flags, dont_inherit=True)
    for name in (*classes, function.name):
        inner = [c for c in code.co_consts if isinstance(c, CodeType) and c.co_name == name]
        if len(inner) != 1:
            raise Refused("the function could not be singled out")
        code = inner[0]
    return code


def _nested(code: CodeType) -> list[CodeType]:
    return [c for c in code.co_consts if isinstance(c, CodeType)]


def own_part(code: CodeType) -> tuple[Any, ...]:
    """What a code object does by itself, apart from lines and from the functions inside it."""
    consts = tuple((type(c), repr(c)) for c in code.co_consts if not isinstance(c, CodeType))
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


def _walk(code: CodeType) -> Iterator[CodeType]:
    yield code
    for inner in _nested(code):
        yield from _walk(inner)


Swaps = list[tuple[FunctionType, CodeType]]


def swap(swaps: Swaps) -> Swaps:
    """Put the new code in place; returns what puts the old code back."""
    undo = [(function, function.__code__) for function, _ in swaps]
    for function, code in swaps:
        function.__code__ = code
    return undo


class LiveCode:
    """The functions that live in a collected session, by file, and which code already ran while it was collected."""

    def __init__(self, top: str, ran: set[CodeType]) -> None:
        self._ran = ran
        self._functions: dict[str, list[FunctionType]] = {}
        self._suspended: set[CodeType] = set()
        self._files: dict[str, BaseFile] = {}
        self._real: dict[str, str] = {}
        for thing in gc.get_objects():
            if type(thing) is FunctionType:
                path = self._inside(thing.__code__.co_filename, top)
                if path:
                    self._functions.setdefault(path, []).append(thing)
            elif type(thing) in (GeneratorType, CoroutineType, AsyncGeneratorType):
                self._suspended.add(_frame_code(thing))

    def _inside(self, path: str, top: str) -> str | None:
        real = self._real.get(path)
        if real is None:
            real = self._real[path] = os.path.realpath(path)
        return real if real.startswith(top + os.sep) else None

    def base(self, path: str) -> BaseFile:
        if path not in self._files:
            self._files[path] = BaseFile.read(path)
        return self._files[path]

    def loaded(self, path: str) -> bool:
        return path in self._functions

    def plan(self, path: str, new: str) -> Swaps:
        """Which live functions get which code, decided without touching any of them."""
        base = self.base(path)
        function, classes, shift = enclosing(base, new)
        first, end = _top(function), function.end_lineno or 0
        live = self._functions.get(path, [])
        old = base.codes.get(first)
        if old is None:
            body = "".join(base.lines[first - 1 : end])
            old = base.codes[first] = function_code(base, function, classes, body, None)
        if not any(f.__code__ == old for f in live):
            raise Refused("no live function holds exactly the code on disk")
        body = "".join(split_lines(new)[first - 1 : end + shift])
        belled = function_code(base, function, classes, body, changed_lines(base.text, new))
        # What ran during collection is compared without the bell; mostly nothing did, and one compilation does.
        plain = function_code(base, function, classes, body, None) if self._any_ran(old) else belled
        swaps: Swaps = []
        for was, _, now in self._pairs(old, plain, belled, live):
            for target in live:
                if target.__code__ == was:
                    if target.__code__.co_freevars != now.co_freevars:
                        raise Refused("the edit changes what the closure captures")
                    swaps.append((target, now.replace(co_filename=target.__code__.co_filename)))
        return swaps

    def _any_ran(self, code: CodeType) -> bool:
        return any(c in self._ran for c in _walk(code))

    def _pairs(
        self, old: CodeType, plain: CodeType, belled: CodeType, live: list[FunctionType]
    ) -> Iterator[tuple[CodeType, CodeType, CodeType]]:
        """Old and new code objects that belong together, the function itself first, then what lives inside it."""
        if old in self._suspended:
            raise Refused("a suspended generator holds the old code")
        if old in self._ran and own_part(old) != own_part(plain):
            raise Refused("it already ran while the session was collected")
        yield old, plain, belled
        was, now, rung = _nested(old), _nested(plain), _nested(belled)
        if [c.co_name for c in was] != [c.co_name for c in now] or len(rung) != len(now):
            codes = {c for inner in was for c in _walk(inner)}
            if any(f.__code__ in codes for f in live) or codes & self._ran or codes & self._suspended:
                raise Refused("functions inside it changed while some of them live")
            return
        for triple in zip(was, now, rung, strict=True):
            yield from self._pairs(*triple, live)


def _frame_code(thing: Any) -> CodeType:
    code: CodeType = getattr(thing, "gi_code", None) or getattr(thing, "cr_code", None) or thing.ag_code
    return code
