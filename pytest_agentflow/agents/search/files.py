"""What do a file and the project offer to an edit anywhere in them: names, calls, attributes, code to borrow?"""

from __future__ import annotations

import ast
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from functools import cached_property
from typing import Any, TypeVar

from pytest_agentflow.agents.search.edits import Source

Function = ast.FunctionDef | ast.AsyncFunctionDef
Scope = Function | ast.Module
LEAVES = ast.Return | ast.Raise | ast.Continue | ast.Break
Borrowed = TypeVar("Borrowed", ast.expr, ast.stmt)


class Project:
    """What the suspected files can borrow from each other and from the failing tests."""

    def __init__(
        self,
        sources: Iterable[Source] = (),
        words: frozenset[str] = frozenset(),
        awaited: Sequence[str] = (),
    ) -> None:
        self.words = words  # of the failing tests: a misspelt string may be spelt right there
        self.awaited = awaited  # exceptions that failing tests waited for in vain
        self.files = [FileContext(source, self) for source in sources]

    @cached_property
    def bare_methods(self) -> list[str]:
        """Methods that need no argument: called so, most often first, then defined so."""
        counts = Counter(name for file in self.files for name in file.bare_calls)
        defined = [
            f.name
            for file in self.files
            for f in file.functions
            if len(f.args.args) == 1 and f.args.args[0].arg == "self" and not f.name.startswith("__")
        ]
        return list(dict.fromkeys([*(name for name, _ in counts.most_common()), *defined]))

    def others(self, what: str, file: FileContext) -> dict[str, Any]:
        """Conditions or statements of the other files, by text."""
        found: dict[str, Any] = {}
        for other in self.files:
            if other is not file:
                found.update(getattr(other, what))
        return found


class FileContext:
    """Facts about a whole file that all its functions share."""

    def __init__(self, source: Source, project: Project | None = None) -> None:
        self.source = source
        self.project = project or Project()
        self._free: dict[ast.AST, frozenset[str]] = {}
        self.parents: dict[ast.AST, ast.AST] = {}
        for node in ast.walk(source.tree):
            for child in ast.iter_child_nodes(node):
                self.parents[child] = node

    @cached_property
    def functions(self) -> list[Function]:
        return [n for n in ast.walk(self.source.tree) if isinstance(n, Function)]

    @cached_property
    def module_names(self) -> list[str]:
        names: list[str] = []
        for node in self.source.tree.body:
            names += bound_by(node)
        return list(dict.fromkeys(names))

    @cached_property
    def attributes(self) -> dict[str, list[str]]:
        """Attributes seen on each base expression, most used first; under "" those of any base."""
        seen: dict[str, Counter[str]] = {"": Counter()}
        for node in ast.walk(self.source.tree):
            if isinstance(node, ast.Attribute):
                seen[""][node.attr] += 1
                if isinstance(node.value, ast.Name):
                    seen.setdefault(node.value.id, Counter())[node.attr] += 1
        return {base: [a for a, _ in counts.most_common()] for base, counts in seen.items()}

    @cached_property
    def signatures(self) -> dict[str, ast.arguments]:
        """Parameters of functions defined in this file, by name (the last definition wins)."""
        return {f.name: f.args for f in self.functions}

    @cached_property
    def constructors(self) -> dict[str, ast.arguments]:
        """Parameters of the classes of this file, by name."""
        made = {f: self.parents.get(f) for f in self.functions if f.name == "__init__"}
        return {owner.name: f.args for f, owner in made.items() if isinstance(owner, ast.ClassDef)}

    @cached_property
    def returned(self) -> list[ast.expr]:
        """Short values that functions of this file return, those returned most often first."""
        values = [
            n.value for n in ast.walk(self.source.tree) if isinstance(n, ast.Return) and n.value is not None
        ]
        by_text = {self.source.code(v): v for v in values}
        counts = Counter(self.source.code(v) for v in values)
        return [by_text[text] for text, _ in counts.most_common() if "\n" not in text and len(text) < 60]

    @cached_property
    def strings(self) -> list[str]:
        counts = Counter(
            n.value
            for n in ast.walk(self.source.tree)
            if isinstance(n, ast.Constant) and isinstance(n.value, str) and 0 < len(n.value) < 60
        )
        return [s for s, _ in counts.most_common()]

    @cached_property
    def calls(self) -> dict[str, list[ast.Call]]:
        """Calls by the last part of what they call."""
        found: dict[str, list[ast.Call]] = {}
        for node in ast.walk(self.source.tree):
            if isinstance(node, ast.Call):
                name = getattr(node.func, "attr", None) or getattr(node.func, "id", "")
                found.setdefault(str(name), []).append(node)
        return found

    @cached_property
    def bare_calls(self) -> list[str]:
        """Methods that are called without arguments, as often as they are."""
        return [
            call.func.attr
            for calls in self.calls.values()
            for call in calls
            if isinstance(call.func, ast.Attribute) and not call.args and not call.keywords
        ]

    @cached_property
    def checked_types(self) -> list[str]:
        """Types that the file asks for with `isinstance`, most often asked first."""
        asked = (c.args[1] for c in self.calls.get("isinstance", []) if len(c.args) == 2)
        counts = Counter(
            self.source.code(node) for node in asked if isinstance(node, ast.Name | ast.Attribute)
        )
        return [name for name, _ in counts.most_common()]

    @cached_property
    def conditions(self) -> dict[str, ast.expr]:
        return self._on_one_line(conditions_in(ast.walk(self.source.tree)))

    @cached_property
    def statements(self) -> dict[str, ast.stmt]:
        return self._on_one_line(statements_in(ast.walk(self.source.tree)))

    @cached_property
    def guards(self) -> dict[str, tuple[ast.If, Function]]:
        """Conditions with nothing behind them but a way out, by text, with the function that they stand in."""
        found: dict[str, tuple[ast.If, Function]] = {}
        for function in self.functions:
            for node in ast.walk(function):
                if isinstance(node, ast.If) and len(node.body) == 1 and not node.orelse:
                    text = _as_guard(self.source, node)
                    if isinstance(node.body[0], LEAVES) and text:
                        found[text] = node, function
        return found

    @cached_property
    def raised(self) -> list[str]:
        """Exceptions as this file spells them where it raises them."""
        every = (n.exc for n in ast.walk(self.source.tree) if isinstance(n, ast.Raise) and n.exc is not None)
        named = (exc.func if isinstance(exc, ast.Call) else exc for exc in every)
        return list(
            dict.fromkeys(self.source.code(n) for n in named if isinstance(n, ast.Name | ast.Attribute))
        )

    def _on_one_line(self, nodes: Iterable[Borrowed]) -> dict[str, Borrowed]:
        return {self.source.code(n): n for n in nodes if n.lineno == n.end_lineno}

    def free_names(self, node: ast.AST) -> frozenset[str]:
        """Names that a piece of code reads and does not bind itself."""
        kept = self._free.get(node)
        if kept is None:
            names = [n for n in ast.walk(node) if isinstance(n, ast.Name)]
            bound = {n.id for n in names if isinstance(n.ctx, ast.Store)}
            bound |= {n.arg for n in ast.walk(node) if isinstance(n, ast.arg)}
            kept = self._free[node] = frozenset(n.id for n in names if isinstance(n.ctx, ast.Load)) - bound
        return kept

    def innermost(self, line: int) -> Scope:
        """The innermost function around a line, else the module."""
        found: Scope = self.source.tree
        for f in self.functions:
            first = min([f.lineno, *(d.lineno for d in f.decorator_list)])
            if first <= line <= (f.end_lineno or 0) and (
                isinstance(found, ast.Module) or f.lineno >= found.lineno
            ):
                found = f
        return found

    def enclosing_class(self, node: ast.AST) -> ast.ClassDef | None:
        at = self.parents.get(node)
        while at is not None and not isinstance(at, ast.ClassDef):
            at = self.parents.get(at)
        return at


