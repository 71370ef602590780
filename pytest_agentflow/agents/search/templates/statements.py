"""Statements: missing ones (accumulations, borrowed lines), extra ones, misplaced ones."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from itertools import islice, permutations

from pytest_agentflow.agents.search.context import BUILTINS, Context
from pytest_agentflow.agents.search.edits import Edit
from pytest_agentflow.agents.search.templates.places import block_of, in_loop, subjects_at

SIMPLE = (
    ast.Expr
    | ast.Assign
    | ast.AugAssign
    | ast.AnnAssign
    | ast.Return
    | ast.Raise
    | ast.Break
    | ast.Continue
    | ast.Delete
)


def edits(ctx: Context, node: ast.AST) -> Iterator[Edit]:
    if not isinstance(node, ast.stmt) or isinstance(ctx.scope, ast.Module):
        return
    if _is_docstring(node):
        return
    yield from _borrowed(ctx, node)
    yield from _alike(ctx, node)
    yield from _made(ctx, node)
    if isinstance(node, SIMPLE):
        yield from _removed(ctx, node)
    if isinstance(node, ast.If):
        yield from _unwrapped(ctx, node)
    yield from _moved(ctx, node)


def _is_docstring(node: ast.stmt) -> bool:
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)


def _borrowed(ctx: Context, node: ast.stmt) -> Iterator[Edit]:
    """A statement that this function or file has elsewhere."""
    own = ctx.code(node)
    for n, (text, other) in enumerate(islice(ctx.statements.items(), 60)):
        if text == own or "\n" in text:
            continue
        weight = 0.4 if n < 15 else 0.15
        if isinstance(other, ast.Break | ast.Continue) and not in_loop(ctx, node):
            continue
        yield ctx.before(node, text, "missing-statement", weight)
        if _last_of_block(ctx, node) and not isinstance(
            node, ast.Return | ast.Raise | ast.Break | ast.Continue
        ):
            yield ctx.after(node, text, "missing-statement", weight)


def _alike(ctx: Context, node: ast.stmt) -> Iterator[Edit]:
    """A call or accumulation of this function done once more, with another name in scope."""
    own = [n for n in ctx.nodes() if isinstance(n, ast.Expr | ast.AugAssign) and n.lineno == n.end_lineno]
    near = sorted((n for n in own if not _is_docstring(n)), key=lambda n: abs(n.lineno - node.lineno))[:5]
    for n, other in enumerate(near):
        text = ctx.code(other)
        names = {m.id for m in ast.walk(other.value) if isinstance(m, ast.Name) and m.id in ctx.locals}
        for m, name in enumerate(x for x in subjects_at(ctx, node) if x not in names and x.isidentifier()):
            for old in sorted(names)[:2]:
                told = re.sub(rf"(?<![\w.\"']){old}\b(?!\s*=[^=])", name, text)
                weight = 0.3 / (1 + 0.3 * n) / (1 + 0.3 * m)
                yield ctx.before(node, told, "missing-statement", weight)


def _last_of_block(ctx: Context, node: ast.stmt) -> bool:
    parent = ctx.parent(node)
    return any(
        block and block[-1] is node
        for block in (getattr(parent, name, None) for name in ("body", "orelse", "finalbody"))
        if isinstance(block, list)
    )


def _made(ctx: Context, node: ast.stmt) -> Iterator[Edit]:
    """New small statements from names in scope: collect, assign, return, leave the loop."""
    names = ctx.locals[:9]
    last = _last_of_block(ctx, node) and not isinstance(
        node, ast.Return | ast.Raise | ast.Break | ast.Continue
    )
    for place in (ctx.before, ctx.after) if last else (ctx.before,):
        for text, kind, weight in _small(ctx, names, in_loop(ctx, node)):
            yield place(node, text, kind, weight)
    for name in ctx.uncounted:
        weight = 0.4 if _read_below(ctx, node, name) else 0.25
        yield ctx.before(node, f"self.{name} += 1", "missing-statement", weight)
        if last:
            yield ctx.after(node, f"self.{name} += 1", "missing-statement", 0.25)
    for name in [*names, "self", "None", "True", "False"] if last else ():
        if name != "self" or "self" in ctx.params:
            yield ctx.after(node, f"return {name}", "missing-return", 0.35)
    if isinstance(node, ast.Expr) and isinstance(node.value, ast.Call):
        yield ctx.replace(node, f"return {ctx.code(node)}", "missing-return", 0.8)
        for name in names[:6]:
            yield ctx.replace(node, f"{name} = {ctx.code(node)}", "missing-assignment", 0.3)


def _read_below(ctx: Context, node: ast.stmt, attribute: str) -> bool:
    """Whether this statement or one behind it in its block looks at an attribute: a value is mostly changed before it is used."""
    block = block_of(ctx, node)
    below = block[block.index(node) :] if node in block else [node]
    inside = (n for statement in below for n in ast.walk(statement))
    return any(isinstance(n, ast.Attribute) and n.attr == attribute for n in inside)


def _small(ctx: Context, names: list[str], loop: bool) -> Iterator[tuple[str, str, float]]:
    for name, other in permutations(names, 2):
        yield f"{name} = {other}", "missing-statement", 0.15
    for method, holder in _collections(ctx):
        for item in names:
            if item != holder:
                yield f"{holder}.{method}({item})", "missing-statement", 0.4
    counters = [
        n.target.id for n in ctx.nodes() if isinstance(n, ast.AugAssign) and isinstance(n.target, ast.Name)
    ]
    for name in dict.fromkeys([*counters, *(names[:6] if loop else ())]):
        yield f"{name} += 1", "missing-statement", 0.3
    for call in _calls_by_name(ctx)[:20]:
        yield call, "missing-statement", 0.35
    if loop:
        yield "break", "missing-break", 0.3
        yield "continue", "missing-break", 0.2


def _calls_by_name(ctx: Context) -> list[str]:
    """Functions and methods of this file whose parameters are all in scope under their own names; local callables."""
    owner = ctx.file.enclosing_class(ctx.scope)
    found: list[str] = []
    for function in ctx.file.functions:
        names = [a.arg for a in function.args.args]
        holder = ctx.file.enclosing_class(function)
        if (
            function is ctx.scope
            or len(names) > 4
            or function.args.kwonlyargs
            or function.name.startswith("__")
        ):
            continue
        if (
            holder is None
            and names
            and function.name in ctx.reachable
            and set(names) <= ctx.reachable - BUILTINS
        ):
            found.append(f"{function.name}({', '.join(names)})")
        elif (
            holder is not None
            and holder is owner
            and names[:1] == ["self"]
            and set(names) <= ctx.reachable - BUILTINS
        ):
            found.append(f"self.{function.name}({', '.join(names[1:])})")
    called = {n.func.id for n in ctx.nodes() if isinstance(n, ast.Call) and isinstance(n.func, ast.Name)}
    bound = {n.targets[0].id for n in ctx.nodes() if isinstance(n, ast.Assign) and isinstance(n.targets[0], ast.Name)
             and isinstance(n.value, ast.Attribute)}  # fmt: skip
    local = [name for name in ctx.locals if name in called or name in bound]
    return found + [f"{name}({item})" for name in local[:3] for item in ctx.locals[:8] if item != name]


def _collections(ctx: Context) -> list[tuple[str, str]]:
    """(method, variable) pairs that collect things here: seen calls, and variables that start as collections."""
    outer = ctx.parent(ctx.scope) if not isinstance(ctx.scope, ast.Module) else None
    around = ast.walk(outer) if isinstance(outer, ast.FunctionDef) else ()
    found: dict[tuple[str, str], None] = {}
    for node in ctx.nodes():
        found.update(dict.fromkeys(_collecting(ctx, node)))
    for node in around:
        found.update(dict.fromkeys(pair for pair in _collecting(ctx, node) if pair[0] == "add"))
    return list(found)[:6]


def _collecting(ctx: Context, node: ast.AST) -> Iterator[tuple[str, str]]:
    if (
        isinstance(node, ast.Call)
        and isinstance(node.func, ast.Attribute)
        and isinstance(node.func.value, ast.Name)
    ):
        if node.func.attr in ("append", "add", "extend", "update", "appendleft", "insert"):
            yield node.func.attr, node.func.value.id
    elif isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name):
        called = getattr(getattr(node.value, "func", None), "id", "")
        if isinstance(node.value, ast.List | ast.ListComp) or called in ("list", "deque"):
            yield "append", node.targets[0].id
        elif isinstance(node.value, ast.Set) or called == "set":
            yield "add", node.targets[0].id
        elif isinstance(node.value, ast.Dict) or called in ("dict", "defaultdict", "Counter"):
            yield "update", node.targets[0].id
    elif isinstance(node, ast.Compare) and isinstance(node.ops[0], ast.In | ast.NotIn):
        name = getattr(node.comparators[0], "id", "")
        if name in ctx.params:  # a collection may also be handed in
            yield "add", name
            yield "append", name


def _removed(ctx: Context, node: ast.stmt) -> Iterator[Edit]:
    parent = ctx.parent(node)
    alone = any(getattr(parent, b, None) == [node] for b in ("body", "orelse", "finalbody"))
    yield ctx.replace(node, "pass", "extra-statement", 0.3 if alone else 0.35)


def _unwrapped(ctx: Context, node: ast.If) -> Iterator[Edit]:
    """An `elif` that should be an `if`, and the other way round."""
    line = ctx.source.lines[node.lineno - 1]
    start = ctx.source.span(node)[0]
    if line.lstrip().startswith("elif"):
        yield ctx.between(start, start + 4, "if", "branch", node.lineno, 0.3)
    block = block_of(ctx, node)
    n = block.index(node) if node in block else 0
    if n and isinstance(block[n - 1], ast.If):
        yield ctx.between(start, start + 2, "elif", "branch", node.lineno, 0.3)


def _moved(ctx: Context, node: ast.stmt) -> Iterator[Edit]:
    """A statement that changes places with the next, or leaves or enters a block."""
    block = block_of(ctx, node)
    if node not in block:
        return
    n = block.index(node)
    source, newline = ctx.source, ctx.source.newline
    if n + 1 < len(block):
        following = block[n + 1]
        if isinstance(node, SIMPLE) and isinstance(following, SIMPLE):
            start, end = source.span(node)[0], source.span(following)[1]
            middle = source.text[source.span(node)[1] : source.span(following)[0]]
            yield ctx.between(
                start,
                end,
                source.code(following) + middle + source.code(node),
                "statement-order",
                node.lineno,
                0.35,
            )
    parent = ctx.parent(node)
    whole = source.line_start(node.lineno), source.line_start((node.end_lineno or node.lineno) + 1)
    text = source.text[slice(*whole)]
    if isinstance(parent, ast.For | ast.While | ast.If | ast.With) and n == len(block) - 1 and n > 0:
        outer = source.indent(parent)
        moved = newline.join(_reindented(text, source.indent(node), outer))
        yield ctx.between(*whole, moved, "indentation", node.lineno, 0.4)
    if n and isinstance(block[n - 1], ast.For | ast.While | ast.If | ast.With):
        body = getattr(block[n - 1], "orelse", None) or block[n - 1].body  # type: ignore[attr-defined]
        inner = source.indent(body[-1])
        yield ctx.between(
            *whole,
            newline.join(_reindented(text, source.indent(node), inner)),
            "indentation",
            node.lineno,
            0.4,
        )


def _reindented(text: str, old: str, new: str) -> list[str]:
    return [new + row[len(old) :] if row.startswith(old) else row for row in text.splitlines()] + [""]
