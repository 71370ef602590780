"""What does a test look like as plain Python, and which expected values can be kept out of the process that runs it?

Tests are renamed (code under test may look for `test_` on the stack), pytest becomes a small stand-in, and every assertion
becomes a call that only hands out values. Literals, tables of parameters and of loops, and locals that only hold an expected
value stay here.
"""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from typing import Any

from pytest_agentflow.core.asserted import Form, forms, method_call, tolerance_of
from pytest_agentflow.core.checks import Check, Operand
from pytest_agentflow.core.hiding import Hidden, hide, hide_attributes, hide_tables, literal

CHECK, TRUTH, STUB = "hand_out", "hold", "tools"
_UNSURE = (
    ast.If,
    ast.Try,
    ast.While,
    ast.With,
    ast.AsyncWith,
    ast.For,
    ast.AsyncFor,
    ast.Match,
    ast.FunctionDef,
    ast.ClassDef,
)


@dataclass(slots=True)
class Bare:
    """A test module made plain. `functions`: the names of the functions that stand in it; `needed`: how often a passing run of a test (by qualified name) hands out each check at least;
    `held`: to how many assertions that stay as they are it comes at least.
    """

    source: str
    checks: list[Check] = field(default_factory=list)
    functions: set[str] = field(default_factory=set)
    needed: dict[str, dict[int, int]] = field(default_factory=dict)
    held: dict[str, int] = field(default_factory=dict)


