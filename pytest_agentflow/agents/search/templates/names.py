"""The wrong variable, attribute or method: others that are in scope, or that are seen on the same object."""

from __future__ import annotations

import ast
import difflib
from collections.abc import Iterator

from pytest_agentflow.agents.search.context import Context
from pytest_agentflow.agents.search.edits import Edit


def edits(ctx: Context, node: ast.AST) -> Iterator[Edit]:
    if isinstance(node, ast.Name) and node.id not in ("self", "cls"):
        yield from _variable(ctx, node)
    elif isinstance(node, ast.Attribute):
        yield from _attribute(ctx, node)
    if isinstance(node, ast.expr) and not isinstance(node, ast.Name | ast.Constant):
        yield from _by_a_name(ctx, node)
        yield from _borrowed(ctx, node)


def _variable(ctx: Context, node: ast.Name) -> Iterator[Edit]:
    parent = ctx.parent(node)
    called = isinstance(parent, ast.Call) and parent.func is node
    others = [n for n in ctx.locals if n != node.id]
    if isinstance(node.ctx, ast.Store):
        for name in others:
            yield ctx.replace(node, name, "wrong-target", 0.25)
        return
    near = set(difflib.get_close_matches(node.id, others, n=3, cutoff=0.5))
    for name in others:
        yield ctx.replace(
            node, name, "wrong-variable", (1.0 if name in near else 0.8) * (0.1 if called else 1)
        )
    for name in ctx.used_globals[:10]:
        if name != node.id and not called:
            yield ctx.replace(node, name, "wrong-variable", 0.15)
    if called:
        return
    yield from _of_self(ctx, node)
    for attribute in ctx.file.attributes.get(node.id, [])[:6]:
        if not isinstance(parent, ast.Attribute):
            yield ctx.replace(node, f"{node.id}.{attribute}", "missing-attribute", 0.25)


def _of_self(ctx: Context, node: ast.Name) -> Iterator[Edit]:
    if "self" in ctx.params:
        yield ctx.replace(node, "self", "wrong-variable", 0.3)
        for attribute in ctx.self_attributes[:12]:
            weight = 0.4 if attribute == node.id else 0.15
            yield ctx.replace(node, f"self.{attribute}", "wrong-variable", weight)


def _attribute(ctx: Context, node: ast.Attribute) -> Iterator[Edit]:
    start, end = ctx.source.span(node.value)[1], ctx.source.span(node)[1]
    line = node.end_lineno or node.lineno
    base = node.value.id if isinstance(node.value, ast.Name) else ""
    same = ctx.self_attributes if base == "self" else ctx.file.attributes.get(base, []) if base else []
    elsewhere = [a for a in ctx.file.attributes[""] if a not in same]
    close = difflib.get_close_matches(node.attr, [*same, *elsewhere], n=5, cutoff=0.55)
    for n, name in enumerate(same[:25]):
        if name != node.attr:
            weight = 0.9 if name in close else 0.7 if n < 8 else 0.4
            yield ctx.between(start, end, f".{name}", "wrong-attribute", line, weight)
    for name in elsewhere[:25]:
        if name != node.attr:
            yield ctx.between(start, end, f".{name}", "wrong-attribute", line, 0.7 if name in close else 0.15)
    if base == "self" and isinstance(node.ctx, ast.Load):
        for name in ctx.locals[:10]:
            yield ctx.replace(node, name, "wrong-variable", 0.6 if name == node.attr else 0.4)
    if isinstance(node.ctx, ast.Load) and base not in ("self", "cls"):
        yield ctx.replace(node, ctx.code(node.value), "extra-attribute", 0.2)


def _by_a_name(ctx: Context, node: ast.expr) -> Iterator[Edit]:
    """A whole expression that should simply be a variable."""
    if not isinstance(getattr(node, "ctx", ast.Load()), ast.Load) or isinstance(node, ast.Starred):
        return
    parent = ctx.parent(node)
    if isinstance(parent, ast.Attribute | ast.Expr) or (isinstance(parent, ast.Call) and parent.func is node):
        return
    inside = {n.id for n in ast.walk(node) if isinstance(n, ast.Name)}
    for name in ctx.locals[:12]:
        weight = 0.25 if name in inside else 0.15
        yield ctx.replace(node, name, "expression-for-name", weight)


def _borrowed(ctx: Context, node: ast.expr) -> Iterator[Edit]:
    """An expression of the same sort that this function has elsewhere; also as the target of an assignment."""
    if not isinstance(node, ast.Subscript | ast.Attribute | ast.Call | ast.BinOp | ast.Compare):
        return
    own = ctx.code(node)
    store = not isinstance(getattr(node, "ctx", ast.Load()), ast.Load)
    for text in expressions(ctx, type(node).__name__)[:15]:
        if text != own and not (store and isinstance(node, ast.Call)):
            yield ctx.put(node, text, "borrowed-expression", 0.3 if not store else 0.35)


def expressions(ctx: Context, sort: str) -> list[str]:
    """Expressions of this function of one sort (`Call`, `Attribute` …), kept with the context since every node asks."""
    found: dict[str, dict[str, None]] | None = ctx.__dict__.get("_expressions")
    if found is None:
        found = ctx.__dict__["_expressions"] = {}
        for node in ctx.nodes():
            if isinstance(node, ast.Subscript | ast.Attribute | ast.Call | ast.BinOp | ast.Compare):
                text = ctx.code(node)
                if "\n" not in text and len(text) < 80:
                    found.setdefault(type(node).__name__, {})[text] = None
    return list(found.get(sort, {}))