def _as_guard(source: Source, node: ast.If) -> str:
    """The guard on two lines; nothing for what cannot be put on two."""
    condition, leave = (re.sub(r"\s*\n\s*", " ", source.code(part)) for part in (node.test, node.body[0]))
    whole = f"if {condition}:\n    {leave}"
    return whole if len(whole) < 160 and "#" not in whole and '"""' not in whole else ""


def bound_by(node: ast.stmt) -> list[str]:
    """Names that a module-level or class-level statement binds."""
    if isinstance(node, Function | ast.ClassDef):
        return [node.name]
    if isinstance(node, ast.Import | ast.ImportFrom):
        return [(a.asname or a.name).partition(".")[0] for a in node.names]
    if isinstance(node, ast.Assign | ast.AnnAssign | ast.AugAssign | ast.For | ast.With | ast.If | ast.Try):
        return [n.id for n in ast.walk(node) if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Store)] + [
            name
            for inner in ast.walk(node)
            if isinstance(inner, ast.Import | ast.ImportFrom)
            for name in bound_by(inner)
        ]
    return []


def conditions_in(nodes: Iterable[ast.AST]) -> Iterator[ast.expr]:
    for node in nodes:
        test = getattr(node, "test", None)
        if isinstance(test, ast.expr):
            yield test
            if isinstance(test, ast.BoolOp):
                yield from test.values
        elif isinstance(node, ast.comprehension):
            yield from node.ifs


def statements_in(nodes: Iterable[ast.AST]) -> Iterator[ast.stmt]:
    kinds = (
        ast.Expr | ast.Assign | ast.AugAssign | ast.Return | ast.Raise | ast.Break | ast.Continue | ast.Delete
    )
    for node in nodes:
        if isinstance(node, kinds):
            docstring = isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
            if not docstring:
                yield node
