"""Conditions: inverted, always true or false, one clause missing (borrowed from nearby), a guard that fell away."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from itertools import islice

from pytest_agentflow.agents.search.context import Context
from pytest_agentflow.agents.search.edits import Edit


def edits(ctx: Context, node: ast.AST) -> Iterator[Edit]:
    if isinstance(node, ast.If | ast.While | ast.IfExp | ast.Assert):
        yield from _condition(ctx, node.test, loop=isinstance(node, ast.While))
    elif isinstance(node, ast.comprehension):
        yield from _filtered(ctx, node)
    elif isinstance(node, ast.Return) and _is_truth(node.value):
        assert node.value is not None
        yield ctx.put(node.value, f"not {ctx.atom(node.value)}", "negation", 0.8)
        yield from _joined(ctx, node.value, 0.4)
    elif isinstance(node, ast.Name | ast.Attribute) and _handed_on(ctx, node):
        for default in ("[]", "{}", '""', "()", "0", "None"):
            yield ctx.put(node, f"{ctx.code(node)} or {default}", "missing-guard", 0.15)
    if isinstance(node, ast.IfExp):
        yield from _choice(ctx, node)
    if isinstance(node, ast.If) and node.orelse and not isinstance(node.orelse[0], ast.If):
        yield from _swapped_bodies(ctx, node)


def _filtered(ctx: Context, node: ast.comprehension) -> Iterator[Edit]:
    for test in node.ifs:
        yield from _condition(ctx, test, loop=False)
    for clause in _clauses(ctx, node.iter)[:20] if not node.ifs else ():
        start = ctx.source.span(node.iter)[1]
        yield ctx.between(start, start, f" if {clause}", "missing-condition", node.iter.lineno, 0.2)


def _choice(ctx: Context, node: ast.IfExp) -> Iterator[Edit]:
    body, asked, other = ctx.code(node.body), ctx.code(node.test), ctx.code(node.orelse)
    yield ctx.put(node, f"{other} if {asked} else {body}", "swapped-branches", 0.7)
    yield ctx.put(node, body, "condition-dropped", 0.3)
    yield ctx.put(node, other, "condition-dropped", 0.3)


def _handed_on(ctx: Context, node: ast.Name | ast.Attribute) -> bool:
    """True for a value that is assigned, returned, passed or iterated over as it is: it may need a default."""
    parent = ctx.parent(node)
    if isinstance(parent, ast.Assign | ast.Return | ast.keyword):
        return parent.value is node
    if isinstance(parent, ast.For | ast.comprehension):
        return parent.iter is node
    return isinstance(parent, ast.Call) and node in parent.args


def _is_truth(value: ast.expr | None) -> bool:
    call = isinstance(value, ast.Call) and getattr(value.func, "id", "") in (
        "any",
        "all",
        "isinstance",
        "bool",
        "hasattr",
    )
    not_ = isinstance(value, ast.UnaryOp) and isinstance(value.op, ast.Not)
    return isinstance(value, ast.Compare | ast.BoolOp) or call or not_


def _condition(ctx: Context, test: ast.expr, loop: bool) -> Iterator[Edit]:
    text = ctx.code(test)
    negated = isinstance(test, ast.UnaryOp) and isinstance(test.op, ast.Not)
    if negated:
        assert isinstance(test, ast.UnaryOp)
        yield ctx.replace(test, ctx.code(test.operand), "negation", 1.0)
    elif not (isinstance(test, ast.Compare) and len(test.ops) == 1):  # those have an opposite operator
        yield ctx.replace(test, f"not {ctx.atom(test)}", "negation", 1.0)
    yield ctx.replace(test, "True", "condition-constant", 0.3)
    if not loop:
        yield ctx.replace(test, "False", "condition-constant", 0.3)
    if isinstance(test, ast.Constant):
        for clause in _clauses(ctx, test)[:40]:
            yield ctx.replace(test, clause, "wrong-condition", 0.6)
    if not isinstance(test, ast.Constant):
        yield from _joined(ctx, test, 1.0)
    if isinstance(test, ast.Name | ast.Attribute | ast.Subscript | ast.Call):
        yield ctx.replace(test, f"{text} is not None", "none-check", 0.5)
        yield ctx.replace(test, f"{text} is None", "none-check", 0.3)
        yield ctx.replace(test, f"len({text}) > 1", "wrong-condition", 0.1)
    if isinstance(test, ast.Compare) and isinstance(test.ops[0], ast.Is | ast.IsNot | ast.Eq | ast.NotEq):
        plain = ctx.code(test.left)
        yield ctx.replace(test, plain, "wrong-condition", 0.3)
        yield ctx.replace(test, f"not {plain}", "wrong-condition", 0.3)
    here = set(islice(ctx.conditions, 40))
    for other in sorted(here - {text}):
        yield ctx.replace(test, other, "wrong-condition", 0.15)


def _joined(ctx: Context, test: ast.expr, weight: float) -> Iterator[Edit]:
    loose = isinstance(test, ast.BoolOp | ast.IfExp | ast.Lambda)
    text = f"({ctx.code(test)})" if loose and not isinstance(test, ast.BoolOp) else ctx.code(test)
    conj = f"({text})" if isinstance(test, ast.BoolOp) and isinstance(test.op, ast.Or) else text
    for clause, joint in _protecting(ctx, test):
        before = f"{clause} and {conj}" if joint == "and" else f"{clause} or {text}"
        yield ctx.put(test, before, "protecting-condition", weight * 0.5)
    for clause in _likewise(ctx, test):
        for w, joined in _beside(test, text, conj, clause):
            yield ctx.put(test, joined, "likewise-condition", weight * w)
    for n, clause in enumerate(_clauses(ctx, test)[:60]):
        w = weight * (0.5 if n < 20 else 0.25)
        if clause != text:
            yield ctx.put(test, f"{conj} and {clause}", "missing-condition", w)
            yield ctx.put(test, f"{text} or {clause}", "missing-condition", w)
            if n < 12:  # a guard belongs in front: the rest may fail without it
                yield ctx.put(test, f"{clause} and {conj}", "missing-condition", w * 0.8)
                yield ctx.put(test, f"{clause} or {text}", "missing-condition", w * 0.8)


def _protecting(ctx: Context, test: ast.expr) -> Iterator[tuple[str, str]]:
    """What has to hold before the rest can be asked: something there at all, of the right type, long enough."""
    for subject, asked in list(_subjects(ctx, test).items())[:3]:
        types = [f"isinstance({subject}, {t})" for t in ctx.file.checked_types[:4]]
        sizes = [f"len({subject}) > {n}" for n in (0, 1) if asked == "item"]
        for clause in (subject, f"{subject} is not None", *types, *sizes):
            yield clause, "and"
        for clause in (f"not {subject}", f"{subject} is None", *(f"not {t}" for t in types[:2])):
            yield clause, "or"


def _subjects(ctx: Context, test: ast.expr) -> dict[str, str]:
    """What a condition asks something about, and how: for an attribute, an item or a comparison."""
    found: dict[str, str] = {}
    for node in ast.walk(test):
        holders: list[tuple[ast.expr, str]] = []
        if isinstance(node, ast.Attribute | ast.Subscript):
            holders = [(node.value, "item" if isinstance(node, ast.Subscript) else "attribute")]
        elif isinstance(node, ast.Compare):
            holders = [(part, "compared") for part in (node.left, *node.comparators)]
        elif isinstance(node, ast.Call):
            holders = [(part, "argument") for part in node.args]
        elif isinstance(node, ast.UnaryOp):
            holders = [(node.operand, "denied")]
        for holder, how in holders:
            if isinstance(holder, ast.Name | ast.Attribute) and ctx.code(holder) != "self":
                found.setdefault(ctx.code(holder), how)
    return {text: how for text, how in found.items() if text.partition(".")[0] in (*ctx.locals, "self")}


def _likewise(ctx: Context, test: ast.expr) -> list[str]:
    """The last clause asked of another name, or of another attribute of the same."""
    last = test.values[-1] if isinstance(test, ast.BoolOp) else test
    text, parts = ctx.code(last), list(ast.walk(last))
    if "\n" in text:
        return []
    names = {n.id for n in parts if isinstance(n, ast.Name) and n.id in ctx.locals}
    fields = {n.attr for n in parts if isinstance(n, ast.Attribute) and getattr(n.value, "id", "") == "self"}
    swaps = [(old, new) for old in sorted(names) for new in ctx.locals[:10] if new not in names]
    swaps += [(old, new) for old in sorted(fields) for new in ctx.self_attributes[:12] if new not in fields]
    return list(dict.fromkeys(re.sub(rf"\b{old}\b", new, text) for old, new in swaps))


def _beside(test: ast.expr, text: str, conj: str, clause: str) -> Iterator[tuple[float, str]]:
    """The clause on either side, joined as the others are; by both operators where there is only one."""
    either = not isinstance(test, ast.BoolOp)
    if either or isinstance(test.op, ast.And):  # type: ignore[attr-defined]
        yield 0.4, f"{conj} and {clause}"
        yield 0.4, f"{clause} and {conj}"
    if either or isinstance(test.op, ast.Or):  # type: ignore[attr-defined]
        yield 0.4, f"{text} or {clause}"
        yield 0.4, f"{clause} or {text}"


def _clauses(ctx: Context, near: ast.expr) -> list[str]:
    """Conditions worth joining here: about the names of the place first, then borrowed ones."""
    names = [n.id for n in ast.walk(near) if isinstance(n, ast.Name) and n.id in ctx.locals]
    attributes = [
        ctx.code(n) for n in ast.walk(near) if isinstance(n, ast.Attribute) and isinstance(n.ctx, ast.Load)
    ]
    found: list[str] = []
    for name in dict.fromkeys([*names, *attributes[:3], *ctx.locals[:8]]):
        found += [name, f"not {name}", f"{name} is None", f"{name} is not None"]
    near_by = dict.fromkeys([*names, *attributes[:3]])
    made = [f"{name} {op}" for name in near_by for op in ("> 0", "< 0", "== 0")]
    made += [f"isinstance({n}, {t})" for n in dict.fromkeys(names) for t in ctx.file.checked_types[:4]]
    borrowed = []
    for text, condition in islice(ctx.conditions.items(), 80):
        if "\n" not in text and not isinstance(condition, ast.BoolOp | ast.IfExp):
            borrowed.append(text)
            if isinstance(condition, ast.Compare):
                borrowed.append(f"not ({text})")
            elif isinstance(condition, ast.UnaryOp) and isinstance(condition.op, ast.Not):
                borrowed.append(text.removeprefix("not").strip())
            else:
                borrowed.append(f"not {text}")
    mixed = [c for pair in zip(found, borrowed, strict=False) for c in pair]
    return list(dict.fromkeys([*mixed, *found, *borrowed, *made]))


def _swapped_bodies(ctx: Context, node: ast.If) -> Iterator[Edit]:
    """`if c: A else: B` for `if c: B else: A`, as an inverted condition when both stay where they are."""
    if len(node.body) == 1 and len(node.orelse) == 1:
        a, b = node.body[0], node.orelse[0]
        if a.lineno == a.end_lineno and b.lineno == b.end_lineno:
            start, end = ctx.source.span(a)[0], ctx.source.span(b)[1]
            middle = ctx.source.text[ctx.source.span(a)[1] : ctx.source.span(b)[0]]
            yield ctx.between(
                start, end, ctx.code(b) + middle + ctx.code(a), "swapped-branches", a.lineno, 0.2
            )
