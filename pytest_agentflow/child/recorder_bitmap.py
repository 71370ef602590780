"""How are the lines of a file kept? As the bits of one number: small, compared at once, and joined by `|`."""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache

REMEMBERED = 10_000  # tests share most of what they run


def bitmap(lines: Iterable[int]) -> int:
    """Bit n for line n. Numbers that are none, as a tracer has for entries and exits, are left out."""
    kept = [n for n in lines if n > 0]
    bits = bytearray((max(kept, default=0) >> 3) + 1)
    for number in kept:
        bits[number >> 3] |= 1 << (number & 7)
    return int.from_bytes(bits, "little")


@lru_cache(REMEMBERED)
def remembered_bitmap(lines: frozenset[int]) -> int:
    return bitmap(lines)
