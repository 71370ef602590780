"""Do tests ask for something that the project does not have? They may be ahead of the code, and no edit of it helps."""

from __future__ import annotations

import ast
from collections.abc import Collection, Iterator, Mapping

from pytest_agentflow.core.hints import Hint, read
from pytest_agentflow.core.model import Failure

KINDS = frozenset({"attribute", "import", "module", "keyword", "name"})


def missing(failures: Collection[Failure]) -> list[Hint]:
    """What each failure says is missing; empty as soon as one of them says anything else."""
    hints = [read(f"{failure.kind}: {failure.message}") for failure in failures]
    found = [hint for hint in hints if hint is not None and hint.kind in KINDS]
    return list(dict.fromkeys(found)) if len(found) == len(hints) else []


def ahead(failures: Collection[Failure], sources: Mapping[str, str]) -> str:
    """The words for it, or "" where one failure may have another cause. `sources` are the project's own files, without tests.

    A name that any of them holds, if only as a string, was perhaps misspelt or misplaced: that is a bug like any other.
    """
    hints = missing(failures)
    if not hints or any(f.frames and f.frames[-1].path in sources for f in failures):
        return ""  # the project's own code asks for it
    names = {name for text in sources.values() for name in _names(text)}
    modules = {part for path in sources for part in path.removesuffix(".py").split("/")}
    for hint in hints:
        last, place = hint.name.rpartition(".")[2], hint.where.rpartition(".")
        home = place[0].rpartition(".")[2] if hint.kind == "module" else place[2]
        if last in names | modules or (hint.kind != "name" and home not in names | modules):
            return ""
    asked = list(dict.fromkeys(_said(hint) for hint in hints))
    shown = ", ".join(asked[:3]) + (f" and {len(asked) - 3} more" if len(asked) > 3 else "")
    verb = "does" if len(asked) == 1 else "do"
    return f"the tests ask for {shown}, which {verb} not exist: they may be ahead of the code"


def _said(hint: Hint) -> str:
    if hint.kind == "keyword":
        return f"the argument `{hint.name}` of {hint.where}"
    return f"`{hint.name}` in {hint.where}" if hint.where not in ("", hint.name) else f"`{hint.name}`"


def _names(text: str) -> Iterator[str]:
    """Every name that a file defines, uses or spells in a string of its own."""
    try:
        tree = ast.parse(text)
    except (SyntaxError, ValueError):
        return
    for node in ast.walk(tree):
        for field in ("name", "id", "attr", "arg", "asname"):
            value = getattr(node, field, None)
            if isinstance(value, str):
                yield from value.split(".")
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and node.value.isidentifier():
            yield node.value
