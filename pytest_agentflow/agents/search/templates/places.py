"""Where a statement stands: in a loop, behind which other one, and what a condition there would be about."""

from __future__ import annotations

import ast

from pytest_agentflow.agents.search.context import Context

SUBJECTS = 6


def in_loop(ctx: Context, node: ast.AST) -> bool:
    return inside(ctx, node, ast.For) or inside(ctx, node, ast.While)


def inside(ctx: Context, node: ast.AST, kind: type[ast.AST]) -> bool:
    at = ctx.parent(node)
    while at is not None and at is not ctx.scope:
        if isinstance(at, kind):
            return True
        at = ctx.parent(at)
    return False


def block_of(ctx: Context, node: ast.stmt) -> list[ast.stmt]:
    """The statements among which this one stands."""
    parent = ctx.parent(node)
    for name in ("body", "orelse", "finalbody"):
        block = getattr(parent, name, None)
        if isinstance(block, list) and node in block:
            return block
    return []


def previous(ctx: Context, node: ast.stmt) -> ast.stmt | None:
    block = block_of(ctx, node)
    at = block.index(node) if node in block else 0
    return block[at - 1] if at else None


def subjects_at(ctx: Context, node: ast.stmt) -> list[str]:
    """What a condition here would be about: what nothing reads, was set just now, is used next; then parameters."""
    forgotten = [n for n in ctx.locals if n in ctx.unread]
    before, here = previous(ctx, node), _next_with_names(ctx, node)
    fresh = _names(before, ast.Store) if isinstance(before, ast.Assign | ast.AnnAssign) else []
    used = [n for n in _names(here, ast.Load) if n in ctx.locals]
    fields = [
        f"self.{n.attr}"
        for n in ast.walk(here)
        if isinstance(n, ast.Attribute)
        and getattr(n.value, "id", "") == "self"
        and isinstance(n.ctx, ast.Load)
    ]
    fields = [f for f in dict.fromkeys(fields) if f[5:] not in ctx.file.signatures][:2]
    known = dict.fromkeys([*forgotten, *fresh, *used[:4], *fields, *ctx.params])
    return [n for n in known if n not in ("self", "cls")][:SUBJECTS]


def _next_with_names(ctx: Context, node: ast.stmt) -> ast.stmt:
    block = block_of(ctx, node)
    behind = block[block.index(node) :] if node in block else [node]
    return next((n for n in behind if not isinstance(n, ast.Pass)), node)


def _names(node: ast.AST, how: type[ast.expr_context]) -> list[str]:
    """Names in a statement, in order."""
    return list(
        dict.fromkeys(n.id for n in ast.walk(node) if isinstance(n, ast.Name) and isinstance(n.ctx, how))
    )
