"""Parameters: a wrong default value, a mutable default, parameters in the wrong order."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from pytest_agentflow.agents.search.context import Context
from pytest_agentflow.agents.search.edits import Edit
from pytest_agentflow.agents.search.files import Function


def edits(ctx: Context, node: ast.AST) -> Iterator[Edit]:
    if not isinstance(node, Function) or isinstance(ctx.scope, ast.Module):
        return
    if node is not ctx.scope:
        return
    a = node.args
    pairs = list(zip([*a.posonlyargs, *a.args][::-1], a.defaults[::-1], strict=False))
    pairs += [
        (arg, default)
        for arg, default in zip(a.kwonlyargs, a.kw_defaults, strict=True)
        if default is not None
    ]
    for arg, default in pairs:
        yield from _default(ctx, node, arg, default)


def _default(ctx: Context, function: Function, arg: ast.arg, default: ast.expr) -> Iterator[Edit]:
    text = ctx.code(default)
    if isinstance(default, ast.Constant) and isinstance(default.value, bool):
        yield ctx.replace(default, str(not default.value), "default", 1.0)
    for other, weight in (
        ("None", 0.4),
        ("True", 0.3),
        ("False", 0.3),
        ("0", 0.2),
        ("1", 0.3),
        ('""', 0.2),
        ("()", 0.1),
    ):
        if other != text:
            yield ctx.replace(default, other, "default", weight)
    if isinstance(default, ast.Constant) and isinstance(default.value, int):
        yield ctx.replace(default, str(default.value + 1), "default", 0.4)
        yield ctx.replace(default, str(default.value - 1), "default", 0.4)
    if isinstance(default, ast.Constant) and isinstance(default.value, str):
        for other in ctx.file.strings[:15]:
            yield ctx.replace(default, repr(other), "default", 0.3)
    if isinstance(default, ast.List | ast.Dict | ast.Set | ast.Call):
        yield from _mutable(ctx, function, arg, default, text)


def _mutable(ctx: Context, function: Function, arg: ast.arg, default: ast.expr, text: str) -> Iterator[Edit]:
    """`def f(x=[])` for `def f(x=None)` and a fresh value inside: one text edit from the default to the body."""
    body = function.body
    first = (
        body[1]
        if len(body) > 1 and isinstance(body[0], ast.Expr) and isinstance(body[0].value, ast.Constant)
        else body[0]
    )
    if first.lineno == function.lineno:
        return
    source, indent, newline = ctx.source, ctx.source.indent(first), ctx.source.newline
    start, end = source.span(default)[0], source.line_start(first.lineno)
    between = source.text[source.span(default)[1] : end]
    guard = f"{indent}if {arg.arg} is None:{newline}{indent}    {arg.arg} = {text}{newline}"
    yield ctx.between(start, end, f"None{between}{guard}", "mutable-default", default.lineno, 0.8)
