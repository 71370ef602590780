"""Which tests must have run before a test for its verdict to flip?

A pure search. `shows(before)` runs the test after `before` in a fresh process and says whether the wanted verdict appears:
failing for a victim (then the tests found are its polluters), passing for a brittle test (its state-setters).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
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


def isolate(items: Sequence[str], shows: Shows) -> tuple[str, ...]:
    """A set within `items`, in order, that shows the verdict: `items` does, the empty sequence does not.

    Bisection on prefixes: between a prefix that shows it and one that does not there is always an adjacent pair, whatever
    cleaners stand around, so its last test is needed. Each needed test costs log2 N runs and one to see whether it suffices.
    """
    needed: tuple[str, ...] = ()
    rest = tuple(items)
    while rest and len(needed) < MOST_TOGETHER:
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


def suspects(seen: Sequence[Seen]) -> tuple[str, ...]:
    """Tests that stood before it whenever the verdict appeared; those that never did otherwise first."""
    shown = [s for s in seen if s.shown]
    if not shown:
        return ()
    common = set(shown[0].before).intersection(*(s.before for s in shown[1:]))
    quiet = [set(s.before) for s in seen if not s.shown]
    shortest = min(shown, key=lambda s: len(s.before)).before
    return tuple(sorted((t for t in shortest if t in common), key=lambda t: sum(t in q for q in quiet)))


def find(seen: Sequence[Seen], shows: Shows, tries: int = 3) -> Search:
    """The first group, verified twice: guessed from the orders already seen where they leave few, else by bisection."""
    ask = Counter(shows)
    ranked = suspects(seen)
    never = [s for s in seen if not s.shown]
    likely = [t for t in ranked if not any(t in s.before for s in never)]
    for test in (likely if len(likely) <= tries else ranked)[:tries]:
        if ask((test,)) and ask((test,)):
            return Search(((test,),), ask.runs, True)
    place = {t: n for n, t in enumerate(min((s for s in seen if s.shown), key=lambda s: len(s.before)).before)}
    pools = [tuple(sorted(ranked, key=place.__getitem__))] if len(ranked) > 1 else []
    pools += [s.before for s in sorted((s for s in seen if s.shown), key=lambda s: len(s.before))[:2]]
    for pool in pools:
        if not ask(pool):
            continue
        group = isolate(pool, ask)
        if ask(group) and ask(group):
            return Search((group,), ask.runs, True)
    return Search((), ask.runs, False)


def find_from(order: Sequence[str], shows: Shows) -> Search:
    """By bisection alone, from one order that shows the verdict."""
    ask = Counter(shows)
    group = isolate(order, ask)
    verified = ask(group) and ask(group)
    return Search((group,) if verified else (), ask.runs, verified)


def cleaner(between: Sequence[str], polluters: Sequence[str], shows: Shows) -> str | None:
    """Which test between polluter and victim undoes the pollution? `polluters + between` does not show the verdict."""
    low, high = 0, len(between)  # shown after between[:low], not shown after between[:high]
    if not between or shows((*polluters, *between)) or not shows(tuple(polluters)):
        return None
    while high - low > 1:
        middle = (low + high) // 2
        if shows((*polluters, *between[:middle])):
            low = middle
        else:
            high = middle
    found = between[high - 1]
    return found if not shows((*polluters, found)) else None


def unexplained(seen: Sequence[Seen], groups: Sequence[Sequence[str]]) -> bool:
    """Did the verdict appear in an order in which no known group stood before the test?"""
    return any(s.shown and not any(set(g) <= set(s.before) for g in groups) for s in seen)


def merge(found: Mapping[str, Search]) -> int:
    """The runs of several searches together."""
    return sum(search.runs for search in found.values())
