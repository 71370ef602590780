"""Which tests must have run before a test for its verdict to flip?

A pure search. `shows(before)` runs the test after `before` in a fresh process and says whether the wanted verdict appears:
failing for a victim (then the tests found are its polluters), passing for a brittle test (its state-setters).
"""

from __future__ import annotations

import itertools
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass

Shows = Callable[[Sequence[str]], bool]
MOST_TOGETHER = 4  # more tests than these are never needed together, or the flip has another reason


@dataclass(frozen=True, slots=True)
class Seen:
    """One order in which the test ran: what ran before it, and whether the wanted verdict appeared."""

    before: tuple[str, ...]
    shown: bool


@dataclass(frozen=True, slots=True)
class Search:
    """What was found, and at what price."""

    groups: tuple[tuple[str, ...], ...]  # alternatives; the tests of one group are needed together
    runs: int
    verified: bool


class Counter:
    """Counts the runs of a search and remembers their answers."""

    def __init__(self, shows: Shows) -> None:
        self._shows = shows
        self.runs = 0

    def __call__(self, before: Sequence[str]) -> bool:
        self.runs += 1
        return self._shows(tuple(before))


def isolate(items: Sequence[str], shows: Shows, pairs: Sequence[tuple[str, str]] = ()) -> tuple[str, ...]:
    """A set within `items`, in order, that shows the verdict: `items` does, the empty sequence does not.

    First as if one test were enough: halves, of which only one is run, so that all runs together are about as long as
    `items`. Where that test is not enough, one of the `pairs` that could be. Then bisection on prefixes: between a prefix
    that shows it and one that does not there is always an adjacent pair, whatever cleaners stand around, so its last test is
    needed; then again for the next one.
    """
    needed: tuple[str, ...] = ()
    rest = tuple(items)
    while rest and len(needed) < MOST_TOGETHER:
        guess = _halve(rest, needed, shows)
        if shows((guess, *needed)):
            return (guess, *needed)
        if not needed and (pair := find_pair([p for p in pairs if set(p) <= set(rest)], shows)):
            return pair
        low, high = 0, len(rest)
        while high - low > 1:
            middle = (low + high) // 2
            if shows((*rest[:middle], *needed)):
                high = middle
            else:
                low = middle
        needed = (rest[high - 1], *needed)
        rest = rest[: high - 1]
        if shows(needed):
            return needed
    return needed


