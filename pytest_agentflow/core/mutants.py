"""Which small changes to given lines of a source would a good test notice?"""

from __future__ import annotations

import ast
import copy
import re
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass

_BINARY: Mapping[type[ast.operator], type[ast.operator]] = {
    ast.Add: ast.Sub, ast.Sub: ast.Add, ast.Mult: ast.Add, ast.Div: ast.Mult, ast.FloorDiv: ast.Mult, ast.Mod: ast.Mult,
    ast.BitAnd: ast.BitOr, ast.BitOr: ast.BitAnd,
}  # fmt: skip
_COMPARE: Mapping[type[ast.cmpop], type[ast.cmpop]] = {
    ast.Lt: ast.LtE, ast.LtE: ast.Lt, ast.Gt: ast.GtE, ast.GtE: ast.Gt, ast.Eq: ast.NotEq, ast.NotEq: ast.Eq, ast.In: ast.NotIn,
    ast.NotIn: ast.In, ast.Is: ast.IsNot, ast.IsNot: ast.Is,
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Mutant:
    line: int
    words: str
    source: str


def added_lines(patch: str) -> dict[str, set[int]]:
    """Line numbers in the new file of every line that a unified diff adds, by path."""
    found: dict[str, set[int]] = {}
    path, line = "", 0
    for text in patch.splitlines():
        if text.startswith("+++ "):
            path = text[6:].strip('"') if text.startswith(("+++ b/", '+++ "b/')) else ""
        elif head := re.match(r"@@ -\d+(?:,\d+)? \+(\d+)", text):
            line = int(head.group(1))
        elif path and text.startswith("+"):
            found.setdefault(path, set()).add(line)
            line += 1
        elif path and text.startswith(" "):
            line += 1
    return found


def mutants(source: str, lines: Collection[int], most: int) -> list[Mutant]:
    """At most `most` mutants, spread over the lines; the same input gives the same list. Raises SyntaxError."""
    module = ast.parse(source)
    sites = [n for n in ast.walk(module) if getattr(n, "lineno", 0) in lines]
    made = [m for number, node in enumerate(sites) for m in _of(module, number, node, lines)]
    made.sort(key=lambda m: m.line)
    step = max(1, -(-len(made) // most))
    return made[::step][:most]


def _of(module: ast.Module, number: int, node: ast.AST, lines: Collection[int]) -> Iterator[Mutant]:
    before = ast.unparse(node) if isinstance(node, ast.expr | ast.stmt) else ""
    changed = copy.deepcopy(module)
    twin = [n for n in ast.walk(changed) if getattr(n, "lineno", 0) in lines][number]
    if not _change(twin):
        return
    ast.fix_missing_locations(changed)
    after = ast.unparse(twin)
    words = f"`{before.splitlines()[0][:60]}` → `{after.splitlines()[0][:60]}`"
    yield Mutant(getattr(node, "lineno", 0), words, ast.unparse(changed))


def _change(node: ast.AST) -> bool:
    if isinstance(node, ast.BinOp) and type(node.op) in _BINARY:
        node.op = _BINARY[type(node.op)]()
    elif isinstance(node, ast.Compare) and type(node.ops[0]) in _COMPARE:
        node.ops[0] = _COMPARE[type(node.ops[0])]()
    elif isinstance(node, ast.BoolOp):
        node.op = ast.And() if isinstance(node.op, ast.Or) else ast.Or()
    elif isinstance(node, ast.Constant) and type(node.value) in (int, float):
        node.value = node.value + 1  # type: ignore[operator]
    elif isinstance(node, ast.Constant) and isinstance(node.value, bool):
        node.value = not node.value
    elif isinstance(node, ast.Return) and node.value is not None and not isinstance(node.value, ast.Constant):
        node.value = ast.Constant(None)
    elif isinstance(node, ast.If | ast.IfExp | ast.While):
        node.test = ast.UnaryOp(ast.Not(), node.test)
    else:
        return False
    return True
