"""Guards: `if <condition>: <leave>` in front of a statement, borrowed whole or made of what is in reach."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from itertools import islice

from pytest_agentflow.agents.search.context import BUILTINS, Context
from pytest_agentflow.agents.search.edits import Edit
from pytest_agentflow.agents.search.templates.exceptions import waited_for
from pytest_agentflow.agents.search.templates.places import in_loop, inside, previous, subjects_at

BORROWED = 40  # guards of elsewhere that are tried at a place
CHECKS, WAYS_OUT, USUAL = 70, 14, 5  # made guards at a place are every check with every way out
CONSTANTS = ("True", "False", "[]", '""', "0")


def edits(ctx: Context, node: ast.AST) -> Iterator[Edit]:
    if not isinstance(node, ast.stmt) or isinstance(ctx.scope, ast.Module):
        return
    if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):
        return  # a docstring
    yield from _demanded(ctx, node)
    yield from _borrowed(ctx, node)
    yield from _made(ctx, node)


def _demanded(ctx: Context, node: ast.stmt) -> Iterator[Edit]:
    """A guard that raises what a failing test waited for in vain, or what the docstring says is raised."""
    for error in waited_for(ctx):
        for n, check in enumerate(_refusals(ctx, node, error)):
            weight = 0.8 / (1 + 0.05 * n)
            yield ctx.before(node, f"if {check}:\n    {_raise(ctx, error, check)}", "raising-guard", weight)


def _raise(ctx: Context, error: str, check: str) -> str:
    """The file's own way to raise it where that fits here, else with words that say which value was refused."""
    for text, other in ctx.statements.items():
        if isinstance(other, ast.Raise) and text.startswith(f"raise {error}(") and "\n" not in text:
            return text
    named = re.findall(r"[A-Za-z_][\w.]*", check)
    about = next((name for name in named if name in ctx.locals or name.startswith("self.")), "")
    what = about.removeprefix("self.")
    return f'raise {error}(f"invalid {what}: {{{about}!r}}")' if about else f"raise {error}"


def _refusals(ctx: Context, node: ast.stmt, error: str) -> list[str]:
    """Conditions under which a value is refused; wrong types first for a TypeError."""
    names = subjects_at(ctx, node)
    types = [f"not isinstance({name}, {t})" for name in names for t in _types(ctx, name)]
    plain = [
        c for name in names for c in (f"not {name}", f"{name} is None", f"{name} < 0", f"{name} <= 0", name)
    ]
    known = [f"{name} not in {holder}" for name in names for holder in _holders(ctx) if name != holder]
    borrowed = [text for text in islice(ctx.conditions, 40) if "\n" not in text]
    pairs = [
        f"{a} {op} {b}" for a in names[:4] for b in names[:4] if a != b for op in (">", "<", "and", "==")
    ]
    first = [*types, *plain] if error == "TypeError" else [*plain, *known[:12], *types]
    return list(dict.fromkeys([*first, *borrowed, *known, *pairs]))


def _types(ctx: Context, name: str) -> list[str]:
    """What a parameter is annotated as, and what the file asks for elsewhere."""
    annotated = [t for t in (ctx.annotations.get(name),) if t]
    return list(dict.fromkeys([*annotated, *ctx.file.checked_types[:6]]))


def _holders(ctx: Context) -> list[str]:
    """What a name could have to be in: tables of the module, attributes, other names in scope."""
    tables = [n for n in ctx.file.module_names if n.isupper()]
    attributes = [f"self.{a}" for a in ctx.self_attributes[:4]] if "self" in ctx.params else []
    return [*tables[:5], *attributes, *ctx.locals[:4]]


def _borrowed(ctx: Context, node: ast.stmt) -> Iterator[Edit]:
    """A guard that stands elsewhere in the file or project, with one name put for another where it does not fit."""
    loop = in_loop(ctx, node)
    for n, (text, leave, missing) in enumerate(islice(ctx.guards, BORROWED)):
        if isinstance(leave, ast.Continue | ast.Break) and not loop:
            continue
        if not missing:
            yield ctx.before(node, text, "borrowed-guard", 0.5 / (1 + 0.1 * n))
        for m, name in enumerate(subjects_at(ctx, node)[:4] if missing else ()):
            told = re.sub(rf"(?<![\w.]){re.escape(missing)}(?!\w|\s*=[^=])", name, text)
            yield ctx.before(node, told, "borrowed-guard", 0.4 / (1 + 0.1 * n) / (1 + 0.3 * m))


