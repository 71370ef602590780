"""What can a template use at a place in the code: names in scope, attributes, conditions and statements seen nearby?"""

from __future__ import annotations

import ast
import builtins
from collections import Counter
from collections.abc import Iterable, Iterator
from functools import cached_property
from typing import Any, TypeVar

from pytest_agentflow.agents.search.edits import Edit, Source

Function = ast.FunctionDef | ast.AsyncFunctionDef
Scope = Function | ast.Module
BUILTINS = frozenset(dir(builtins))
BORROWED_MOST = 400
Borrowed = TypeVar("Borrowed", ast.expr, ast.stmt)


class Project:
    """What the suspected files can borrow from each other and from the failing tests."""

    def __init__(self, sources: Iterable[Source] = (), words: frozenset[str] = frozenset()) -> None:
        self.words = words  # of the failing tests: a misspelt string may be spelt right there
        self.files = [FileContext(source, self) for source in sources]

    @cached_property
    def bare_methods(self) -> list[str]:
        """Methods that need no argument: called so, most often first, then defined so."""
        counts = Counter(name for file in self.files for name in file.bare_calls)
        defined = [
            f.name
            for file in self.files
            for f in file.functions
            if len(f.args.args) == 1 and f.args.args[0].arg == "self" and not f.name.startswith("__")
        ]
        return list(dict.fromkeys([*(name for name, _ in counts.most_common()), *defined]))

    def others(self, what: str, file: FileContext) -> dict[str, Any]:
        """Conditions or statements of the other files, by text."""
        found: dict[str, Any] = {}
        for other in self.files:
            if other is not file:
                found.update(getattr(other, what))
        return found


class FileContext:
    """Facts about a whole file that all its functions share."""

    def __init__(self, source: Source, project: Project | None = None) -> None:
        self.source = source
        self.project = project or Project()
        self._free: dict[ast.AST, frozenset[str]] = {}
        self.parents: dict[ast.AST, ast.AST] = {}
        for node in ast.walk(source.tree):
            for child in ast.iter_child_nodes(node):
                self.parents[child] = node

    @cached_property
    def functions(self) -> list[Function]:
        return [n for n in ast.walk(self.source.tree) if isinstance(n, Function)]

    @cached_property
    def module_names(self) -> list[str]:
        names: list[str] = []
        for node in self.source.tree.body:
            names += _bound(node)
        return list(dict.fromkeys(names))

    @cached_property
    def attributes(self) -> dict[str, list[str]]:
        """Attributes seen on each base expression, most used first; under "" those of any base."""
        seen: dict[str, Counter[str]] = {"": Counter()}
        for node in ast.walk(self.source.tree):
            if isinstance(node, ast.Attribute):
                seen[""][node.attr] += 1
                if isinstance(node.value, ast.Name):
                    seen.setdefault(node.value.id, Counter())[node.attr] += 1
        return {base: [a for a, _ in counts.most_common()] for base, counts in seen.items()}

    @cached_property
    def signatures(self) -> dict[str, ast.arguments]:
        """Parameters of functions defined in this file, by name (the last definition wins)."""
        return {f.name: f.args for f in self.functions}

    @cached_property
    def strings(self) -> list[str]:
        counts = Counter(
            n.value
            for n in ast.walk(self.source.tree)
            if isinstance(n, ast.Constant) and isinstance(n.value, str) and 0 < len(n.value) < 60
        )
        return [s for s, _ in counts.most_common()]

    @cached_property
    def calls(self) -> dict[str, list[ast.Call]]:
        """Calls by the last part of what they call."""
        found: dict[str, list[ast.Call]] = {}
        for node in ast.walk(self.source.tree):
            if isinstance(node, ast.Call):
                name = getattr(node.func, "attr", None) or getattr(node.func, "id", "")
                found.setdefault(str(name), []).append(node)
        return found

    @cached_property
    def bare_calls(self) -> list[str]:
        """Methods that are called without arguments, as often as they are."""
        return [
            call.func.attr
            for calls in self.calls.values()
            for call in calls
            if isinstance(call.func, ast.Attribute) and not call.args and not call.keywords
        ]

    @cached_property
    def checked_types(self) -> list[str]:
        """Types that the file asks for with `isinstance`, most often asked first."""
        asked = (c.args[1] for c in self.calls.get("isinstance", []) if len(c.args) == 2)
        counts = Counter(
            self.source.code(node) for node in asked if isinstance(node, ast.Name | ast.Attribute)
        )
        return [name for name, _ in counts.most_common()]

    @cached_property
    def conditions(self) -> dict[str, ast.expr]:
        return self._on_one_line(_conditions(ast.walk(self.source.tree)))

    @cached_property
    def statements(self) -> dict[str, ast.stmt]:
        return self._on_one_line(_simple_statements(ast.walk(self.source.tree)))

    def _on_one_line(self, nodes: Iterable[Borrowed]) -> dict[str, Borrowed]:
        return {self.source.code(n): n for n in nodes if n.lineno == n.end_lineno}

    def free_names(self, node: ast.AST) -> frozenset[str]:
        """Names that a piece of code reads and does not bind itself."""
        kept = self._free.get(node)
        if kept is None:
            names = [n for n in ast.walk(node) if isinstance(n, ast.Name)]
            bound = {n.id for n in names if isinstance(n.ctx, ast.Store)}
            bound |= {n.arg for n in ast.walk(node) if isinstance(n, ast.arg)}
            kept = self._free[node] = frozenset(n.id for n in names if isinstance(n.ctx, ast.Load)) - bound
        return kept

    def innermost(self, line: int) -> Scope:
        """The innermost function around a line, else the module."""
        found: Scope = self.source.tree
        for f in self.functions:
            first = min([f.lineno, *(d.lineno for d in f.decorator_list)])
            if first <= line <= (f.end_lineno or 0) and (
                isinstance(found, ast.Module) or f.lineno >= found.lineno
            ):
                found = f
        return found

    def enclosing_class(self, node: ast.AST) -> ast.ClassDef | None:
        at = self.parents.get(node)
        while at is not None and not isinstance(at, ast.ClassDef):
            at = self.parents.get(at)
        return at


