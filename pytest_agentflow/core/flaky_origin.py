"""Can a failing test have failed because of a change, given the lines that it ran?

After DeFlaker (Bell et al., ICSE 2018): a failure that ran no changed line does not come from the change. More careful
than there: whatever the lines of a test cannot show counts as reached.
"""

from __future__ import annotations

import ast
from collections.abc import Mapping

Lines = Mapping[str, frozenset[int]]
HARMLESS = (".md", ".rst", ".adoc")  # no test runs or reads prose


def untold(changed: Lines) -> tuple[str, ...]:
    """Changed files about whose influence coverage says nothing: data, configuration, deleted modules."""
    return tuple(
        p for p in sorted(changed) if not p.endswith(HARMLESS) and (not p.endswith(".py") or not changed[p])
    )


def reaches(ran: Lines, imported: Lines, changed: Lines) -> bool:
    """Did the test run a changed line, or import a module in which a changed line ran at import?"""
    return any(
        ran.get(path, frozenset()) & lines or (path in ran and imported.get(path, frozenset()) & lines)
        for path, lines in changed.items()
    )


def telling(imported: frozenset[int], source: str) -> frozenset[int]:
    """Lines run at import that can matter to a test which does not call them: all but the heads of functions and classes."""
    try:
        tree = ast.parse(source)
    except SyntaxError:
        return imported
    heads = set[int]()
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            plain = not (node.decorator_list or node.args.defaults or any(node.args.kw_defaults))
            heads |= set(range(node.lineno, node.body[0].lineno)) if plain else set()
        elif isinstance(node, ast.ClassDef) and not node.decorator_list:
            heads.add(node.lineno)
    return imported - heads
