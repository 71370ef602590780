"""Results: what is returned, yielded, assigned or collected, in which order, with which start value."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from itertools import combinations, islice, permutations

from pytest_agentflow.agents.search.context import Context
from pytest_agentflow.agents.search.edits import Edit


def edits(ctx: Context, node: ast.AST) -> Iterator[Edit]:
    if isinstance(node, ast.Return):
        yield from _returned(ctx, node)
    elif isinstance(node, ast.Yield) and node.value is not None:
        yield ctx.replace(node, f"yield from {ctx.code(node.value)}", "yield", 0.6)
    elif isinstance(node, ast.YieldFrom):
        yield ctx.replace(node, f"yield {ctx.code(node.value)}", "yield", 0.6)
    elif isinstance(node, ast.Assign):
        yield from _assigned(ctx, node)
    elif isinstance(node, ast.Tuple):
        yield from _swapped(ctx, node)
    elif isinstance(node, ast.List | ast.Dict):
        yield from _collection(ctx, node)
    elif isinstance(node, ast.BinOp) and isinstance(node.op, ast.Mult):
        yield ctx.replace(node, f"{ctx.atom(node.left)} ** 2", "arithmetic", 0.05)
    if isinstance(node, ast.Tuple | ast.List | ast.Set):
        yield from _one_more(ctx, node)
    if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load):
        yield from _combined(ctx, node)


def _returned(ctx: Context, node: ast.Return) -> Iterator[Edit]:
    value = ctx.code(node.value) if node.value is not None else "None"
    options = [(name, 0.8) for name in ctx.locals[:14]]
    others = [ctx.code(n.value) for n in ctx.nodes() if isinstance(n, ast.Return) and n.value is not None]
    options += [(o, 0.5) for o in dict.fromkeys(others)]
    plain = isinstance(node.value, ast.Name | ast.Constant)  # a longer value is rarely wrong as a whole
    elsewhere = (
        v for v in ctx.file.returned if plain and not isinstance(v, ast.Name | ast.Constant) and ctx.fits(v)
    )
    options += [(ctx.code(v), 0.3) for v in islice(elsewhere, 12)]
    options += [(f"{a}, {b}", 0.2) for a, b in permutations(sorted(ctx.unread), 2) if plain]
    options += [
        ("None", 0.3),
        ("True", 0.3),
        ("False", 0.3),
        ("[]", 0.25),
        ("0", 0.25),
        ('""', 0.2),
        ("{}", 0.1),
    ]
    options += [("self", 0.3)] if "self" in ctx.params else []
    conditions = [text for text, c in islice(ctx.conditions.items(), 10) if isinstance(c, ast.Compare)]
    options += [(c, 0.15) for c in conditions]
    if isinstance(node.value, ast.Constant) and isinstance(node.value.value, bool):
        for name in ctx.locals[:8]:
            options += [(f"{name} == 0", 0.3), (f"not {name}", 0.3), (f"bool({name})", 0.2)]
    if isinstance(node.value, ast.List) and not node.value.elts:
        options += [(f"[{name}]", 0.5) for name in ctx.locals[:8]]
    for text, weight in options:
        if text != value and "\n" not in text:
            yield ctx.replace(node, f"return {text}", "wrong-return", weight)
    if node.value is not None and not isinstance(node.value, ast.Constant) and "\n" not in value:
        for name in ctx.locals[:6]:
            yield ctx.replace(node, f"return {name} + {ctx.atom(node.value)}", "missing-operand", 0.25)
            yield ctx.replace(node, f"return {ctx.atom(node.value)} + {name}", "missing-operand", 0.2)
    if isinstance(node.value, ast.Name | ast.Call | ast.Attribute):
        yield ctx.replace(node, f"return not {value}", "negation", 0.2)
        yield ctx.replace(node, f"return -{value}", "negation", 0.05)
    yield ctx.replace(node, f"yield {value}", "yield", 0.05)


def _assigned(ctx: Context, node: ast.Assign) -> Iterator[Edit]:
    target, value = ctx.code(node.targets[0]), ctx.code(node.value)
    if len(node.targets) > 1:
        return
    simple = isinstance(node.targets[0], ast.Name | ast.Attribute | ast.Subscript)
    if simple:
        for operator in ("+", "-", "*", "|"):
            yield ctx.replace(
                node, f"{target} {operator}= {value}", "accumulator", 0.4 if operator == "+" else 0.1
            )
        if not isinstance(node.value, ast.Constant):
            for function in ("max", "min"):
                yield ctx.replace(node, f"{target} = {function}({target}, {value})", "accumulator", 0.25)
                yield ctx.replace(node.value, f"{function}(0, {value})", "accumulator", 0.15)
                yield ctx.replace(node.value, f"{function}(1, {value})", "accumulator", 0.03)
        yield ctx.replace(node, f"{target} = {target} or {value}", "accumulator", 0.1)
    if isinstance(node.value, ast.Constant | ast.List | ast.Dict | ast.Name) and simple:
        for text in ("None", "[]", "{}", '""', "0", "1", "set()", "True", "False", 'float("inf")'):
            if text != value:
                yield ctx.replace(node.value, text, "initial-value", 0.15)
    if isinstance(node.value, ast.Name | ast.Attribute):
        yield ctx.replace(node.value, f"{value}.copy()", "missing-copy", 0.4)
        yield ctx.replace(node.value, f"list({value})", "missing-copy", 0.3)
        yield ctx.replace(node.value, f"dict({value})", "missing-copy", 0.3)


def _swapped(ctx: Context, node: ast.Tuple) -> Iterator[Edit]:
    for a, b in combinations(range(len(node.elts)), 2):
        first, second = node.elts[a], node.elts[b]
        start, end = ctx.source.span(first)[0], ctx.source.span(second)[1]
        middle = ctx.source.text[ctx.source.span(first)[1] : ctx.source.span(second)[0]]
        text = ctx.code(second) + middle + ctx.code(first)
        yield ctx.between(start, end, text, "swapped-result", first.lineno, 1.0 if b == a + 1 else 0.5)


def _collection(ctx: Context, node: ast.List | ast.Dict) -> Iterator[Edit]:
    if isinstance(node, ast.Dict):
        for a, b in combinations(range(min(len(node.values), 6)), 2):
            first, second = node.values[a], node.values[b]
            start, end = ctx.source.span(first)[0], ctx.source.span(second)[1]
            middle = ctx.source.text[ctx.source.span(first)[1] : ctx.source.span(second)[0]]
            yield ctx.between(
                start, end, ctx.code(second) + middle + ctx.code(first), "swapped-result", node.lineno, 0.3
            )
        return
    if not node.elts:
        for text in ("[[]]", "[0]", "[1]", '[""]', "[None]", "None"):
            yield ctx.replace(node, text, "initial-value", 0.3)
        for name in ctx.locals[:8]:
            yield ctx.replace(node, f"[{name}]", "initial-value", 0.3)
    for a, b in combinations(range(min(len(node.elts), 5)), 2):
        first, second = node.elts[a], node.elts[b]
        start, end = ctx.source.span(first)[0], ctx.source.span(second)[1]
        middle = ctx.source.text[ctx.source.span(first)[1] : ctx.source.span(second)[0]]
        yield ctx.between(
            start, end, ctx.code(second) + middle + ctx.code(first), "swapped-result", node.lineno, 0.3
        )


def _one_more(ctx: Context, node: ast.Tuple | ast.List | ast.Set) -> Iterator[Edit]:
    """A number that is missing from a literal collection of numbers."""
    numbers = [e.value for e in node.elts if isinstance(e, ast.Constant) and type(e.value) is int]
    if len(numbers) == len(node.elts) > 1:
        end = ctx.source.span(node.elts[-1])[1]
        for value in (max(numbers) + 1, min(numbers) - 1):
            yield ctx.between(end, end, f", {value}", "constant", node.elts[-1].lineno, 0.4)


def _combined(ctx: Context, node: ast.Name) -> Iterator[Edit]:
    """A variable that should be combined with another one: `k` for `k - n`, `x` for `x * x`."""
    parent = ctx.parent(node)
    argument = isinstance(parent, ast.Call) and node in parent.args
    if not (
        argument or isinstance(parent, ast.BinOp | ast.Compare | ast.Return | ast.Subscript | ast.Assign)
    ):
        return
    for other in ctx.locals[:8]:
        if other == node.id:
            continue
        for operator, weight in (("-", 0.25), ("+", 0.25), ("*", 0.1)):
            yield ctx.put(node, f"{node.id} {operator} {other}", "missing-operand", weight)
    yield ctx.put(node, f"{node.id} ** 2", "missing-operand", 0.1)
    yield ctx.put(node, f"-{node.id}", "negation", 0.15)
    if isinstance(parent, ast.Return | ast.Assign):
        for shape in _comprehensions(ctx):
            yield ctx.put(node, f"{node.id} + {shape}", "missing-operand", 0.3)
            yield ctx.put(node, f"{shape} + {node.id}", "missing-operand", 0.15)


def _comprehensions(ctx: Context) -> list[str]:
    found = [ctx.code(n) for n in ctx.nodes() if isinstance(n, ast.ListComp | ast.List)]
    return [text for text in dict.fromkeys(found) if "\n" not in text][:4]
