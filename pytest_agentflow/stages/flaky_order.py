"""Because of whom does a test flip with the order: polluters, setters, cleaners?"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from pytest_agentflow.core.flaky import Category, FlakyRecord
from pytest_agentflow.core.flaky_table import Sight
from pytest_agentflow.core.polluters import Search, cleaner, find, find_from, unexplained
from pytest_agentflow.stages.flaky_lab import Lab

MOST_GROUPS = 3


def order_dependence(lab: Lab, test: str) -> FlakyRecord | None:
    """A verdict alone, another after other tests, both seen twice; and the smallest set of tests that makes the difference."""
    sights = lab.table.of(test, "alone")
    if not sights or len({s.red for s in sights}) > 1:
        return None
    base = sights[0].red
    seen = lab.table.orders(test, red=not base)
    if not any(s.shown for s in seen):
        return None
    latest: dict[bool, Sight] = {}

    def shows(before: Sequence[str]) -> bool:
        sight = lab.once((*before, test), "search")
        if sight is None:
            return False
        latest[sight.red] = sight
        return sight.red is not base

    first = find(seen, shows)
    if not first.verified or (not base) not in latest:
        return None
    found = [first, *_alternatives(lab, test, first, not base, shows)]
    groups = tuple(g for search in found for g in search.groups)
    undone = _cleaner(lab, test, groups[0], shows) if not base else None
    runs = sum(search.runs for search in found)
    green, red = (latest[False], sights[0]) if base else (sights[0], latest[True])
    return FlakyRecord(
        nodeid=test,
        category=Category.ORDER_BRITTLE if base else Category.ORDER_VICTIM,
        confidence=0.98,
        why=_words(base, groups, undone),
        passing=green.sighting(),
        failing=red.sighting(),
        culprits=groups,
        cleaners=(undone,) if undone else (),
        cause=f"order: {' + '.join(groups[0])}" if groups and not base else "",
        detail={"search runs": str(runs)},
    )


def _words(brittle: bool, groups: Sequence[Sequence[str]], undone: str | None) -> str:
    names = " or ".join(" and ".join(g) for g in groups)
    if brittle:
        return f"passes only after {names}"
    return f"fails after {names}" + (f", unless {undone} runs in between" if undone else "")


def _alternatives(
    lab: Lab, test: str, first: Search, red: bool, shows: Callable[[Sequence[str]], bool]
) -> list[Search]:
    """Others that do the same on their own: looked for where the verdict appeared without the known ones."""
    groups = list(first.groups)
    found: list[Search] = []
    known = {t for g in groups for t in g}
    rest = tuple(t for t in lab.tests if t not in known and t != test and t not in lab.killers)
    while len(groups) < MOST_GROUPS and lab.reach("alternative polluters", len(rest)):
        seen = lab.table.orders(test, red)
        loose = unexplained(seen, groups)
        if not loose and not shows(rest):
            break
        unknown = [s for s in seen if s.shown and not any(set(g) <= set(s.before) for g in groups)]
        if not unknown:
            break
        search = find_from(min(unknown, key=lambda s: len(s.before)).before, shows)
        if not search.verified or search.groups[0] in groups:
            break
        found.append(search)
        groups += search.groups
        known |= set(search.groups[0])
        rest = tuple(t for t in rest if t not in known)
    return found


def _cleaner(lab: Lab, test: str, group: Sequence[str], shows: Callable[[Sequence[str]], bool]) -> str | None:
    """Where the polluters came first in an order and the test still passed, something in between undid it."""
    for seen in lab.table.orders(test, red=True):
        if seen.shown or not set(group) <= set(seen.before):
            continue
        last = max(seen.before.index(t) for t in group)
        between = seen.before[last + 1 :]
        if between and lab.reach("cleaners", 4 * len(between)):
            return cleaner(between, group, shows)
    return None
