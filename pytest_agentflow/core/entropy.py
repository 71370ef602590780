"""Streams of random bytes whose first read covers what a test may make of it, with few streams.

A test mostly turns its first read into a decision in one of two ways: it compares the number with a bound, which the leading
bits decide, or takes it modulo something, which the trailing ones decide. The spread streams step through both evenly, and
leave the rest to chance: a failure that hangs on the first read is met after about 1/p of them, where streams taken at random
need three times as many.
"""

from __future__ import annotations

from collections.abc import Callable

GOLDEN = 0.6180339887498949  # steps of the golden ratio cover a range evenly, however many are made
ENDS = tuple(
    x for edge in (0.002, 0.007, 0.02, 0.04) for x in (edge, 1 - edge)
)  # bounds are mostly near them
SPREAD_FROM = 1 << 31  # this stream and those above are spread; those below, drawn by lot, are random alone
WHEEL = 18_018_000  # a multiple of 1 to 16, 18, 20, 25, 50, 100 and 1,000: steps modulo this are steps modulo each
UUID_BYTES = 16
UUID4_CLEAR, UUID4_SET = (0xC000 << 48) | (0xF000 << 64), (0x8000 << 48) | (4 << 76)  # RFC 9562, section 5.4


def place(k: int) -> float:
    """The k-th point in [0, 1): both ends first, then everywhere."""
    return ENDS[k] if k < len(ENDS) else (k - len(ENDS) + 1) * GOLDEN % 1


def reader(stream: int, draw: Callable[[int], bytes]) -> Callable[[int], bytes]:
    """`os.urandom` of a stream: `draw` gives the random bytes, and a spread stream shapes the first that are read."""
    waiting = stream >= SPREAD_FROM

    def read(size: int) -> bytes:
        nonlocal waiting
        drawn = draw(size)
        if not waiting or not size:
            return drawn
        waiting = False
        return opening(stream - SPREAD_FROM, drawn)

    return read


def opening(k: int, drawn: bytes) -> bytes:
    """What the k-th spread stream gives at first, as a big-endian number: the leading bits from `place(k)`, k modulo the wheel."""
    size = len(drawn)
    if size < 4:
        return int(place(k) * 256**size).to_bytes(size, "big")
    below = 8 * size - 16
    value = int(place(k) * 2**16) << below | int.from_bytes(drawn, "big") & (1 << below) - 1
    if size == UUID_BYTES:  # what uuid4 would set is set before, or the residue would not be k's
        value = value & ~UUID4_CLEAR | UUID4_SET
    value += k % WHEEL - value % WHEEL
    return (value if value < 256**size else value - WHEEL).to_bytes(size, "big")