def _halve(rest: tuple[str, ...], needed: tuple[str, ...], shows: Shows) -> str:
    """The one test among `rest` that is missing to `needed`, if it is one: what the first half does not show, the second does."""
    while len(rest) > 1:
        half = rest[: len(rest) // 2]
        rest = half if shows((*half, *needed)) else rest[len(half) :]
    return rest[0]


def pools(seen: Sequence[Seen]) -> list[tuple[str, ...]]:
    """Where to look, the smallest first, each in the order in which it ran.

    Tests that stood before it whenever the verdict appeared and never otherwise: one of them alone, if one suffices. Then
    those that never stood before it otherwise (alternatives), those that always did when it appeared (several together, or
    with a cleaner about), and last the shortest order that showed it.
    """
    shown = sorted((s for s in seen if s.shown), key=lambda s: len(s.before))
    if not shown:
        return []
    shortest = shown[0].before
    common = set(shortest).intersection(*(s.before for s in shown[1:]))
    cleared = _cleared(seen)
    found = [
        tuple(t for t in shortest if t in common and t not in cleared),
        tuple(t for t in shortest if t not in cleared),
        tuple(t for t in shortest if t in common),
        shortest,
    ]
    return [pool for n, pool in enumerate(found) if pool and pool not in found[:n]]


def find(seen: Sequence[Seen], shows: Shows) -> Search:
    """The first group, verified twice: looked for in the smallest pool that shows the verdict.

    Where no test alone can explain what was seen, two needed together are asked for before larger pools.
    """
    ask = Counter(shows)
    cleared = _cleared(seen)
    pairs = pairs_left(seen)
    for pool in pools(seen):
        if pairs and cleared.intersection(pool):
            group, pairs = find_pair(pairs, ask), []
            if group and ask(group) and ask(group):
                return Search((group,), ask.runs, True)
        if not ask(pool):
            continue
        group = isolate(pool, ask, pairs) if len(pool) > 1 else pool
        if ask(group) and ask(group):
            return Search((group,), ask.runs, True)
    return Search((), ask.runs, False)


def _cleared(seen: Sequence[Seen]) -> set[str]:
    """Tests that stood before it when the verdict did not appear."""
    return {t for s in seen if not s.shown for t in s.before}


def pairs_left(seen: Sequence[Seen], most: int = 400) -> list[tuple[str, str]]:
    """Pairs that stood before it whenever the verdict appeared, and never both otherwise; in the order in which they ran."""
    shown = sorted((s.before for s in seen if s.shown), key=len)
    if not shown:
        return []
    common = set(shown[0]).intersection(*shown[1:])
    order = [t for t in shown[0] if t in common]
    if len(order) > most:
        return []
    bit = {t: 1 << n for n, t in enumerate(order)}
    quiet = [sum(bit[t] for t in set(s.before) & common) for s in seen if not s.shown]
    return [
        (a, b)
        for a, b in itertools.combinations(order, 2)
        if not any(q & bit[a] and q & bit[b] for q in quiet)
    ]


def find_pair(pairs: Sequence[tuple[str, str]], shows: Shows) -> tuple[str, ...]:
    """The pair that shows the verdict, or the one of its tests that does alone; nothing where no pair does."""
    place = {t: n for n, t in enumerate(dict.fromkeys(t for pair in pairs for t in pair))}
    left = list(pairs)
    while len(left) > 1:
        some = _with_half(left)
        verdict = shows(sorted(some, key=lambda t: place[t]))
        left = [pair for pair in left if (some.issuperset(pair)) is verdict]
    if not left or not shows(left[0]):
        return ()
    return next(((t,) for t in left[0] if shows((t,))), left[0])


def _with_half(pairs: Sequence[tuple[str, str]]) -> set[str]:
    """Few tests that hold about half of the pairs: those that are in most of them."""
    partners: dict[str, set[str]] = defaultdict(set)
    for a, b in pairs:
        partners[a].add(b)
        partners[b].add(a)
    some, inside = set[str](), 0
    for test in sorted(partners, key=lambda t: -len(partners[t])):
        more = len(partners[test] & some)
        if inside + more == len(pairs):
            break
        some.add(test)
        inside += more
        if 2 * inside >= len(pairs):
            break
    return some if inside else set(pairs[0])


def find_from(order: Sequence[str], shows: Shows) -> Search:
    """By bisection alone, from one order that shows the verdict."""
    ask = Counter(shows)
    group = isolate(order, ask)
    verified = ask(group) and ask(group)
    return Search((group,) if verified else (), ask.runs, verified)


def cleaner(
    seen: Sequence[Seen], group: Sequence[str], shows: Shows, most: int = 12
) -> tuple[str | None, int]:
    """Which test between the group and the test undoes it, and in how many runs that was found out.

    `seen` has orders in which the group came before and the verdict did not appear: the cleaner stands in between in each.
    """
    quiet = [s.before for s in seen if not s.shown and set(group) <= set(s.before)]
    if not quiet:
        return None, 0
    betweens = [before[max(before.index(t) for t in group) + 1 :] for before in quiet]
    shortest = min(betweens, key=len)
    common = [t for t in shortest if all(t in b for b in betweens)]
    ask = Counter(shows)
    while len(common) > 1 and ask.runs < most:
        half = common[: len(common) // 2]
        common = half if not ask((*group, *half)) else common[len(half) :]
    if len(common) == 1 and not ask((*group, common[0])) and not ask((*group, common[0])):
        return common[0], ask.runs
    return None, ask.runs


def unexplained(seen: Sequence[Seen], groups: Sequence[Sequence[str]]) -> bool:
    """Did the verdict appear in an order in which no known group stood before the test?"""
    return any(s.shown and not any(set(g) <= set(s.before) for g in groups) for s in seen)
