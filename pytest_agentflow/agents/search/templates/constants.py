"""Numbers, truth values and strings that are slightly off."""

from __future__ import annotations

import ast
import difflib
from collections.abc import Iterator

from pytest_agentflow.agents.search.context import Context
from pytest_agentflow.agents.search.edits import Edit


def edits(ctx: Context, node: ast.AST) -> Iterator[Edit]:
    if not isinstance(node, ast.Constant) or isinstance(ctx.parent(node), ast.JoinedStr | ast.FormattedValue):
        return
    if isinstance(ctx.parent(node), ast.Expr):
        return  # a docstring
    value = node.value
    if isinstance(value, bool):
        yield ctx.replace(node, str(not value), "constant", 1.0)
        yield ctx.replace(node, "None", "constant", 0.15)
    elif value is None:
        for text, weight in (
            ("False", 0.3),
            ("True", 0.2),
            ("0", 0.2),
            ('""', 0.2),
            ("[]", 0.2),
            ("{}", 0.1),
        ):
            yield ctx.replace(node, text, "constant", weight)
    elif isinstance(value, int | float):
        yield from _number(ctx, node, value)
    elif isinstance(value, str):
        yield from _string(ctx, node, value)
    elif isinstance(value, bytes) and len(value) < 40:
        others = {
            n.value
            for n in ast.walk(ctx.source.tree)
            if isinstance(n, ast.Constant) and isinstance(n.value, bytes)
        }
        for other in sorted(others - {value}):
            yield ctx.replace(node, repr(other), "constant", 0.3)


def _number(ctx: Context, node: ast.Constant, value: float) -> Iterator[Edit]:
    near = 1.0 if isinstance(value, int) else 0.2
    options: list[tuple[object, float]] = []
    if isinstance(ctx.parent(node), ast.BinOp):
        options.append((0, 0.1))  # "+ 0" is a dropped operand, and reads better as one
    options += [(value + 1, near), (value - 1, near)]
    options += [(v, w) for v, w in ((0, 0.6), (1, 0.6), (2, 0.2), (-1, 0.4), (-value, 0.4))]
    if isinstance(value, int):
        if abs(value) > 2:
            options += [
                (value * 2, 0.15),
                (value // 2, 0.15),
                (value * 10, 0.1),
                (value + 2, 0.1),
                (value - 2, 0.1),
            ]
        options += [(1 - value if value in (0, 1) else None, 0.3)]
    seen = {repr(value)}
    parent = ctx.parent(node)
    for option, weight in options:
        if repr(option) in seen or (
            isinstance(parent, ast.UnaryOp) and isinstance(option, int) and option < 0
        ):
            continue
        seen.add(repr(option))
        text = (
            f"({option})"
            if isinstance(option, int) and option < 0 and isinstance(parent, ast.BinOp)
            else repr(option)
        )
        yield ctx.replace(node, text, "constant", weight)
    for other in _numbers(ctx):
        if other not in seen:
            yield ctx.replace(node, other, "constant", 0.2)
    if isinstance(parent, ast.UnaryOp) and isinstance(parent.op, ast.USub):
        yield ctx.replace(parent, repr(value), "constant", 0.6)


def _numbers(ctx: Context) -> list[str]:
    """Other numbers of this function."""
    found = {
        repr(n.value)
        for n in ctx.nodes()
        if isinstance(n, ast.Constant) and isinstance(n.value, int | float) and not isinstance(n.value, bool)
    }
    return sorted(found)[:6]


def _string(ctx: Context, node: ast.Constant, value: str) -> Iterator[Edit]:
    prefix, quote = _quoting(ctx.code(node))
    if prefix is None:
        return

    def literal(text: str) -> str:
        body = repr(text)
        if quote == '"' and body[0] == "'" and '"' not in text:
            body = '"' + body[1:-1].replace("\\'", "'") + '"'
        return body

    close = difflib.get_close_matches(value, [s for s in ctx.file.strings if s != value], n=4, cutoff=0.5)
    options = [(s, 0.8) for s in close]
    options += [(s, 0.8) for s in difflib.get_close_matches(value, ctx.file.project.words, n=3, cutoff=0.75)]
    options += [(s, 0.3) for s in ctx.file.strings[:20] if s not in close]
    options += [
        (value.strip(), 0.3),
        (value + " ", 0.2),
        (" " + value, 0.2),
        ("", 0.4),
        (" ", 0.2),
        (value.lower(), 0.2),
    ]
    options += [
        (value.upper(), 0.2),
        (value.rstrip("\n"), 0.2),
        (value + "\n", 0.2),
        (value + value[-1:], 0.15),
        (value[:-1], 0.15),
        (value[1:], 0.15),
    ]
    seen = {value}
    for text, weight in options:
        if text not in seen:
            seen.add(text)
            yield ctx.replace(node, literal(text), "string", weight)


def _quoting(code: str) -> tuple[str | None, str]:
    """Prefix and quote of a plain literal; a prefix of None for one that should not be rewritten."""
    for quote in ("'", '"'):
        if code.startswith(quote) and not code.startswith(quote * 3) and "\n" not in code:
            return "", quote
    return ("r", code[1:2]) if code[:1].lower() == "r" else (None, "")
