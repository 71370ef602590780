"""Which expected values of a test are used for nothing but comparing, so that the process that runs it need not hold them?"""

from __future__ import annotations

import ast
import copy
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from pytest_agentflow.core.asserted import forms, tolerance_of
from pytest_agentflow.core.checks import Operand
from pytest_agentflow.core.twinning import is_fixed

Function = ast.FunctionDef | ast.AsyncFunctionDef


@dataclass(slots=True)
class Hidden:
    """Names (`x` or `self.x`) whose values were taken out, and loops over literal tables with their number of rows."""

    known: dict[str, Operand] = field(default_factory=dict)
    loops: dict[int, int] = field(default_factory=dict)

    def __or__(self, other: Hidden) -> Hidden:
        return Hidden({**self.known, **other.known}, {**self.loops, **other.loops})

    def get(self, node: ast.expr) -> Operand | None:
        return self.known.get(_named(node))


def literal(node: ast.expr) -> Operand | None:
    return Operand("literal", (ast.literal_eval(node),)) if is_fixed(node) else None


def hide_tables(module: ast.Module) -> None:
    """Tables that are only there for `parametrize` move into it: there their columns can be hidden."""
    tables = {
        s.targets[0].id: s
        for s in module.body
        if isinstance(s, ast.Assign)
        and isinstance(s.targets[0], ast.Name)
        and isinstance(s.value, ast.List | ast.Tuple)
    }
    uses: dict[str, list[ast.Call]] = {name: [] for name in tables}
    count = dict.fromkeys(tables, 0)
    for node in ast.walk(module):
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load) and node.id in count:
            count[node.id] += 1
        if (
            _is_parametrize(node)
            and isinstance(node, ast.Call)
            and isinstance(node.args[1], ast.Name)
            and node.args[1].id in uses
        ):
            uses[node.args[1].id].append(node)
    for name, calls in uses.items():
        if calls and len(calls) == count[name]:
            for call in calls:
                call.args[1] = copy.deepcopy(tables[name].value)
            tables[name].value = ast.Constant(None)


def hide_attributes(owner: ast.ClassDef, module: ast.Module, equalities_only: bool) -> Hidden:
    """Take out, in place, attributes of a test class that it uses only for comparing, and nobody else at all."""
    spots, hidden = set(_spots(owner, equalities_only)), Hidden()
    for statement in ast.walk(owner):
        if not (isinstance(statement, ast.Assign) and len(statement.targets) == 1):
            continue
        name, value = _named(statement.targets[0]), literal(statement.value)
        elsewhere = sum(isinstance(n, ast.Attribute) and f"self.{n.attr}" == name for n in ast.walk(module))
        here = sum(_named(n) == name for n in ast.walk(owner))
        if (
            name.startswith("self.")
            and value
            and elsewhere == here
            and _assigned(name, owner) == 1
            and _only_compared(name, owner, spots)
        ):
            hidden.known[name] = value
            statement.value = ast.Constant(None)
    return hidden


def hide(node: Function, equalities_only: bool) -> Hidden:
    """Take out, in place, what this test uses only for comparing."""
    spots, hidden = set(_spots(node, equalities_only)), Hidden()
    for decorator in node.decorator_list:
        _columns(decorator, node, spots, hidden)
    _locals(node, spots, hidden)
    for part in ast.walk(node):
        if isinstance(part, ast.For):
            _loop(part, node, spots, hidden)
    return hidden


def _spots(node: ast.AST, equalities_only: bool) -> Iterator[int]:
    """Where a value is only compared, or only shown in a message."""
    for part in ast.walk(node):
        if not isinstance(part, ast.Assert | ast.Expr):
            continue
        found = forms(part, equalities_only)
        for form in found or ():
            yield from (id(tolerance_of(n)[0]) for n in form.nodes if form.relations)
        if found and isinstance(part, ast.Assert) and part.msg is not None:
            yield from (id(n) for n in ast.walk(part.msg))


def _only_compared(name: str, node: ast.AST, spots: set[int]) -> bool:
    uses = [
        id(n) for n in ast.walk(node) if _named(n) == name and isinstance(getattr(n, "ctx", None), ast.Load)
    ]
    return bool(uses) and all(use in spots for use in uses)


