"""Which orders, moments and seeds cover what a test may depend on, with few runs?"""

from __future__ import annotations

import bisect
import random
from collections.abc import Callable, Iterator, Sequence

GOLDEN = 0.6180339887498949  # steps of the golden ratio cover a range evenly, however many are made
SEEDS = 4096  # to choose from


def spread_orders(tests: Sequence[str], chance: random.Random, n: int) -> Iterator[tuple[str, ...]]:
    """The reverse, then n orders in which every test comes among the last 1/n once: after nearly everything else."""
    yield tuple(reversed(tests))
    mixed = chance.sample(tests, len(tests))
    for k in range(n):
        last = mixed[k::n]
        late = set(last)
        others = [t for t in mixed if t not in late]
        yield (*chance.sample(others, len(others)), *chance.sample(last, len(last)))


# Steps that fill a range evenly however many are made, and several ranges without marching in step.
STEPS = (GOLDEN, 0.7548776662466927, 0.5698402909980532, 0.8191725133961645)


def clock_points(start: float, n: int) -> Iterator[float]:
    """Moments that cover the hours, the minutes, the seconds and the days of a year evenly, whatever their number."""
    midnight = start - start % 86400
    for k in range(1, n + 1):
        hour, minute, second, day = (k * step % 1 for step in STEPS)
        yield midnight + int(day * 365) * 86400 + int(hour * 24) * 3600 + int(minute * 60) * 60 + second * 60


def spread_seeds(n: int) -> list[tuple[int, int]]:
    """(seed of `random`, entropy stream) whose first draws cover their range evenly, the ends first.

    A failure that hangs on the first draw is met after about 1/p of them, where seeds taken at random need three times as many.
    """
    seeds = _by_draw(lambda seed: random.Random(seed).getrandbits(32) / 2**32)
    streams = _by_draw(lambda seed: random.Random(f"entropy {seed}").getrandbits(32) / 2**32)
    ends = [x for edge in (0.002, 0.007, 0.02, 0.04) for x in (edge, 1 - edge)]
    places = [*ends, *(k * GOLDEN % 1 for k in range(1, n + 1))][:n]
    return [(_nearest(seeds, at), _nearest(streams, at)) for at in places]


def _by_draw(draw: Callable[[int], float]) -> list[tuple[float, int]]:
    return sorted((draw(seed), seed) for seed in range(1000, 1000 + SEEDS))


def _nearest(found: list[tuple[float, int]], at: float) -> int:
    return found[min(bisect.bisect_left(found, (at, 0)), len(found) - 1)][1]
