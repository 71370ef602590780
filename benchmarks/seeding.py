"""Which bug is seeded where? A mutator with kinds of its own: it shares no code and no tables with the templates."""

from __future__ import annotations

import ast
import random
from collections.abc import Iterator
from dataclasses import dataclass

FLIP = {
    "<": "<=",
    "<=": "<",
    ">": ">=",
    ">=": ">",
    "==": "!=",
    "!=": "==",
    "in": "not in",
    "is": "is not",
    "is not": "is",
    "not in": "in",
}
OPS = {
    ast.Lt: "<",
    ast.LtE: "<=",
    ast.Gt: ">",
    ast.GtE: ">=",
    ast.Eq: "==",
    ast.NotEq: "!=",
    ast.In: "in",
    ast.NotIn: "not in",
    ast.Is: "is",
    ast.IsNot: "is not",
}
ARITH = {
    ast.Add: ("+", "-"),
    ast.Sub: ("-", "+"),
    ast.Mult: ("*", "+"),
    ast.FloorDiv: ("//", "*"),
    ast.Mod: ("%", "//"),
}


@dataclass(frozen=True)
class Bug:
    kind: str
    line: int
    source: str  # the whole file, broken
    what: str


def bugs(source: str, seed: int) -> list[Bug]:
    """Every bug that can be seeded in a file, in random order; one statement each, the rest of the text untouched."""
    found = list(_bugs(source))
    random.Random(seed).shuffle(found)
    return found


def _bugs(source: str) -> Iterator[Bug]:
    tree = ast.parse(source)
    rows = source.splitlines(keepends=True)
    starts = [0]
    for row in rows:
        starts.append(starts[-1] + len(row))

    def at(line: int, column: int) -> int:
        return starts[line - 1] + len(rows[line - 1].encode()[:column].decode(errors="ignore"))

    def code(node: ast.AST) -> str:
        return source[at(node.lineno, node.col_offset) : at(node.end_lineno, node.end_col_offset)]

    def put(node: ast.AST, text: str, kind: str) -> Bug:
        a, b = at(node.lineno, node.col_offset), at(node.end_lineno, node.end_col_offset)
        return Bug(
            kind, node.lineno, source[:a] + text + source[b:], f"{source[a:b][:60]!r} -> {text[:60]!r}"
        )

    for function in ast.walk(tree):
        if isinstance(function, ast.FunctionDef | ast.AsyncFunctionDef):
            names = sorted(
                {n.id for n in ast.walk(function) if isinstance(n, ast.Name)}
                & (
                    {a.arg for a in function.args.args}
                    | {
                        n.id
                        for n in ast.walk(function)
                        if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Store)
                    }
                )
            )
            for node in ast.walk(function):
                yield from _at_node(node, function, names, code, put)


