"""What does a test look like as plain Python, and which expected values can be kept out of the process that runs it?

Tests are renamed (code under test may look for `test_` on the stack), pytest becomes a small stand-in, and every equality with
a literal becomes a call that only hands out the other side. The literal stays here.
"""

from __future__ import annotations

import ast
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pytest_agentflow.core.twinning import _ALSO_EQUAL, is_fixed

CHECK, TRUTH, STUB = "hand_out", "hold", "tools"


@dataclass(frozen=True, slots=True)
class Expected:
    """What one check is compared with: a literal, or the value of a masked parameter (function, decorator, place)."""

    line: int
    literal: ast.expr | None = None
    parameter: str = ""
    function: str = ""


@dataclass(slots=True)
class Bare:
    """A test module made plain: its source, the checks by number, and masked parameters: (function, name) -> values."""

    source: str
    checks: dict[int, Expected]
    masked: dict[tuple[str, str], list[ast.expr]]


class _Plain(ast.NodeTransformer):
    def __init__(self, mask: bool) -> None:
        self.mask = mask
        self.checks: dict[int, Expected] = {}
        self.masked: dict[tuple[str, str], list[ast.expr]] = {}
        self.function = ""
        self.hidden: set[str] = set()
        self.classes: dict[str, str] = {}

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
        if (node.module or "").partition(".")[0] not in ("pytest", "_pytest"):
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
        self.classes[node.name] = node.name = plain_name(node.name)
        return self.generic_visit(node)

    def visit_Name(self, node: ast.Name) -> Any:
        node.id = self.classes.get(node.id, node.id)
        return node

    def visit_FunctionDef(self, node: ast.FunctionDef) -> Any:
        return self._function(node)

    def visit_AsyncFunctionDef(self, node: ast.AsyncFunctionDef) -> Any:
        return self._function(node)

    def _function(self, node: ast.FunctionDef | ast.AsyncFunctionDef) -> Any:
        outer = self.function, self.hidden
        if node.name.startswith("test"):
            self.function = node.name
            self.hidden = self._mask_parameters(node) if self.mask else set()
            node.name = plain_name(node.name)
        result = self.generic_visit(node)
        self.function, self.hidden = outer
        return result

    def _mask_parameters(self, node: ast.FunctionDef | ast.AsyncFunctionDef) -> set[str]:
        """Parameters used for nothing but being one side of an equality: their values need not be in the process."""
        found = set()
        for decorator in node.decorator_list:
            call = _parametrize(decorator)
            if call is None:
                continue
            names, values = call
            for place, name in enumerate(names):
                column = [_element(v, place, len(names)) for v in values.elts]
                if all(c is not None and is_fixed(c) for c in column) and _only_compared(node, name):
                    self.masked[(self.function, name)] = [c for c in column if c is not None]
                    _blank(values, place, len(names))
                    found.add(name)
        return found

    # assertions ------------------------------------------------------------------------------------

    def visit_Assert(self, node: ast.Assert) -> Any:
        test = node.test
        if isinstance(test, ast.Compare) and len(test.ops) == 1 and isinstance(test.ops[0], ast.Eq):
            return self._equality(node, test.left, test.comparators[0])
        return self._native(node)

    def _native(self, node: ast.stmt) -> Any:
        """Kept as it is, counted when it runs."""
        count = ast.Expr(ast.Call(ast.Name(TRUTH, ast.Load()), [], []))
        return [count, self.generic_visit(node)]

    def _equality(self, node: ast.stmt, left: ast.expr, right: ast.expr) -> Any:
        for expected, value in ((right, left), (left, right)):
            what = self._expected(expected, node.lineno)
            if what is not None and self.mask:
                number = len(self.checks)
                self.checks[number] = what
                call = ast.Call(ast.Name(CHECK, ast.Load()), [ast.Constant(number), self.visit(value)], [])
                return ast.Expr(call)
        return self._native(node)

    def _expected(self, node: ast.expr, line: int) -> Expected | None:
        if is_fixed(node):
            return Expected(line, literal=node)
        if isinstance(node, ast.Name) and node.id in self.hidden:
            return Expected(line, parameter=node.id, function=self.function)
        return None

    def visit_Expr(self, node: ast.Expr) -> Any:
        call = node.value
        if (
            isinstance(call, ast.Call)
            and isinstance(call.func, ast.Attribute)
            and isinstance(call.func.value, ast.Name)
        ):
            name = call.func.attr
            if name in _ALSO_EQUAL - {"assertAlmostEqual", "assertCountEqual"} and len(call.args) >= 2:
                return self._equality(node, call.args[0], call.args[1])
            if name.startswith("assert") and call.func.value.id == "self":
                return self._native(node)
        return self.generic_visit(node)


