"""Single-point bugs for benchmarks: which small edits of a source file change its behaviour in a way a person might have?"""

from __future__ import annotations

import ast
import random
from collections.abc import Iterator
from dataclasses import dataclass

COMPARE = {
    ast.Lt: "<=", ast.LtE: "<", ast.Gt: ">=", ast.GtE: ">", ast.Eq: "!=", ast.NotEq: "==",
    ast.Is: "is not", ast.IsNot: "is", ast.In: "not in", ast.NotIn: "in",
}  # fmt: skip
ARITHMETIC = {
    ast.Add: "-", ast.Sub: "+", ast.Mult: "+", ast.Div: "*", ast.FloorDiv: "*", ast.Mod: "//",
    ast.BitAnd: "|", ast.BitOr: "&",
}  # fmt: skip


@dataclass(frozen=True)
class Bug:
    operator: str
    line: int
    text: str  # the whole mutated file


def bugs(text: str, seed: int) -> list[Bug]:
    """Every edit of a file, shuffled; at most one per operator and line."""
    tree = ast.parse(text)
    found = {}
    for operator, node, new in _edits(tree, text):
        mutated = _replace(text, node, new)
        try:
            ast.parse(mutated)
        except SyntaxError:
            continue
        if mutated != text:
            found.setdefault((operator, node.lineno), Bug(operator, node.lineno, mutated))
    ordered = list(found.values())
    random.Random(seed).shuffle(ordered)
    return ordered


def _replace(text: str, node: ast.expr | ast.stmt, new: str) -> str:
    lines = text.splitlines(keepends=True)
    start = sum(map(len, lines[: node.lineno - 1])) + len(
        lines[node.lineno - 1].encode()[: node.col_offset].decode()
    )
    end_line = lines[node.end_lineno - 1]
    end = sum(map(len, lines[: node.end_lineno - 1])) + len(end_line.encode()[: node.end_col_offset].decode())
    return text[:start] + new + text[end:]


def _edits(tree: ast.Module, text: str) -> Iterator[tuple[str, ast.expr | ast.stmt, str]]:
    def source(node: ast.AST) -> str:
        return ast.get_source_segment(text, node) or ast.unparse(node)

    for function in ast.walk(tree):
        if not isinstance(function, ast.FunctionDef | ast.AsyncFunctionDef):
            continue
        names = sorted(
            {n.id for n in ast.walk(function) if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Store)}
            | {a.arg for a in function.args.args if a.arg not in ("self", "cls")}
        )
        for statement in function.body:
            for node in ast.walk(statement):
                yield from _of_node(node, names, source)


def _of_node(node, names, source):
    if isinstance(node, ast.Compare) and len(node.ops) == 1:
        new = COMPARE[type(node.ops[0])]
        yield "compare", node, f"{source(node.left)} {new} {source(node.comparators[0])}"
    elif isinstance(node, ast.BinOp) and type(node.op) in ARITHMETIC:
        yield "arithmetic", node, f"({source(node.left)} {ARITHMETIC[type(node.op)]} {source(node.right)})"
    elif isinstance(node, ast.BoolOp):
        joined = " or " if isinstance(node.op, ast.And) else " and "
        yield "boolean", node, "(" + joined.join(source(v) for v in node.values) + ")"
        yield "missing-condition", node, source(node.values[0])
    elif isinstance(node, ast.If | ast.While):
        yield "negation", node.test, f"not ({source(node.test)})"
    elif isinstance(node, ast.Constant) and type(node.value) is int:
        yield "off-by-one", node, str(node.value + 1)
    elif isinstance(node, ast.Constant) and type(node.value) is bool:
        yield "constant", node, str(not node.value)
    elif isinstance(node, ast.Return) and node.value is not None and not isinstance(node.value, ast.Constant):
        yield "missing-result", node.value, "None"
    elif (
        isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load) and node.id in names and len(names) > 1
    ):
        other = names[(names.index(node.id) + 1) % len(names)]
        yield "wrong-variable", node, other
    elif isinstance(node, ast.Call) and len(node.args) >= 2 and not node.keywords and not _starred(node):
        a, b, *rest = [source(x) for x in node.args]
        yield "swapped-arguments", node, f"{source(node.func)}({', '.join([b, a, *rest])})"
        yield "dropped-argument", node, f"{source(node.func)}({', '.join([a, b, *rest][:-1])})"
    elif isinstance(node, ast.Expr) and isinstance(node.value, ast.Call):
        yield "missing-call", node, "pass"
    elif isinstance(node, ast.AugAssign):
        yield "missing-update", node, "pass"


def _starred(node: ast.Call) -> bool:
    return any(isinstance(a, ast.Starred) for a in node.args)
