"""Which smallest part of a list still has the property? Delta debugging (Zeller's ddmin), bounded and without repeats."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from typing import TypeVar

T = TypeVar("T")


class _Bounded:
    """Asks each subset once; after `limit` questions every answer is no, so the search ends with the best so far."""

    def __init__(self, test: Callable[[tuple[int, ...]], bool], limit: int) -> None:
        self._test = test
        self._left = limit
        self._known: dict[tuple[int, ...], bool] = {}

    def __call__(self, subset: tuple[int, ...]) -> bool:
        if subset not in self._known:
            if not self._left:
                return False
            self._left -= 1
            self._known[subset] = self._test(subset)
        return self._known[subset]


def ddmin(items: Sequence[T], test: Callable[[tuple[T, ...]], bool], *, limit: int = 200) -> tuple[T, ...]:
    """A 1-minimal subset, in order, for which `test` still holds: leaving out any single item breaks it.

    The whole of `items` is taken to hold and is not asked about. With `limit` questions used up, the smallest subset
    found so far is returned.
    """
    ask = _Bounded(lambda chosen: test(tuple(items[i] for i in chosen)), limit)
    current = tuple(range(len(items)))
    pieces = 2
    while len(current) > 1:
        smaller = _reduce(current, _split(current, pieces), ask)
        if smaller is not None:
            current, pieces = smaller
        elif pieces >= len(current):
            break
        else:
            pieces = min(len(current), 2 * pieces)
    return tuple(items[i] for i in current)


def _reduce(
    current: tuple[int, ...], chunks: list[tuple[int, ...]], ask: _Bounded
) -> tuple[tuple[int, ...], int] | None:
    """The first chunk that holds alone, else the first complement that does; with the next granularity."""
    for chunk in chunks:
        if ask(chunk):
            return chunk, 2
    for chunk in chunks if len(chunks) > 2 else ():
        gone = set(chunk)
        rest = tuple(i for i in current if i not in gone)
        if ask(rest):
            return rest, max(len(chunks) - 1, 2)
    return None


def _split(current: tuple[int, ...], pieces: int) -> list[tuple[int, ...]]:
    """`pieces` contiguous chunks of nearly the same size."""
    bounds = [len(current) * n // pieces for n in range(pieces + 1)]
    return [current[a:b] for a, b in itertools.pairwise(bounds) if a < b]