class Context:
    """One function (or the module's top level) and what is in reach there."""

    def __init__(self, file: FileContext, scope: Scope) -> None:
        self.file, self.source, self.scope = file, file.source, scope
        self.is_async = isinstance(scope, ast.AsyncFunctionDef)

    def parent(self, node: ast.AST) -> ast.AST | None:
        return self.file.parents.get(node)

    def code(self, node: ast.expr | ast.stmt) -> str:
        return self.source.code(node)

    def atom(self, node: ast.expr) -> str:
        return self.source.atom(node)

    def nodes(self) -> Iterator[ast.AST]:
        """Nodes of this scope, nested functions and classes apart, in source order."""
        stack: list[ast.AST] = [self.scope]
        while stack:
            node = stack.pop()
            if node is not self.scope:
                yield node
                if isinstance(node, Function | ast.ClassDef):
                    continue
            stack += reversed(list(ast.iter_child_nodes(node)))

    @cached_property
    def params(self) -> list[str]:
        if isinstance(self.scope, ast.Module):
            return []
        a = self.scope.args
        every = [*a.posonlyargs, *a.args, *a.kwonlyargs, *filter(None, (a.vararg, a.kwarg))]
        return [arg.arg for arg in every]

    @cached_property
    def locals(self) -> list[str]:
        """Parameters and assigned names, in order; `self` and `cls` apart."""
        names = list(self.params)
        for node in self.nodes():
            if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
                names.append(node.id)
        if not isinstance(self.scope, ast.Module):
            outer = self.file.parents.get(self.scope)
            while outer is not None:
                if isinstance(outer, Function):
                    names += Context(self.file, outer).locals
                    break
                outer = self.file.parents.get(outer)
        first = self.params[:1] if self.file.enclosing_class(self.scope) is not None else []
        return [n for n in dict.fromkeys(names) if n not in (*first, "self", "_")]

    @cached_property
    def used_globals(self) -> list[str]:
        loads = (n.id for n in self.nodes() if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Load))
        return [n for n in dict.fromkeys(loads) if n not in self.locals and n not in ("self", "cls")]

    @cached_property
    def self_attributes(self) -> list[str]:
        """Attributes of `self` that the enclosing class uses or defines."""
        owner = self.file.enclosing_class(self.scope)
        if owner is None:
            return []
        counts: Counter[str] = Counter()
        for node in ast.walk(owner):
            if (
                isinstance(node, ast.Attribute)
                and isinstance(node.value, ast.Name)
                and node.value.id == "self"
            ):
                counts[node.attr] += 1
        for node in owner.body:
            counts.update(_bound(node))
        return [a for a, _ in counts.most_common()]

    @cached_property
    def reachable(self) -> frozenset[str]:
        """Every name that code pasted here may use."""
        extra = {"self", "cls"} & set(self.params)
        return frozenset({*self.locals, *self.file.module_names, *extra}) | BUILTINS

    def fits(self, node: ast.AST) -> bool:
        """True when every name that the (borrowed) code reads exists here."""
        return self.file.free_names(node) <= self.reachable

    @cached_property
    def conditions(self) -> dict[str, ast.expr]:
        """Conditions (and their parts) of this function, then of the file and the project where they fit."""
        return self._borrowed(_conditions(self.nodes()), "conditions")

    @cached_property
    def statements(self) -> dict[str, ast.stmt]:
        """Simple statements of this function, then of the file and the project where they fit."""
        return self._borrowed(_simple_statements(self.nodes()), "statements")

    def _borrowed(self, own: Iterable[Borrowed], what: str) -> dict[str, Borrowed]:
        found = {self.source.code(node): node for node in own}
        around: dict[str, Borrowed] = {
            **getattr(self.file, what),
            **self.file.project.others(what, self.file),
        }
        for text, node in around.items():
            if len(found) > BORROWED_MOST:
                break
            if text not in found and self.fits(node):
                found[text] = node
        return found

    # emitting edits ------------------------------------------------------------------------------

    def replace(self, node: ast.expr | ast.stmt, text: str, kind: str, weight: float = 1.0) -> Edit:
        start, end = self.source.span(node)
        return Edit(self.source.path, start, end, text, kind, node.lineno, weight)

    def put(self, node: ast.expr, text: str, kind: str, weight: float = 1.0) -> Edit:
        """Replace an expression by one that may bind more loosely than it."""
        parent = self.parent(node)
        tight = ast.BinOp | ast.UnaryOp | ast.BoolOp | ast.Compare | ast.Attribute | ast.Await | ast.Starred
        called = isinstance(parent, ast.Subscript | ast.Call) and getattr(parent, "func", None) is node
        indexed = isinstance(parent, ast.Subscript) and parent.value is node
        start, end = self.source.span(node)
        enclosed = self.source.text[start - 1 : start] == "(" and self.source.text[end : end + 1] == ")"
        if (isinstance(parent, tight) and not enclosed) or called or indexed:
            text = f"({text})"
        return self.replace(node, text, kind, weight)

    def between(self, start: int, end: int, text: str, kind: str, line: int, weight: float = 1.0) -> Edit:
        return Edit(self.source.path, start, end, text, kind, line, weight)

    def before(self, statement: ast.stmt, text: str, kind: str, weight: float = 1.0) -> Edit:
        """Insert whole lines in front of a statement, at its indentation; in place of a `pass`."""
        if isinstance(statement, ast.Pass):
            indent = self.source.newline + self.source.indent(statement)
            return self.replace(statement, text.replace("\n", indent), kind, 2 * weight)
        first = min([statement.lineno, *(d.lineno for d in getattr(statement, "decorator_list", []))])
        return self._insert(self.source.line_start(first), statement, text, kind, statement.lineno, weight)

    def after(self, statement: ast.stmt, text: str, kind: str, weight: float = 1.0) -> Edit:
        """Insert whole lines behind a statement, at its indentation."""
        last = statement.end_lineno or statement.lineno
        at = self.source.line_start(last + 1) if last < len(self.source.lines) else len(self.source.text)
        return self._insert(at, statement, text, kind, last, weight)

    def _insert(self, at: int, statement: ast.stmt, text: str, kind: str, line: int, weight: float) -> Edit:
        newline, indent = self.source.newline, self.source.indent(statement)
        block = "".join(f"{indent}{row}{newline}" for row in text.split("\n"))
        if at and self.source.text[at - 1] not in "\r\n":
            block = newline + block
        return Edit(self.source.path, at, at, block, kind, line, weight)


