"""What can a template use at a place in the code: names in scope, attributes, conditions and statements seen nearby?"""

from __future__ import annotations

import ast
import builtins
from collections import Counter
from collections.abc import Iterable, Iterator
from functools import cached_property

from pytest_agentflow.agents.search.edits import Edit
from pytest_agentflow.agents.search.files import (
    Borrowed,
    FileContext,
    Function,
    Scope,
    bound_by,
    conditions_in,
    statements_in,
)

BUILTINS = frozenset(dir(builtins))
BORROWED_MOST = 400


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
            counts.update(bound_by(node))
        return [a for a, _ in counts.most_common()]

    @cached_property
    def uncounted(self) -> list[str]:
        """Attributes of `self` that start as a whole number and that nothing in the class counts up or down."""
        owner = self.file.enclosing_class(self.scope)
        if owner is None or "self" not in self.params:
            return []
        starts: dict[str, None] = {}
        counted = set()
        for node in ast.walk(owner):
            targets = node.targets if isinstance(node, ast.Assign) else [getattr(node, "target", None)]
            for target in targets:
                if isinstance(target, ast.Attribute) and getattr(target.value, "id", "") == "self":
                    if isinstance(node, ast.AugAssign):
                        counted.add(target.attr)
                    elif isinstance(node, ast.Assign | ast.AnnAssign) and _whole_number(node.value):
                        starts[target.attr] = None
        return [name for name in starts if name not in counted]

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
        return self._borrowed(conditions_in(self.nodes()), "conditions")

    @cached_property
    def statements(self) -> dict[str, ast.stmt]:
        """Simple statements of this function, then of the file and the project where they fit."""
        return self._borrowed(statements_in(self.nodes()), "statements")

    @cached_property
    def guards(self) -> list[tuple[str, ast.stmt, str]]:
        """Guards of other functions: text, way out, the one name that does not exist here; those of like functions first."""
        every = [(self.file, found) for found in self.file.guards.items()]
        every += [
            (f, found) for f in self.file.project.files if f is not self.file for found in f.guards.items()
        ]
        ranked: list[tuple[tuple[int, int], str, ast.stmt, str]] = []
        for n, (file, (text, (guard, function))) in enumerate(every):
            missing = sorted(self.file.free_names(guard) - self.reachable)
            if len(missing) <= 1 and self._has_attributes(guard):
                alike = {a.arg for a in ast.walk(function.args) if isinstance(a, ast.arg)} & set(self.params)
                far = 2 * (file is not self.file) + 2 * len(missing) - len(alike) - (function is self.scope)
                ranked.append(((far, n), text, guard.body[0], missing[0] if missing else ""))
        return [found[1:] for found in sorted(ranked, key=lambda r: r[0])]

    def _has_attributes(self, node: ast.AST) -> bool:
        """False when code asks `self` for what this class does not have."""
        asked = {
            n.attr
            for n in ast.walk(node)
            if isinstance(n, ast.Attribute) and getattr(n.value, "id", "") == "self"
        }
        return asked <= set(self.self_attributes)

    @cached_property
    def unread(self) -> frozenset[str]:
        """Parameters and variables of this function that nothing reads: what read them may have been lost."""
        if isinstance(self.scope, ast.Module) or _is_stub(self.scope):
            return frozenset()
        every = [n for n in ast.walk(self.scope) if isinstance(n, ast.Name)]
        read = {n.id for n in every if isinstance(n.ctx, ast.Load)}
        a = self.scope.args
        given = {p.arg for p in (*a.posonlyargs, *a.args, *a.kwonlyargs)}
        stored = {n.id for n in every if isinstance(n.ctx, ast.Store)}
        if read & {"locals", "vars"}:
            return frozenset()
        return frozenset(n for n in (given | stored) - read if n not in ("self", "cls") and n[0] != "_")

    @cached_property
    def docstring(self) -> str:
        return "" if isinstance(self.scope, ast.Module) else ast.get_docstring(self.scope) or ""

    @cached_property
    def annotations(self) -> dict[str, str]:
        """Parameters whose annotation is the name of a plain type."""
        if isinstance(self.scope, ast.Module):
            return {}
        a = self.scope.args
        said = {p.arg: p.annotation for p in (*a.posonlyargs, *a.args, *a.kwonlyargs)}
        return {name: t.id for name, t in said.items() if isinstance(t, ast.Name) and t.id in self.reachable}

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


def _is_stub(function: Function) -> bool:
    """A function that only says that others do the work has no use for its parameters."""
    last = function.body[-1]
    return len(function.body) <= 2 and (
        isinstance(last, ast.Pass | ast.Raise)
        or (isinstance(last, ast.Expr) and isinstance(last.value, ast.Constant))
    )


def _whole_number(node: ast.expr | None) -> bool:
    return isinstance(node, ast.Constant) and type(node.value) is int
