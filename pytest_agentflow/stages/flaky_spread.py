"""Which orders, moments and seeds cover what a test may depend on, with few runs?"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Sequence

GOLDEN = 0.6180339887498949  # steps of the golden ratio cover a range evenly, however many are made


def spread_orders(tests: Sequence[str], chance: random.Random, n: int) -> Iterator[tuple[str, ...]]:
    """The reverse, then n orders in which every test comes among the last 1/n once: after nearly everything else."""
    yield tuple(reversed(tests))
    mixed = chance.sample(tests, len(tests))
    for k in range(n):
        last = mixed[k::n]
        others = [t for t in mixed if t not in set(last)]
        yield (*chance.sample(others, len(others)), *chance.sample(last, len(last)))


def clock_points(start: float, n: int) -> Iterator[float]:
    """Golden-ratio steps through the second, the minute, the day and the year: each evenly covered by any run of points."""
    for k in range(1, n + 1):
        day = int((k * GOLDEN % 1) * 365)
        hour = int(((k * GOLDEN * 7) % 1) * 24)
        minute = int(((k * GOLDEN * 11) % 1) * 60)
        second = ((k * GOLDEN * 5) % 1) * 60
        yield start - start % 86400 + day * 86400 + hour * 3600 + minute * 60 + second


def spread_seeds(n: int, start: int) -> Iterator[int]:
    """Seeds of `random` whose first draw falls into each of n equal parts of its range, one per part, ends first."""
    return _spread(n, start, lambda seed: random.Random(seed).getrandbits(32) / 2**32)


def spread_streams(n: int, start: int) -> Iterator[int]:
    """The same for entropy streams, by their first bytes."""
    return _spread(
        n, start, lambda seed: int.from_bytes(random.Random(f"entropy {seed}").randbytes(4), "big") / 2**32
    )


def _spread(n: int, start: int, draw: Callable[[int], float]) -> Iterator[int]:
    parts = 4 * n  # only the n parts nearest to the ends and an even choice of the rest are used
    wanted = sorted(range(parts), key=lambda k: (min(k, parts - 1 - k) >= 4, k * GOLDEN % 1))[:n]
    found: dict[int, int] = {}
    seed = start
    while len(found) < n:
        part = int(draw(seed) * parts)
        if part in wanted:
            found.setdefault(part, seed)
        seed += 1
    return iter([found[k] for k in wanted])
