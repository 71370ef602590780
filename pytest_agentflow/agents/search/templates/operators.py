"""Comparison, arithmetic and boolean operators: another operator, another order, another grouping, one operand less."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from itertools import pairwise

from pytest_agentflow.agents.search.context import Context
from pytest_agentflow.agents.search.edits import Edit

SYMBOLS: dict[type[ast.AST], str] = {
    ast.Lt: "<",
    ast.LtE: "<=",
    ast.Gt: ">",
    ast.GtE: ">=",
    ast.Eq: "==",
    ast.NotEq: "!=",
    ast.Is: "is",
    ast.IsNot: "is not",
    ast.In: "in",
    ast.NotIn: "not in",
    ast.Add: "+",
    ast.Sub: "-",
    ast.Mult: "*",
    ast.Div: "/",
    ast.FloorDiv: "//",
    ast.Mod: "%",
    ast.Pow: "**",
    ast.BitAnd: "&",
    ast.BitOr: "|",
    ast.BitXor: "^",
    ast.LShift: "<<",
    ast.RShift: ">>",
    ast.And: "and",
    ast.Or: "or",
}
# What an operator is mistaken for, most often first.
CONFUSED: dict[str, tuple[str, ...]] = {
    "<": ("<=", ">", ">=", "!=", "=="),
    "<=": ("<", ">=", ">", "==", "!="),
    ">": (">=", "<", "<=", "!=", "=="),
    ">=": (">", "<=", "<", "==", "!="),
    "==": ("!=", "is", "<=", ">=", "in", "<", ">"),
    "!=": ("==", "is not", "<", ">", "not in"),
    "is": ("is not", "=="),
    "is not": ("is", "!="),
    "in": ("not in", "=="),
    "not in": ("in", "!="),
    "+": ("-", "*", "|", "%", "//"),
    "-": ("+", "*", "/", "//", "%"),
    "*": ("+", "**", "/", "//", "-"),
    "/": ("//", "*", "%", "-"),
    "//": ("/", "%", "*", "-"),
    "%": ("//", "/", "*"),
    "**": ("*", "+", "//"),
    "&": ("|", "^", "-"),
    "|": ("&", "^", "+"),
    "^": ("&", "|", "**"),
    "<<": (">>", "*"),
    ">>": ("<<", "//"),
}
ORDERED = ast.Sub | ast.Div | ast.FloorDiv | ast.Mod | ast.Pow | ast.Add | ast.LShift | ast.RShift


def edits(ctx: Context, node: ast.AST) -> Iterator[Edit]:
    if isinstance(node, ast.Compare):
        yield from _compare(ctx, node)
    elif isinstance(node, ast.BinOp):
        yield from _arithmetic(ctx, node)
    elif isinstance(node, ast.AugAssign):
        yield from _augmented(ctx, node)
    elif isinstance(node, ast.BoolOp):
        yield from _boolean(ctx, node)
    elif isinstance(node, ast.UnaryOp):
        operand = ctx.code(node.operand)
        yield ctx.put(node, operand, "unary-dropped", 1.0)
        if isinstance(node.op, ast.USub):
            yield ctx.put(node, f"~{ctx.atom(node.operand)}", "unary", 0.1)
        elif isinstance(node.op, ast.Invert):
            yield ctx.put(node, f"-{ctx.atom(node.operand)}", "unary", 0.3)


def _swap_token(
    ctx: Context, left: ast.expr, right: ast.expr, old: str, new: str, kind: str, weight: float
) -> Edit:
    """Replace the operator in the gap between two operands, whatever spaces, parentheses and comments are there."""
    start, end = ctx.source.span(left)[1], ctx.source.span(right)[0]
    gap = ctx.source.text[start:end]
    word = re.escape(old).replace("\\ ", r"\s+")
    pattern = rf"\b{word}\b" if old[0].isalpha() else word
    return ctx.between(
        start, end, re.sub(pattern, new, gap, count=1), kind, left.end_lineno or left.lineno, weight
    )


def _compare(ctx: Context, node: ast.Compare) -> Iterator[Edit]:
    operands = [node.left, *node.comparators]
    for left, op, right in zip(operands, node.ops, operands[1:], strict=False):
        old = SYMBOLS[type(op)]
        for n, new in enumerate(CONFUSED[old]):
            yield _swap_token(
                ctx, left, right, old, new, "comparison", (1.0, 0.8, 0.5, 0.3, 0.25, 0.1, 0.1)[n]
            )
    if len(operands) == 2 and isinstance(node.ops[0], ast.Lt | ast.LtE | ast.Gt | ast.GtE):
        for shift in (" + 1", " - 1"):
            yield ctx.replace(node.comparators[0], ctx.atom(node.comparators[0]) + shift, "off-by-one", 0.4)
        for left, right in pairwise(operands):
            if isinstance(left, ast.Name | ast.Attribute):
                yield ctx.replace(right, f"abs({ctx.code(right)})", "comparison-abs", 0.05)
                yield ctx.replace(left, f"abs({ctx.code(left)})", "comparison-abs", 0.05)
    if len(operands) == 2:
        yield from _limit(ctx, node, SYMBOLS[type(node.ops[0])])
    if len(operands) == 2 and isinstance(node.ops[0], ast.In | ast.NotIn):
        word = SYMBOLS[type(node.ops[0])]
        yield ctx.put(
            node, f"{ctx.atom(operands[1])} {word} {ctx.atom(operands[0])}", "swapped-operands", 0.3
        )


def _limit(ctx: Context, node: ast.Compare, old: str) -> Iterator[Edit]:
    """Another operator and another number at once: `len(x) == 0` for `len(x) <= 1`."""
    number = node.comparators[0]
    if isinstance(number, ast.Constant) and type(number.value) is int:
        for new in ("<=", ">", "==", "!="):
            for value in (number.value + 1, number.value - 1):
                if new != old:
                    text = f"{ctx.code(node.left)} {new} {value}"
                    yield ctx.replace(node, text, "comparison", 0.12)


def _arithmetic(ctx: Context, node: ast.BinOp) -> Iterator[Edit]:
    old = SYMBOLS.get(type(node.op))
    if old is None or (
        isinstance(node.left, ast.Constant) and isinstance(node.left.value, str) and old == "%"
    ):
        return
    left, right = ctx.atom(node.left), ctx.atom(node.right)
    for n, new in enumerate(CONFUSED[old]):
        yield _swap_token(ctx, node.left, node.right, old, new, "arithmetic", (1.0, 0.4, 0.3, 0.3, 0.2)[n])
    if isinstance(node.op, ORDERED):
        yield ctx.put(node, f"{right} {old} {left}", "swapped-operands", 0.5)
    by_one = old in ("+", "-") and isinstance(node.right, ast.Constant) and node.right.value == 1
    kind, weight = ("off-by-one", 0.9) if by_one else ("operand-dropped", 0.4)
    yield ctx.put(node, ctx.code(node.left), kind, weight)
    yield ctx.put(node, ctx.code(node.right), "operand-dropped", 0.3)
    yield from _regrouped(ctx, node, old)
    if isinstance(node.op, ast.Div):
        yield ctx.put(node, f"int({left} / {right})", "arithmetic", 0.1)


def _regrouped(ctx: Context, node: ast.BinOp, old: str) -> Iterator[Edit]:
    if isinstance(node.left, ast.BinOp) and type(node.left.op) in SYMBOLS:
        inner = SYMBOLS[type(node.left.op)]
        a, b, c = (ctx.atom(e) for e in (node.left.left, node.left.right, node.right))
        yield ctx.put(node, f"{a} {inner} ({b} {old} {c})", "precedence", 0.4)
    if isinstance(node.right, ast.BinOp) and type(node.right.op) in SYMBOLS:
        inner = SYMBOLS[type(node.right.op)]
        a, b, c = (ctx.atom(e) for e in (node.left, node.right.left, node.right.right))
        yield ctx.put(node, f"({a} {old} {b}) {inner} {c}", "precedence", 0.4)


def _augmented(ctx: Context, node: ast.AugAssign) -> Iterator[Edit]:
    old = SYMBOLS.get(type(node.op))
    if old is None:
        return
    target, value = ctx.code(node.target), ctx.code(node.value)
    for n, new in enumerate(CONFUSED[old]):
        yield ctx.replace(node, f"{target} {new}= {value}", "arithmetic", (1.0, 0.4, 0.3, 0.3, 0.2)[n])
    yield ctx.replace(node, f"{target} = {value}", "accumulator", 0.5)
    yield ctx.replace(node, f"{target} = {value} {old} {target}", "swapped-operands", 0.2)


def _boolean(ctx: Context, node: ast.BoolOp) -> Iterator[Edit]:
    old, new = ("and", "or") if isinstance(node.op, ast.And) else ("or", "and")
    values = [
        ctx.atom(v) if isinstance(v, ast.BoolOp | ast.IfExp | ast.Lambda) else ctx.code(v)
        for v in node.values
    ]
    yield ctx.put(node, f" {new} ".join(values), "boolean", 1.0)
    if len(values) > 2:
        for left, right in zip(node.values, node.values[1:], strict=False):
            yield _swap_token(ctx, left, right, old, new, "boolean", 0.3)
    for n in range(len(values)):
        rest = values[:n] + values[n + 1 :]
        yield ctx.put(node, f" {old} ".join(rest), "operand-dropped", 0.6)
    if len(values) == 2:
        yield ctx.put(node, f"{values[1]} {old} {values[0]}", "swapped-operands", 0.15)
    for n, value in enumerate(node.values):
        if isinstance(value, ast.BoolOp) and len(values) == 2:
            inner = "and" if isinstance(value.op, ast.And) else "or"
            parts = [ctx.atom(v) for v in value.values]
            other = values[1 - n]
            grouped = (
                f"({other} {old} {parts[0]}) {inner} {f' {inner} '.join(parts[1:])}"
                if n
                else f"{f' {inner} '.join(parts[:-1])} {inner} ({parts[-1]} {old} {other})"
            )
            yield ctx.put(node, grouped, "precedence", 0.4)
