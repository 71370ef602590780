"""Slices, indices and ranges: bounds off by one, missing or extra bounds, swapped indices."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from pytest_agentflow.agents.search.context import Context
from pytest_agentflow.agents.search.edits import Edit


def edits(ctx: Context, node: ast.AST) -> Iterator[Edit]:
    if isinstance(node, ast.Subscript):
        if isinstance(node.slice, ast.Slice):
            yield from _slice(ctx, node, node.slice)
        else:
            yield from _index(ctx, node)
    elif isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "range":
        yield from _range(ctx, node)
    if isinstance(node, ast.Name | ast.Attribute | ast.Call) and isinstance(
        getattr(node, "ctx", ast.Load()), ast.Load
    ):
        yield from _sliced(ctx, node)


def _slice(ctx: Context, node: ast.Subscript, part: ast.Slice) -> Iterator[Edit]:
    value = ctx.code(node.value)
    lower, upper, step = (ctx.code(b) if b else "" for b in (part.lower, part.upper, part.step))
    tail = f":{step}" if step else ""
    for low, up, weight in _bounds(ctx, part, lower, upper):
        yield ctx.replace(node, f"{value}[{low}:{up}{tail}]", "slice", weight)
    for end in ("",) if step else (":-1", ":2"):
        yield ctx.replace(node, f"{value}[{lower}:{upper}{end}]", "slice", 0.2)
    yield ctx.replace(node, value, "slice", 0.4)
    for bound in filter(None, (lower, upper)):
        yield ctx.replace(node, f"{value}[{bound}]", "slice", 0.2)


def _bounds(ctx: Context, part: ast.Slice, lower: str, upper: str) -> Iterator[tuple[str, str, float]]:
    """Other bounds: shifted by one, one less, one more, exchanged."""
    for shift in (" + 1", " - 1"):
        if lower and not isinstance(part.lower, ast.Constant):
            yield lower + shift, upper, 0.8
        if upper and not isinstance(part.upper, ast.Constant):
            yield lower, upper + shift, 0.8
    yield ("", upper, 0.5) if lower else ("1", upper, 0.5)
    yield (lower, "", 0.5) if upper else (lower, "-1", 0.5)
    if bool(lower) != bool(upper):
        yield upper, lower, 0.6
    elif lower:
        yield upper, lower, 0.2
    for name in ctx.locals[:10]:
        for bound, weight in ((name, 0.3), (f"{name} + 1", 0.2), (f"len({name})", 0.15)):
            if not lower:
                yield bound, upper, weight
            if not upper:
                yield lower, bound, weight


def _index(ctx: Context, node: ast.Subscript) -> Iterator[Edit]:
    index, value = ctx.code(node.slice), ctx.code(node.value)
    if isinstance(node.slice, ast.Tuple):
        yield from _tuple_index(ctx, node, node.slice)
    elif not isinstance(node.slice, ast.Constant):
        for shift in (" + 1", " - 1"):
            yield ctx.replace(node.slice, index + shift, "off-by-one", 0.7)
    if isinstance(node.value, ast.Subscript) and not isinstance(node.value.slice, ast.Slice):
        inner, base = ctx.code(node.value.slice), ctx.code(node.value.value)
        yield ctx.replace(node, f"{base}[{index}][{inner}]", "swapped-indices", 0.8)
    if isinstance(node.ctx, ast.Load):
        yield ctx.replace(node, f"{value}[{index}:]", "slice", 0.2)
        yield ctx.replace(node, f"{value}[:{index}]", "slice", 0.2)
        yield ctx.put(node, value, "extra-index", 0.3)
        yield ctx.put(node, index, "extra-index", 0.1)
        yield ctx.replace(node, f"{value}.get({index})", "missing-guard", 0.3)
        for default in ("0", '""', "[]", "{}"):
            yield ctx.replace(node, f"{value}.get({index}, {default})", "missing-guard", 0.15)


def _tuple_index(ctx: Context, node: ast.Subscript, index: ast.Tuple) -> Iterator[Edit]:
    value, parts = ctx.code(node.value), [ctx.code(e) for e in index.elts]
    if len(parts) == 2:
        yield ctx.replace(node, f"{value}[{parts[1]}, {parts[0]}]", "swapped-indices", 0.8)
    for n, part in enumerate(parts):
        for shift in (" + 1", " - 1"):
            shifted = [*parts[:n], part + shift, *parts[n + 1 :]]
            yield ctx.replace(node, f"{value}[{', '.join(shifted)}]", "off-by-one", 0.7)


def _range(ctx: Context, node: ast.Call) -> Iterator[Edit]:
    args = [ctx.code(a) for a in node.args]
    if not args or any(isinstance(a, ast.Starred) for a in node.args):
        return
    for n, arg in enumerate(args[:2]):
        for shift in (" + 1", " - 1"):
            shifted = [*args[:n], arg + shift, *args[n + 1 :]]
            yield ctx.replace(node, f"range({', '.join(shifted)})", "loop-bound", 1.0)
    if len(args) == 1:
        yield ctx.replace(node, f"range(1, {args[0]})", "loop-bound", 0.6)
        yield ctx.replace(node, f"range(1, {args[0]} + 1)", "loop-bound", 0.5)
        yield ctx.replace(node, f"range(len({args[0]}))", "loop-bound", 0.2)
    elif len(args) == 2:
        yield ctx.replace(node, f"range({args[1]})", "loop-bound", 0.5)
        yield ctx.replace(node, f"range({args[0]} + 1, {args[1]} + 1)", "loop-bound", 0.4)
        yield ctx.replace(node, f"range({args[0]} - 1, {args[1]} - 1)", "loop-bound", 0.1)


def _sliced(ctx: Context, node: ast.expr) -> Iterator[Edit]:
    """A sequence that should have been cut."""
    parent = ctx.parent(node)
    iterated = isinstance(parent, ast.For | ast.comprehension) and parent.iter is node
    argument = isinstance(parent, ast.Call) and node in parent.args
    result = isinstance(parent, ast.Return | ast.Assign)
    if isinstance(parent, ast.Call) and getattr(parent.func, "id", "") == "len":
        return
    if not (iterated or argument or result or isinstance(parent, ast.BinOp | ast.Compare)):
        return
    text, weight = ctx.code(node), 0.35 if iterated or argument else 0.2
    cuts = ["1:", ":-1", "::-1", "2:"]
    cuts += (
        [cut for name in ctx.locals[:6] if name != text for cut in (f"{name}:", f":{name}")]
        if iterated or argument
        else []
    )
    for cut in cuts:
        yield ctx.replace(node, f"{text}[{cut}]", "missing-slice", weight)
    yield ctx.put(node, f"{text} + 1", "off-by-one", 0.5 if argument or result else 0.4)
    yield ctx.put(node, f"{text} - 1", "off-by-one", 0.5 if argument or result else 0.4)
