"""Can this candidate be tried by swapping code objects in a collected session, and if so, which ones?

Only by exact identity: the function that encloses the edit is compiled from the base text, and a live function must hold
an equal code object (name, bytecode, constants, every line and column). Whatever cannot be shown to be safe is refused
with a reason, and the caller falls back to a fresh import: testing old code in silence would be worse than being slow.
"""

from __future__ import annotations

import ast
import gc
import os
from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from types import AsyncGeneratorType, CodeType, CoroutineType, FunctionType, GeneratorType
from typing import Any

from pytest_agentflow.child.recompile import (
    BaseFile,
    Delta,
    Hunk,
    Outermost,
    Refused,
    docstring,
    nested,
    own_part,
    ropes,
    walk,
)

ALREADY_RAN = "it already ran while the session was collected"
KINDS = 0x20 | 0x80 | 0x100 | 0x200  # generator, coroutine, iterable coroutine, asynchronous generator


@dataclass
class Swaps:
    """What to put where, and how many bells it rings."""

    codes: list[tuple[FunctionType, CodeType]] = field(default_factory=list)
    bells: int = 0
    screening: bool = False
    stale: str = ""  # why the session may hold what the old code left behind

    def apply(self) -> Swaps:
        """Put the new code in place; returns what puts the old code back."""
        undo = [(function, function.__code__) for function, _ in self.codes]
        for function, code in self.codes:
            function.__code__ = code
        return Swaps(undo)


class LiveCode:
    """The functions that live in a collected session, by file, and which code already ran while it was collected."""

    def __init__(self, top: str, ran: set[CodeType], sources_read: set[str]) -> None:
        self._top = top
        self._real: dict[str, str] = {}
        self._read = sources_read
        self._ran: dict[str, set[CodeType]] = defaultdict(set)  # equal code in another file is other code
        self._suspended: dict[str, set[CodeType]] = defaultdict(set)
        self._functions: dict[str, list[FunctionType]] = {}
        self._files: dict[str, BaseFile] = {}
        self._holders: dict[tuple[str, int], tuple[CodeType, dict[CodeType, list[FunctionType]]]] = {}
        for code in ran:
            self._ran[self._path(code)].add(code)
        for thing in gc.get_objects():
            if type(thing) is FunctionType:
                path = self._path(thing.__code__)
                if path:
                    self._functions.setdefault(path, []).append(thing)
            elif type(thing) in (GeneratorType, CoroutineType, AsyncGeneratorType):
                code = _frame_code(thing)
                self._suspended[self._path(code)].add(code)

    def _path(self, code: CodeType) -> str:
        """The real path of a file in the tree; empty for all others."""
        name = code.co_filename
        if name not in self._real:
            path = os.path.realpath(name)
            self._real[name] = path if path.startswith(self._top + os.sep) else ""
        return self._real[name]

    def base(self, path: str) -> BaseFile:
        if path not in self._files:
            self._files[path] = BaseFile.read(path)
        return self._files[path]

    def loaded(self, path: str) -> bool:
        return path in self._functions

    def plan(self, files: Mapping[str, Delta], *, screening: bool = False) -> Swaps:
        """Which live functions get which code, decided without touching any of them.

        For `screening`, after which whatever passes is planned again, no bells are hung, and functions that already ran are
        exchanged too; the plan says so: what they left behind is old.
        """
        swaps = Swaps(screening=screening)
        for path, delta in files.items():
            if path in self._read:
                raise Refused("its source text was read while the session was collected")
            if not self.loaded(path):
                raise Refused("only the tests themselves import it")
            base = self.base(path)
            grouped: dict[int, tuple[Outermost, list[Hunk]]] = {}
            for hunk in base.hunks(delta):
                function = base.enclosing(hunk)
                grouped.setdefault(function.top, (function, []))[1].append(hunk)
            for function, hunks in grouped.values():
                self._plan_function(base, function, hunks, swaps)
        return swaps

    def _plan_function(self, base: BaseFile, function: Outermost, hunks: list[Hunk], swaps: Swaps) -> None:
        old, living = self._living(base, function)
        lines = base.new_lines(function, hunks)
        rung = () if swaps.screening else ropes(function, hunks, swaps.bells)
        try:
            belled = base.compile(function, lines, rung)
            # What ran during collection is compared without the bell; mostly nothing did, and one compilation does.
            compared = rung and (len(living) > 1 or not self._ran[base.path].isdisjoint(walk(old)))
            plain = base.compile(function, lines) if compared else belled
        except SyntaxError:
            ast.parse("".join([*base.lines[: function.top - 1], *lines, *base.lines[function.end :]]))
            raise Refused("the edit reaches beyond the function") from None
        swaps.bells += len(rung)
        for was, now in self._pairs(base.path, living, old, plain, belled, swaps):
            for target in living.get(was, ()):
                if target.__code__.co_freevars != now.co_freevars:
                    raise Refused("the edit changes what the closure captures")
                code = now.replace(co_filename=target.__code__.co_filename)
                swaps.codes.append((target, code))

    def _living(
        self, base: BaseFile, function: Outermost
    ) -> tuple[CodeType, Mapping[CodeType, list[FunctionType]]]:
        """The function's code on disk, and who holds it or code inside it; every candidate asks."""
        at = base.path, function.top
        if at not in self._holders:
            old = base.old_code(function)
            known, holders = set(walk(old)), defaultdict(list)
            for live in self._functions[base.path]:
                if live.__code__ in known:
                    holders[live.__code__].append(live)
                elif function.top <= live.__code__.co_firstlineno <= function.end:
                    raise Refused("a modified copy of its code lives")
            if old not in holders:
                raise Refused("no live function holds exactly the code on disk")
            self._holders[at] = old, dict(holders)
        return self._holders[at]

    def _pairs(
        self,
        path: str,
        living: Mapping[CodeType, list[FunctionType]],
        old: CodeType,
        plain: CodeType,
        belled: CodeType,
        swaps: Swaps,
    ) -> Iterator[tuple[CodeType, CodeType]]:
        """Old and new code objects that belong together, the function itself first, then what lives inside it."""
        ran, suspended = self._ran[path], self._suspended[path]
        if old in suspended:
            raise Refused("a suspended generator holds the old code")
        inside = {c for inner in nested(old) for c in walk(inner)}
        lives_inside = not inside.isdisjoint(living)
        if (old in ran or lives_inside) and own_part(old) != own_part(plain):
            if lives_inside or not swaps.screening:
                raise Refused(ALREADY_RAN)
            swaps.stale = ALREADY_RAN
        if old.co_name[0] != "<" and docstring(old) != docstring(plain):
            raise Refused("the edit changes a docstring, which is kept outside of the code")
        if (old.co_flags ^ plain.co_flags) & KINDS:
            raise Refused("the edit makes another kind of function of it")
        yield old, belled
        was, now, rung = nested(old), nested(plain), nested(belled)
        if [c.co_name for c in was] != [c.co_name for c in now] or len(rung) != len(now):
            if lives_inside or inside & ran or inside & suspended:
                raise Refused("functions inside it changed while some of them live")
            return
        for triple in zip(was, now, rung, strict=True):
            yield from self._pairs(path, living, *triple, swaps)


def _frame_code(thing: Any) -> CodeType:
    code: CodeType = getattr(thing, "gi_code", None) or getattr(thing, "cr_code", None) or thing.ag_code
    return code
