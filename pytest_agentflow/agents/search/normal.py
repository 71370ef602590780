"""Are two candidates the same program? Compared as compiled, so that spelling, spaces and parentheses do not count."""

from __future__ import annotations

import ast
import warnings
from bisect import bisect_right
from types import CodeType
from typing import Any

from pytest_agentflow.agents.search.edits import Edit, Source
from pytest_agentflow.agents.search.files import Function


def normal_form(source: Source, *edits: Edit) -> object | None:
    """A hashable form of the changed function (or file); None when it is no Python or does nothing new."""
    start, end, prefix = region(source, edits)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # a candidate may be silly; the user need not hear of it
            new = _form(_compile(prefix + patched(source.text, start, end, edits)))
            old = _base_form(source, start, end, prefix)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return None
    return None if new == old else hash((source.path, start, new))


def _base_form(source: Source, start: int, end: int, prefix: str) -> object:
    """The form of what is replaced; kept on the source, since every candidate asks."""
    kept = source.__dict__.setdefault("_forms", {})
    if (start, end) not in kept:
        kept[start, end] = _form(_compile(prefix + source.text[start:end]))
    return kept[start, end]


def _compile(text: str) -> CodeType:
    return compile(text, "candidate", "exec", dont_inherit=True)


def region(source: Source, edits: tuple[Edit, ...]) -> tuple[int, int, str]:
    """The outermost function that holds all edits, with what must stand in front to compile it alone."""
    first, last = min(e.start for e in edits), max(e.end for e in edits)
    for function, start, end in _functions(source):
        if start <= first and last <= end:
            return start, end, "if 1:\n" if function.col_offset else ""
    return 0, len(source.text), ""


def body_at(source: Source, edit: Edit) -> int | None:
    """Where the body of the outermost function begins that an edit lies in; None outside of all, and for defaults and decorators,
    which run when the function is defined."""
    bodies: list[tuple[int, int]] | None = source.__dict__.get("_bodies")
    if bodies is None:  # kept on the source, since every candidate asks
        bodies = sorted((source.span(f.body[0])[0], end) for f, _, end in _functions(source))
        source.__dict__["_bodies"] = bodies
    at = bisect_right(bodies, (edit.start, len(source.text))) - 1
    return bodies[at][0] if at >= 0 and edit.end <= bodies[at][1] else None


def _functions(source: Source) -> list[tuple[Function, int, int]]:
    """Outermost functions with their whole lines; kept on the source, since every candidate asks."""
    found: list[tuple[Function, int, int]] | None = source.__dict__.get("_regions")
    if found is None:
        found = []
        stack: list[ast.AST] = [source.tree]
        while stack:
            for child in ast.iter_child_nodes(stack.pop()):
                if isinstance(child, Function):
                    first = min([child.lineno, *(d.lineno for d in child.decorator_list)])
                    last = min((child.end_lineno or child.lineno) + 1, len(source.lines) + 1)
                    found.append((child, source.line_start(first), source.line_start(last)))
                elif not isinstance(child, ast.expr):
                    stack.append(child)
        source.__dict__["_regions"] = found
    return found


def patched(text: str, start: int, end: int, edits: tuple[Edit, ...]) -> str:
    for edit in sorted(edits, key=lambda e: (e.start, e.end), reverse=True):
        text = text[: edit.start] + edit.text + text[edit.end :]
        end += len(edit.text) - (edit.end - edit.start)
    return text[start:end]


def _form(code: CodeType) -> tuple[Any, ...]:
    consts = tuple(
        _form(c) if isinstance(c, CodeType) else (type(c).__name__, repr(c)) for c in code.co_consts
    )
    return (
        code.co_name,
        code.co_code,
        consts,
        code.co_names,
        code.co_varnames,
        code.co_freevars,
        code.co_cellvars,
        code.co_exceptiontable,
        code.co_flags,
        code.co_argcount,
    )