class _Plain(ast.NodeTransformer):
    def __init__(self, module: ast.Module, equalities_only: bool) -> None:
        self.module, self.equalities_only = module, equalities_only
        self.bare = Bare("")
        self.path: list[str] = []
        self.test = ""
        self.hidden = Hidden()
        self.times = 0  # how often a passing run comes to this statement at least
        self.classes: dict[str, str] = {}
        self.shared: dict[str, Hidden] = {}

    # pytest becomes the stand-in -------------------------------------------------------------------

    def visit_Import(self, node: ast.Import) -> Any:
        kept = [a for a in node.names if a.name.partition(".")[0] not in ("pytest", "_pytest")]
        lines: list[ast.stmt] = [
            ast.Assign([ast.Name(a.asname or "pytest", ast.Store())], ast.Name(STUB, ast.Load()))
            for a in node.names
            if a not in kept
        ]
        return [*([ast.Import(kept)] if kept else []), *lines]

    def visit_ImportFrom(self, node: ast.ImportFrom) -> Any:
        if node.level or (node.module or "").partition(".")[0] not in ("pytest", "_pytest"):
            return node
        return [
            ast.Assign(
                [ast.Name(a.asname or a.name, ast.Store())],
                ast.Attribute(ast.Name(STUB, ast.Load()), a.name, ast.Load()),
            )
            for a in node.names
        ]

    # names that give a test away -------------------------------------------------------------------

    def visit_ClassDef(self, node: ast.ClassDef) -> Any:
        self.path.append(node.name)
        self.shared[".".join(self.path)] = hide_attributes(node, self.module, self.equalities_only)
        node.name = plain_name(node.name)
        self.generic_visit(node)
        self.path.pop()
        return node

    def visit_Name(self, node: ast.Name) -> Any:
        node.id = self.classes.get(node.id, node.id)
        return node

    def visit_FunctionDef(self, node: ast.FunctionDef) -> Any:
        return self._function(node)

    def visit_AsyncFunctionDef(self, node: ast.AsyncFunctionDef) -> Any:
        return self._function(node)

    def _function(self, node: ast.FunctionDef | ast.AsyncFunctionDef) -> Any:
        outer = self.test, self.hidden, self.times
        self.times = 0
        if not self.test:
            self.bare.functions.add(node.name)
            self.hidden = self.shared.get(".".join(self.path), Hidden())
            if node.name.startswith("test"):
                self.test, self.times = ".".join([*self.path, node.name]), 1
                self.hidden |= hide(node, self.equalities_only)
                node.name = plain_name(node.name)
        node.body = self._statements(node.body)
        node.decorator_list = [self.visit(d) for d in node.decorator_list]
        self.test, self.hidden, self.times = outer
        return node

    def _statements(self, body: Iterable[ast.stmt]) -> list[ast.stmt]:
        """Visited one by one: from one that may leave on, nothing is sure to be reached."""
        return list(self._each(body))

    def _each(self, body: Iterable[ast.stmt]) -> Iterator[ast.stmt]:
        times = here = self.times
        for statement in body:
            if any(
                isinstance(n, ast.Return | ast.Raise | ast.Break | ast.Continue) for n in ast.walk(statement)
            ):
                here = 0
            rows = self.hidden.loops.get(id(statement), 0)
            self.times = here * rows if isinstance(statement, _UNSURE) else here
            made = self.visit(statement)
            yield from made if isinstance(made, list) else [made]
        self.times = times

    def visit_For(self, node: ast.For) -> Any:
        node.target, node.iter = self.visit(node.target), self.visit(node.iter)
        node.body, node.orelse = self._statements(node.body), [self.visit(s) for s in node.orelse]
        return node

    def visit_Lambda(self, node: ast.Lambda) -> Any:
        return node

    # assertions ------------------------------------------------------------------------------------

    def visit_Assert(self, node: ast.Assert) -> Any:
        found = forms(node, self.equalities_only)
        return [self._hand_out(form, node.lineno) for form in found] if found else self._native(node)

    def visit_Expr(self, node: ast.Expr) -> Any:
        found = forms(node, self.equalities_only)
        if found:
            return [self._hand_out(form, node.lineno) for form in found]
        return self._native(node) if method_call(node) is not None else self.generic_visit(node)

    def _hand_out(self, form: Form, line: int) -> ast.stmt:
        number = len(self.bare.checks)
        operands = tuple(self._operand(n) for n in form.nodes)
        self.bare.checks.append(Check(line, operands, form.relations, form.negated, form.places, form.delta))
        if self.times and self.test:
            self.bare.needed.setdefault(self.test, {})[number] = self.times
        handed = [
            self.visit(n)
            for n, o in zip(form.nodes, operands, strict=True)
            if o.known in ("handed", "column")
        ]
        return ast.Expr(ast.Call(ast.Name(CHECK, ast.Load()), [ast.Constant(number), *handed], []))

    def _operand(self, node: ast.expr) -> Operand:
        inner, tolerance = tolerance_of(node)
        found = self.hidden.get(inner) or literal(inner)
        return replace(found, tolerance=tolerance) if found else Operand("handed")

    def _native(self, node: ast.stmt) -> Any:
        """Kept as it is, counted when it runs."""
        if self.times and self.test:
            self.bare.held[self.test] = self.bare.held.get(self.test, 0) + self.times
        return [ast.Expr(ast.Call(ast.Name(TRUTH, ast.Load()), [], [])), self.generic_visit(node)]


def make_bare(source: str, *, equalities_only: bool = False) -> Bare:
    """The plain form of a test module or conftest. With `equalities_only`, assertions other than a plain `==` stay as they are.

    Raises SyntaxError.
    """
    module = ast.parse(source)
    hide_tables(module)
    plain = _Plain(module, equalities_only)
    plain.classes = {n.name: plain_name(n.name) for n in module.body if isinstance(n, ast.ClassDef)}
    plain.visit(module)
    ast.fix_missing_locations(module)
    plain.bare.source = ast.unparse(module)
    return plain.bare


def plain_name(name: str) -> str:
    """`test_x` becomes `case_x`, `TestX` becomes `CaseX`."""
    for old, new in (("test", "case"), ("Test", "Case")):
        if name.startswith(old):
            return new + name[len(old) :]
    return name.replace("Test", "Case")