def _named(node: ast.AST) -> str:
    if isinstance(node, ast.Name):
        return node.id
    on_self = isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == "self"
    return f"self.{node.attr}" if on_self and isinstance(node, ast.Attribute) else ""


def _assigned(name: str, node: ast.AST) -> int:
    return sum(_named(n) == name and isinstance(getattr(n, "ctx", None), ast.Store) for n in ast.walk(node))


def _locals(function: Function, spots: set[int], hidden: Hidden) -> None:
    """`expected = …` directly in the body."""
    for statement in function.body:
        if not (
            isinstance(statement, ast.Assign)
            and len(statement.targets) == 1
            and isinstance(statement.targets[0], ast.Name)
        ):
            continue
        name, value = statement.targets[0].id, literal(statement.value)
        if value and _assigned(name, function) == 1 and _only_compared(name, function, spots):
            hidden.known[name] = value
            statement.value = ast.Constant(None)


def _columns(decorator: ast.expr, function: Function, spots: set[int], hidden: Hidden) -> None:
    """Parameters of the test."""
    if not _is_parametrize(decorator) or not isinstance(decorator, ast.Call):
        return
    names, values = _names(decorator.args[0]), decorator.args[1]
    alone_in_rows = len(names) == 1 and not isinstance(
        decorator.args[0], ast.Constant
    )  # ("n",), [(1,), (2,)]
    if alone_in_rows or not isinstance(values, ast.List | ast.Tuple):
        return
    for place, name in enumerate(names):
        cells = [_cell(v, place, len(names)) for v in values.elts]
        if all(c is not None and is_fixed(c) for c in cells) and _only_compared(name, function, spots):
            hidden.known[name] = Operand("parameter", tuple(ast.literal_eval(c) for c in cells if c), name)
            for number in range(len(cells)):
                _put(values.elts, number, place, len(names), ast.Constant(None))


def _loop(loop: ast.For, function: Function, spots: set[int], hidden: Hidden) -> None:
    """`for a, expected in [(1, 2), …]`: the process gets the number of the row instead."""
    rows = loop.iter.elts if isinstance(loop.iter, ast.List | ast.Tuple) else None
    if rows is None or any(isinstance(r, ast.Starred) for r in rows):
        return
    hidden.loops[id(loop)] = len(rows)
    targets = loop.target.elts if isinstance(loop.target, ast.Tuple) else [loop.target]
    for place, target in enumerate(targets):
        cells = [_cell(r, place, len(targets)) for r in rows]
        name = target.id if isinstance(target, ast.Name) else ""
        known = name and _assigned(name, function) == 1 and _only_compared(name, function, spots)
        if known and all(c is not None and is_fixed(c) for c in cells):
            hidden.known[name] = Operand("column", tuple(ast.literal_eval(c) for c in cells if c), name)
            for number in range(len(rows)):
                _put(rows, number, place, len(targets), ast.Constant(number))


def _is_parametrize(node: ast.AST) -> bool:
    return (
        isinstance(node, ast.Call)
        and isinstance(node.func, ast.Attribute)
        and node.func.attr == "parametrize"
        and len(node.args) >= 2
        and not any(k.arg == "indirect" for k in node.keywords)
    )


def _names(node: ast.expr) -> Sequence[str]:
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        return [n.strip() for n in node.value.split(",") if n.strip()]
    return [str(getattr(n, "value", "")) for n in node.elts] if isinstance(node, ast.List | ast.Tuple) else []


def _row(node: ast.expr) -> list[Any] | None:
    if isinstance(node, ast.Tuple | ast.List):
        return node.elts
    is_param = (
        isinstance(node, ast.Call) and getattr(node.func, "attr", getattr(node.func, "id", "")) == "param"
    )
    return node.args if is_param and isinstance(node, ast.Call) else None


def _cell(node: ast.expr, place: int, width: int) -> ast.expr | None:
    if width == 1 and not isinstance(node, ast.Call):
        return node
    row = _row(node)
    return row[place] if row is not None and len(row) == width else None


def _put(rows: list[Any], number: int, place: int, width: int, value: ast.expr) -> None:
    if width == 1 and not isinstance(rows[number], ast.Call):
        rows[number] = value
    elif (row := _row(rows[number])) is not None:
        row[place] = value
