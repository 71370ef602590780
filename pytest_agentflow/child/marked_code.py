"""What does a code object of Python 3.11 look like that marks each line as it begins?

In front of an instruction at which the interpreter would report a line stands what `marks.add(slot)` does, as four instructions of the
same line that call nothing. All else is copied byte by byte; only what counts bytes (jumps, the table of lines, the table of handlers) is counted
anew. So tracebacks, their columns and `f_lineno` stay those of the original.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from itertools import accumulate
from opcode import hasjrel, opmap, opname
from types import CodeType
from typing import NamedTuple

from pytest_agentflow.child.marked_tables import ENTRY, Unmarkable, handler, moved_lines, numbers

# Names that other versions lack: this module can be imported there, not used.
_CALL, _RESUME, _SEND, _YIELD = (opmap.get(n, -1) for n in ("CALL", "RESUME", "SEND", "YIELD_VALUE"))
_EXTENDED, _CONST, _ADD, _POP = (
    opmap.get(n, 0) for n in ("EXTENDED_ARG", "LOAD_CONST", "SET_ADD", "POP_TOP")
)
_JUMPS = re.compile(b"[" + re.escape(bytes(op for op in hasjrel if op <= 0xFF)) + b"]")
_RESUMES = re.compile(re.escape(bytes((max(_RESUME, 0),))))
_BACK = frozenset(op for op in hasjrel if "BACKWARD" in opname[op])


class Jump(NamedTuple):
    """In units of two bytes, as all places here are; it begins before its operation when it has a long argument."""

    first: int
    operation: int
    target: int


def mark(code: CodeType, marks: object, slot: Callable[[int], object], *, functions: bool) -> CodeType:
    """The same code, and all code inside it, with marks: one for each line, or for each function by its first line."""
    consts = [
        mark(each, marks, slot, functions=functions) if isinstance(each, CodeType) else each
        for each in code.co_consts
    ]
    own = len(consts)
    consts.append(marks)  # also in code that has no line to mark: it tells ours from other code
    if functions:
        return _mark_start(code, _instructions(own, own + 1), (*consts, slot(code.co_firstlineno)))
    shape = Shape(code)
    indices: dict[int, int] = {}
    inserted = {}
    for place, line in shape.places().items():
        if line not in indices:
            indices[line] = len(consts)
            consts.append(slot(line))
        inserted[place] = _instructions(own, indices[line])
    return shape.insert(inserted, tuple(consts))


def is_marked(code: CodeType, marks: object) -> bool:
    return any(constant is marks for constant in code.co_consts)


def _mark_start(code: CodeType, instructions: bytes, consts: tuple[object, ...]) -> CodeType:
    """The code with these instructions where its body begins: no jump leads across that place, so all stay as they are."""
    start = code.co_code[::2].index(_RESUME) + 1
    grown = len(instructions) // 2
    handlers = _handlers(code)
    if any(begin < start for begin, *_ in handlers):
        raise Unmarkable("a handler for what comes before the body")
    return code.replace(
        co_code=code.co_code[: 2 * start] + instructions + code.co_code[2 * start :],
        co_consts=consts,
        co_linetable=moved_lines(code.co_linetable, {start: grown}),
        co_exceptiontable=b"".join(handler(b + grown, size, to + grown, d) for b, size, to, d in handlers),
        co_stacksize=code.co_stacksize + 2,
    )


def _handlers(code: CodeType) -> list[tuple[int, ...]]:
    """Beginning, size, where to, depth and whether the instruction is kept."""
    return [tuple(numbers(found[0])) for found in ENTRY.finditer(code.co_exceptiontable)]


def _instructions(marks: int, slot: int) -> bytes:
    """Add one constant to another, a set, by their indices."""
    if slot <= 0xFF:  # nearly always
        return bytes((_CONST, marks, _CONST, slot, _ADD, 1, _POP, 0))
    if slot > 0xFFFF:
        raise Unmarkable("more constants than two bytes count")
    first, second = (_prefix(i, i > 0xFF) + bytes((_CONST, i & 0xFF)) for i in (marks, slot))
    return first + second + bytes((_ADD, 1, _POP, 0))


def _prefix(argument: int, width: int) -> bytes:
    """What carries the upper bytes of an argument."""
    return b"".join(bytes((_EXTENDED, argument >> 8 * n & 0xFF)) for n in range(width, 0, -1))


class Shape:
    """One code object: its instructions, lines, jumps and handlers."""

    def __init__(self, code: CodeType) -> None:
        self._code = code
        self._raw = code.co_code
        self._ops = self._raw[::2]
        self._lines: list[int | None] = []
        self._runs: list[int] = []  # where the line changes
        for first, last, line in code.co_lines():
            self._runs.append(first // 2)
            self._lines += [line] * ((last - first) // 2)
        # Up to here, where cells and generators are made, no line is reported.
        self._entry = self._ops.index(_RESUME)
        self._jumps = [self._jump(found.start()) for found in _JUMPS.finditer(self._ops)]
        self._handlers = _handlers(code)

    def _jump(self, operation: int) -> Jump:
        first, argument = operation, self._raw[2 * operation + 1]
        while first and self._ops[first - 1] == _EXTENDED:
            first -= 1
            argument |= self._raw[2 * first + 1] << 8 * (operation - first)
        back = self._ops[operation] in _BACK
        return Jump(first, operation, operation + 1 + (-argument if back else argument))

    # where ---------------------------------------------------------------------------------------

    def places(self) -> dict[int, int]:
        """Place -> line, wherever the interpreter would report a line to a tracer.

        It does where the line is not that of the instruction before, on whichever way that came, and after a jump back. Left
        out is a line that surely began before in the same straight stretch.
        """
        lines, ops = self._lines, self._ops
        joined = {self._entry + 1, *(handler[2] for handler in self._handlers)}
        stretches = {*joined, *(found.start() for found in _RESUMES.finditer(ops))}
        for _, operation, target in self._jumps:
            stretches.add(target)
            # What waits for another generator goes round in it without reporting.
            if lines[target] != lines[operation] or (ops[operation] in _BACK and ops[target] != _SEND):
                joined.add(target)
        found: dict[int, int] = {}
        seen: set[int] = set()
        for place in sorted({*stretches, *self._runs}):
            if place in stretches:
                seen.clear()
            line = lines[place]
            if line is None or line in seen or place <= self._entry or ops[place] == _RESUME:
                continue
            if place in joined or lines[place - 1] != line:
                self._check(place)
                seen.add(line)
                found[place] = line
        return found

    def _check(self, place: int) -> None:
        """These follow their neighbour immediately, or the interpreter goes astray."""
        before, here = self._ops[place - 1], self._ops[place]
        if here in (0, _CALL) or (here == _YIELD and before == _SEND):
            raise Unmarkable(f"a line begins within a call or a wait: {self._code.co_name}, {place}")

    # how -----------------------------------------------------------------------------------------

    def insert(self, inserted: Mapping[int, bytes], consts: tuple[object, ...]) -> CodeType:
        """The code with these instructions in front of these places."""
        growth = [0] * (len(self._ops) + 1)
        for place, instructions in inserted.items():
            growth[place] = len(instructions) // 2
        jumps = self._stretched(growth)
        return self._code.replace(
            co_code=self._instructions(inserted, jumps),
            co_consts=consts,
            co_linetable=moved_lines(self._code.co_linetable, {at: n for at, n in enumerate(growth) if n}),
            co_exceptiontable=self._exceptiontable(growth) if self._handlers else b"",
            co_stacksize=self._code.co_stacksize + 2,
        )

    def _exceptiontable(self, growth: list[int]) -> bytes:
        # Whoever went to a place goes to what stands in front of it now.
        shift = list(accumulate(growth, initial=0))
        return b"".join(
            handler(start + shift[start], size + shift[start + size] - shift[start], to + shift[to], depth)
            for start, size, to, depth in self._handlers
        )

    def _stretched(self, growth: list[int]) -> dict[int, tuple[int, bytes]]:
        """Where each jump begins -> its operation and its new instructions; longer arguments are added to `growth`."""
        widths = [jump.operation - jump.first for jump in self._jumps]
        while True:
            shift = list(accumulate(growth))
            distances = [abs(to + shift[to] - growth[to] - (at + 1 + shift[at])) for _, at, to in self._jumps]
            needed = [(distance.bit_length() - 1) // 8 for distance in distances]
            if all(need <= width for need, width in zip(needed, widths, strict=True)):
                break
            for n, (need, width) in enumerate(zip(needed, widths, strict=True)):
                if need > width:
                    growth[self._jumps[n].first] += need - width
                    widths[n] = need
        return {
            first: (at, _prefix(distance, width) + bytes((self._ops[at], distance & 0xFF)))
            for (first, at, _), distance, width in zip(self._jumps, distances, widths, strict=True)
        }

    def _instructions(self, inserted: Mapping[int, bytes], jumps: Mapping[int, tuple[int, bytes]]) -> bytes:
        parts: list[bytes] = []
        done = 0
        for place in sorted({*inserted, *jumps}):
            parts.append(self._raw[2 * done : 2 * place])
            parts.append(inserted.get(place, b""))
            done = place
            if place in jumps:
                operation, instructions = jumps[place]
                parts.append(instructions)
                done = operation + 1
        parts.append(self._raw[2 * done :])
        return b"".join(parts)
