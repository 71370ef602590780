"""Which orders, moments and seeds cover what a test may depend on, with few runs?"""

from __future__ import annotations

import bisect
import random
from collections.abc import Iterator, Sequence

from pytest_agentflow.core.entropy import GOLDEN, SPREAD_FROM, place

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
    seeds = sorted((random.Random(seed).getrandbits(32) / 2**32, seed) for seed in range(1000, 1000 + SEEDS))
    return [(_nearest(seeds, place(k)), SPREAD_FROM + k) for k in range(n)]


def _nearest(found: list[tuple[float, int]], at: float) -> int:
    return found[min(bisect.bisect_left(found, (at, 0)), len(found) - 1)][1]
