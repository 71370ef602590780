"""What do the tables of lines and of exception handlers say once instructions were put in between (Python 3.11)?

Their formats are those of CPython's Objects/locations.md and Objects/exception_handling_notes.txt. In both, one bit of a byte
says whether an entry begins there.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

ENTRY = re.compile(b"[\x80-\xff][\x00-\x7f]*")
_SAME_LINE, _NO_COLUMNS, _NO_LINE = 10, 13, 15  # kinds of entries in the table of lines


class Unmarkable(Exception):
    """Code of a shape that the compiler does not make."""


def moved_lines(table: bytes, growth: Mapping[int, int]) -> bytes:
    """What is new in front of an instruction, so many units, has the line of the instruction, and no columns."""
    parts: list[bytes] = []
    place = begun = met = 0
    for found in ENTRY.finditer(table):
        if place in growth:
            met += 1
            step, rest = _split(found[0])
            parts += (table[begun : found.start()], _uncolumned(growth[place], step), rest)
            begun = found.end()
            if met == len(growth):
                break
        place += (table[found.start()] & 7) + 1
    parts.append(table[begun:])
    if met != len(growth):
        raise Unmarkable("an instruction without an entry of its own in the table of lines")
    return b"".join(parts)


def _split(entry: bytes) -> tuple[bytes | None, bytes]:
    """How far an entry goes to its line (None for no line), as it writes numbers; the same entry without going there."""
    kind = entry[0] >> 3 & 15
    size = entry[0] & 0x87
    if kind == _NO_LINE:
        return None, entry
    if kind < _SAME_LINE:
        return b"\0", entry
    if kind < _NO_COLUMNS:
        return bytes((2 * (kind - _SAME_LINE),)), bytes((size | _SAME_LINE << 3,)) + entry[1:]
    end = next(n for n in range(1, len(entry)) if not entry[n] & 0x40) + 1
    return entry[1:end], entry[:1] + b"\0" + entry[end:]


def _uncolumned(count: int, step: bytes | None) -> bytes:
    """Entries for so many units; one holds eight at most."""
    kind, step = (_NO_LINE, b"") if step is None else (_NO_COLUMNS, step)
    head = 0x80 | kind << 3
    first = bytes((head | min(count, 8) - 1,)) + step
    return first if count <= 8 else first + _uncolumned(count - 8, step and b"\0")


def numbers(entry: bytes) -> Iterator[int]:
    """Six bits at a time, the upper ones first; a bit says that more follow."""
    number = 0
    for byte in entry:
        number = number << 6 | byte & 0x3F
        if not byte & 0x40:
            yield number
            number = 0


def handler(*numbers: int) -> bytes:
    """An entry of the table of handlers; a bit says where one begins."""
    entry = bytearray()
    for number in numbers:
        more = range(6 * max((number.bit_length() - 1) // 6, 0), 0, -6)
        entry += bytes(number >> shift & 0x3F | 0x40 for shift in more)
        entry.append(number & 0x3F)
    entry[0] |= 0x80
    return bytes(entry)