def _at_node(node, function, names, code, put) -> Iterator[Bug]:
    if isinstance(node, ast.Compare) and len(node.ops) == 1:
        op = OPS[type(node.ops[0])]
        yield put(node, f"{code(node.left)} {FLIP[op]} {code(node.comparators[0])}", "compare")
    if isinstance(node, ast.BinOp) and type(node.op) in ARITH and not isinstance(node.left, ast.Constant):
        old, new = ARITH[type(node.op)]
        yield put(node, f"{code(node.left)} {new} {code(node.right)}", "arithmetic")
    if isinstance(node, ast.BoolOp):
        old, new = ("and", "or") if isinstance(node.op, ast.And) else ("or", "and")
        yield put(node, f" {new} ".join(code(v) for v in node.values), "boolean")
        kept = node.values[:-1]
        yield put(node, f" {old} ".join(code(v) for v in kept), "missing-condition")
        yield put(node, f" {old} ".join(code(v) for v in node.values[1:]), "missing-condition")
    if isinstance(node, ast.If | ast.While) and not isinstance(node.test, ast.UnaryOp | ast.Constant):
        yield put(node.test, f"not ({code(node.test)})", "negation")
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.Not):
        yield put(node, code(node.operand), "negation")
    if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load) and node.id in names:
        for other in names:
            if other != node.id:
                yield put(node, other, "wrong-variable")
    if isinstance(node, ast.Subscript) and isinstance(node.slice, ast.Slice):
        low, up = (code(b) if b else "" for b in (node.slice.lower, node.slice.upper))
        if not node.slice.step:
            value = code(node.value)
            if low:
                yield put(node, f"{value}[{low} + 1:{up}]", "slice-bound")
                yield put(node, f"{value}[:{up}]", "slice-bound")
            if up:
                yield put(node, f"{value}[{low}:{up} - 1]", "slice-bound")
                yield put(node, f"{value}[{low}:]", "slice-bound")
    if isinstance(node, ast.Constant) and isinstance(node.value, int) and not isinstance(node.value, bool):
        yield put(node, str(node.value + 1), "off-by-one")
        if node.value > 0:
            yield put(node, str(node.value - 1), "off-by-one")
    if isinstance(node, ast.Constant) and isinstance(node.value, bool):
        yield put(node, str(not node.value), "constant")
    if isinstance(node, ast.Call):
        args = node.args
        if len(args) >= 2 and not any(isinstance(a, ast.Starred) for a in args):
            a, b = code(args[0]), code(args[1])
            rest = [code(x) for x in args[2:]] + [
                f"{k.arg}={code(k.value)}" if k.arg else f"**{code(k.value)}" for k in node.keywords
            ]
            yield put(node, f"{code(node.func)}({', '.join([b, a, *rest])})", "swapped-arguments")
            kept = [code(x) for x in args[:-1]] + rest[len(args) - 2 :]
            yield put(node, f"{code(node.func)}({', '.join(kept)})", "dropped-argument")
        if node.keywords and node.keywords[-1].arg and not any(isinstance(a, ast.Starred) for a in args):
            kept = [code(x) for x in args] + [f"{k.arg}={code(k.value)}" for k in node.keywords[:-1] if k.arg]
            yield put(node, f"{code(node.func)}({', '.join(kept)})", "dropped-argument")
        if isinstance(node.func, ast.Attribute) and not args and not node.keywords:
            yield put(node, code(node.func.value), "missing-call")
    if (
        isinstance(node, ast.Attribute)
        and isinstance(node.value, ast.Name)
        and node.value.id == "self"
        and isinstance(node.ctx, ast.Load)
    ):
        others = sorted(
            {
                n.attr
                for n in ast.walk(function)
                if isinstance(n, ast.Attribute) and isinstance(n.value, ast.Name) and n.value.id == "self"
            }
            - {node.attr}
        )
        for other in others[:2]:
            yield put(node, f"self.{other}", "wrong-attribute")
    if isinstance(node, ast.Return) and isinstance(node.value, ast.Tuple) and len(node.value.elts) == 2:
        a, b = node.value.elts
        yield put(node, f"return {code(b)}, {code(a)}", "swapped-result")
    if isinstance(node, ast.Return) and node.value is not None and names:
        for other in names[:3]:
            if code(node.value) != other:
                yield put(node, f"return {other}", "wrong-return")
    if isinstance(node, ast.ExceptHandler) and isinstance(node.type, ast.Name):
        yield put(node.type, "ZeroDivisionError", "exception-type")
    if isinstance(node, ast.Raise) and isinstance(node.exc, ast.Call) and isinstance(node.exc.func, ast.Name):
        yield put(node.exc.func, "RuntimeError", "exception-type")
    if (isinstance(node, ast.Expr) and isinstance(node.value, ast.Call)) or isinstance(node, ast.AugAssign):
        yield put(node, "pass", "deleted-statement")
    if isinstance(node, ast.AugAssign) and isinstance(node.op, ast.Add):
        yield put(node, f"{code(node.target)} = {code(node.value)}", "accumulator")
    if isinstance(node, ast.Break | ast.Continue):
        yield put(node, "pass", "deleted-statement")
    if (
        isinstance(node, ast.If)
        and not node.orelse
        and len(node.body) == 1
        and isinstance(node.body[0], ast.Return | ast.Raise | ast.Continue)
        and node.lineno != node.body[0].lineno
    ):
        yield put(node, "pass", "missing-guard")
    if (
        isinstance(node, ast.Constant)
        and isinstance(node.value, str)
        and 2 <= len(node.value) <= 20
        and code(node)[0] in "'\""
        and code(node)[:3] not in ("'''", '"""')
    ):
        yield put(node, repr(node.value[:-1]), "string")
