"""Exceptions: the wrong type caught or raised, a handler that is missing, one that swallows."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator

from pytest_agentflow.agents.search.context import Context
from pytest_agentflow.agents.search.edits import Edit

# Neighbours in the hierarchy and in people's minds.
COMMON = ("ValueError", "TypeError", "KeyError", "IndexError", "AttributeError", "RuntimeError", "LookupError", "OSError",
          "StopIteration", "NotImplementedError", "ImportError", "ZeroDivisionError", "UnicodeError", "Exception")  # fmt: skip

WAITED_FOR = 2.0  # weight of raising what the failing test expects


def edits(ctx: Context, node: ast.AST) -> Iterator[Edit]:
    if isinstance(node, ast.ExceptHandler):
        yield from _caught(ctx, node)
    elif isinstance(node, ast.Raise) and node.exc is not None:
        named = node.exc.func if isinstance(node.exc, ast.Call) else node.exc
        if isinstance(named, ast.Name | ast.Attribute):
            for other, wanted in _types(ctx).items():
                if other != ctx.code(named):
                    yield ctx.replace(named, other, "exception-type", WAITED_FOR if wanted else 0.7)


def waited_for(ctx: Context) -> list[str]:
    """Exceptions that a failing test or the docstring says should come, as they can be named here; a few at most."""
    raised = {n.id for n in ctx.nodes() if isinstance(n, ast.Name)}
    documented = [
        name for name in re.findall(r"\b[A-Z]\w*(?:Error|Exception)\b", ctx.docstring) if name not in raised
    ]
    wanted = dict.fromkeys([*ctx.file.project.awaited, *documented])
    named = {name.rpartition(".")[2]: name for name in ctx.file.raised}
    homes = ["", *dict.fromkeys(name.rpartition(".")[0] + "." for name in ctx.file.raised if "." in name)]
    spelled = [named.get(name) or home + name for name in wanted for home in homes]
    return [s for s in dict.fromkeys(spelled) if s.partition(".")[0] in ctx.reachable][:3]


def _types(ctx: Context) -> dict[str, bool]:
    """Exception types in reach, and whether they are waited for: these first, then the project's own, then common ones."""
    own = [n for n in ctx.file.module_names if n.endswith(("Error", "Exception", "Warning"))]
    wanted = dict.fromkeys(waited_for(ctx), True)
    return wanted | {n: n in wanted for n in (*own, *ctx.file.raised, *COMMON)}


def _caught(ctx: Context, node: ast.ExceptHandler) -> Iterator[Edit]:
    if node.type is None:
        return
    text = ctx.code(node.type)
    have = {n.id for n in ast.walk(node.type) if isinstance(n, ast.Name)}
    for other in _types(ctx):
        if other in have:
            continue
        yield ctx.replace(node.type, other, "exception-type", 0.6)
        inner = text[1:-1].rstrip().rstrip(",") if isinstance(node.type, ast.Tuple) else text
        yield ctx.replace(node.type, f"({inner}, {other})", "exception-type", 0.5)
    if isinstance(node.type, ast.Tuple) and len(node.type.elts) > 1:
        for n in range(len(node.type.elts)):
            rest = [ctx.code(e) for m, e in enumerate(node.type.elts) if m != n]
            kept = rest[0] if len(rest) == 1 else f"({', '.join(rest)})"
            yield ctx.replace(node.type, kept, "exception-type", 0.2)