def _made(ctx: Context, node: ast.stmt) -> Iterator[Edit]:
    """Any condition and any way out; first what was kept under a key, handed out again."""
    for text in _remembered(ctx):
        yield ctx.before(node, text, "borrowed-guard", 0.5)
    for n, (check, name) in enumerate(_handed_back(ctx, node)):
        yield ctx.before(node, f"if {check}:\n    return {name}", "returning-guard", 0.25 / (1 + 0.2 * n))
    exits = _exits(ctx, node)[:WAYS_OUT]
    for n, name in enumerate(_unchecked(ctx, node)):
        for m, leave in enumerate(exits[:USUAL]):
            for check, likely in ((f"{name} is None", 0.35), (f"not {name}", 0.25)):
                weight = likely / (1 + 0.25 * m) / (1 + 0.5 * n)
                yield ctx.before(node, f"if {check}:\n    {leave}", "usual-guard", weight)
    for n, check in enumerate(_checks(ctx, node)[:CHECKS]):
        for m, leave in enumerate(exits):
            weight = 0.13 / (1 + 0.2 * m) / (1 + 0.1 * n)
            yield ctx.before(node, f"if {check}:\n    {leave}", "missing-guard", weight)


def _unchecked(ctx: Context, node: ast.stmt) -> list[str]:
    """What is usually checked here: values that the statement before came by, and at the top of a function its parameters."""
    before = previous(ctx, node)
    if isinstance(before, ast.Assign):
        return [
            t.id
            for t in before.targets
            if isinstance(t, ast.Name) and not isinstance(before.value, ast.Constant)
        ]
    top = before is None or (isinstance(before, ast.Expr) and isinstance(before.value, ast.Constant))
    return (
        [p for p in ctx.params if p not in ("self", "cls")][:2]
        if top and ctx.parent(node) is ctx.scope
        else []
    )


def _handed_back(ctx: Context, node: ast.stmt) -> list[tuple[str, str]]:
    """A value that is returned as it is, when it is there already, or of a type that needs no more work."""
    names = subjects_at(ctx, node)[:4]
    made = [
        (c, name) for name in names for c in (f"{name} is not None", name, f"not {name}", f"{name} is None")
    ]
    typed = [(f"isinstance({name}, {t})", name) for name in names[:2] for t in _types(ctx, name)[:4]]
    return [*made, *typed]


def _remembered(ctx: Context) -> list[str]:
    """`if key in store: return store[key]` where the function puts results into a store."""
    assigned = (n.targets[0] for n in ctx.nodes() if isinstance(n, ast.Assign))
    stored = [t for t in assigned if isinstance(t, ast.Subscript) and not isinstance(t.slice, ast.Slice)]
    return [
        f"if {ctx.code(t.slice)} in {ctx.code(t.value)}:\n    return {ctx.code(t)}"
        for t in stored[:3]
        if "\n" not in ctx.code(t)
    ]


def _exits(ctx: Context, node: ast.stmt) -> list[str]:
    """Ways to leave here, likely ones first: as this function does elsewhere, then as any function might."""
    exits = ["raise"] if inside(ctx, node, ast.ExceptHandler) else []
    exits += ["continue", "break"] if in_loop(ctx, node) else []
    returned = [ctx.code(n.value) for n in ctx.nodes() if isinstance(n, ast.Return) and n.value is not None]
    short = [r for r in dict.fromkeys(returned) if "\n" not in r and len(r) < 50]
    raised = [text for text, other in ctx.statements.items() if isinstance(other, ast.Raise) and other.exc]
    exits += ["return", *(f"return {r}" for r in short[:4]), *raised[:2]]
    exits += [f"return {value}" for value in (*subjects_at(ctx, node)[:3], *CONSTANTS)]
    return list(dict.fromkeys(exits))


def _checks(ctx: Context, node: ast.stmt) -> list[str]:
    """Conditions to leave on: about the names of the place, borrowed ones, about flags and types."""
    names = subjects_at(ctx, node)
    searched = previous(ctx, node)
    if isinstance(searched, ast.Assign) and re.search(r"\.r?find\([^()]*\)$", ctx.code(searched.value)):
        names_of = [ctx.code(target) for target in searched.targets]
        nowhere = [f"{name} {op}" for name in names_of for op in ("== -1", "< 0")]
    else:
        nowhere = []
    flags = [f"self.{a}" for a in ctx.self_attributes[:4]] if "self" in ctx.params else []
    checks = [*nowhere]
    checks += [c for name in names for c in (f"not {name}", f"{name} is None", name, f"{name} is not None")]
    checks += [text for text in islice(ctx.conditions, 25) if "\n" not in text]
    checks += [c for name in flags for c in (f"not {name}", name)]
    checks += [f"isinstance({name}, {t})" for name in names[:3] for t in ctx.file.checked_types[:3]]
    checks += [f"not isinstance({name}, {t})" for name in names[:2] for t in ctx.file.checked_types[:3]]
    holders = [n for n in (*ctx.locals[:4], *ctx.used_globals[:4]) if n not in BUILTINS]
    checks += [f"{n} {op} {h}" for n in names[:2] for h in holders if h != n for op in ("in", "not in")]
    tables = [n for n in ctx.file.module_names if n.isupper()][:4]
    checks += [f"{n} {op} {t}" for n in names[:2] for t in tables for op in ("is", "==", "in", "not in")]
    checks += [c for name in names[:3] for c in (f"{name} == 0", f"{name} < 0", f"len({name}) == 1")]
    return list(dict.fromkeys(checks))