def make_bare(source: str, *, mask: bool) -> Bare:
    """The plain form of a test module or conftest. Raises SyntaxError."""
    module = ast.parse(source)
    plain = _Plain(mask)
    plain.classes = {n.name: plain_name(n.name) for n in module.body if isinstance(n, ast.ClassDef)}
    plain.visit(module)
    ast.fix_missing_locations(module)
    return Bare(ast.unparse(module), plain.checks, plain.masked)


def plain_name(name: str) -> str:
    """`test_x` becomes `case_x`, `TestX` becomes `CaseX`."""
    for old, new in (("test", "case"), ("Test", "Case")):
        if name.startswith(old):
            return new + name[len(old) :]
    return name.replace("Test", "Case")


def expected_value(bare: Bare, number: int, indices: Mapping[str, int]) -> Any:
    """The literal that check `number` of this parametrisation is compared with. Raises LookupError or ValueError."""
    what = bare.checks[number]
    if what.literal is not None:
        return ast.literal_eval(what.literal)
    return ast.literal_eval(bare.masked[(what.function, what.parameter)][indices[what.parameter]])


def _parametrize(node: ast.expr) -> tuple[list[str], ast.List | ast.Tuple] | None:
    if not (
        isinstance(node, ast.Call)
        and isinstance(node.func, ast.Attribute)
        and node.func.attr == "parametrize"
    ):
        return None
    if len(node.args) < 2 or any(k.arg == "indirect" for k in node.keywords):
        return None
    names, values = node.args[:2]
    if isinstance(names, ast.Constant) and isinstance(names.value, str):
        listed = [n.strip() for n in names.value.split(",") if n.strip()]
    elif isinstance(names, ast.List | ast.Tuple):
        listed = [str(n.value) for n in names.elts if isinstance(n, ast.Constant)]
    else:
        return None
    return (listed, values) if isinstance(values, ast.List | ast.Tuple) else None


def _row(node: ast.expr) -> list[ast.expr] | None:
    if isinstance(node, ast.Tuple | ast.List):
        return node.elts
    if isinstance(node, ast.Call) and getattr(node.func, "attr", getattr(node.func, "id", "")) == "param":
        return node.args
    return None


def _element(node: ast.expr, place: int, width: int) -> ast.expr | None:
    if width == 1 and not isinstance(node, ast.Call):
        return node
    row = _row(node)
    return row[place] if row is not None and len(row) == width else None


def _blank(values: ast.List | ast.Tuple, place: int, width: int) -> None:
    for number, node in enumerate(values.elts):
        row = _row(node)
        if width == 1 and not isinstance(node, ast.Call):
            values.elts[number] = ast.Constant(None)
        elif row is not None:
            row[place] = ast.Constant(None)


def _only_compared(function: ast.FunctionDef | ast.AsyncFunctionDef, name: str) -> bool:
    uses = compared = 0
    for node in ast.walk(function):
        if isinstance(node, ast.Name) and node.id == name:
            uses += 1
        if isinstance(node, ast.Assert) and isinstance(node.test, ast.Compare) and len(node.test.ops) == 1:
            sides = (node.test.left, node.test.comparators[0])
            if isinstance(node.test.ops[0], ast.Eq):
                compared += any(isinstance(s, ast.Name) and s.id == name for s in sides)
    return uses > 0 and uses == compared