def _bound(node: ast.stmt) -> list[str]:
    """Names that a module-level or class-level statement binds."""
    if isinstance(node, Function | ast.ClassDef):
        return [node.name]
    if isinstance(node, ast.Import | ast.ImportFrom):
        return [(a.asname or a.name).partition(".")[0] for a in node.names]
    if isinstance(node, ast.Assign | ast.AnnAssign | ast.AugAssign | ast.For | ast.With | ast.If | ast.Try):
        return [n.id for n in ast.walk(node) if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Store)] + [
            name
            for inner in ast.walk(node)
            if isinstance(inner, ast.Import | ast.ImportFrom)
            for name in _bound(inner)
        ]
    return []


def _conditions(nodes: Iterable[ast.AST]) -> Iterator[ast.expr]:
    for node in nodes:
        test = getattr(node, "test", None)
        if isinstance(test, ast.expr):
            yield test
            if isinstance(test, ast.BoolOp):
                yield from test.values
        elif isinstance(node, ast.comprehension):
            yield from node.ifs


def _simple_statements(nodes: Iterable[ast.AST]) -> Iterator[ast.stmt]:
    kinds = (
        ast.Expr | ast.Assign | ast.AugAssign | ast.Return | ast.Raise | ast.Break | ast.Continue | ast.Delete
    )
    for node in nodes:
        if isinstance(node, kinds):
            docstring = isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
            if not docstring:
                yield node
