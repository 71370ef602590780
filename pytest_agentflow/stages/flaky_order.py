"""Because of whom does a test flip with the order: polluters, setters, cleaners?"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

from pytest_agentflow.core.flaky import Category, FlakyRecord
from pytest_agentflow.core.flaky_table import Sight
from pytest_agentflow.core.polluters import Search, cleaner, find, unexplained
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
    cut = [False]  # the budget ended the search

    def shows(before: Sequence[str]) -> bool:
        sight = _after(lab, test, before)
        if sight is None:
            cut[0] = cut[0] or not lab.left(len(before) + 1)
            return False
        latest[sight.red] = sight
        return sight.red is not base

    first = find(seen, shows)
    if not first.verified or (not base) not in latest:
        return _unnamed(lab, test, sights[0]) if cut[0] else None
    groups = first.groups
    runs = first.runs
    if unexplained(seen, groups):
        more = _alternatives(lab, test, groups, not base, shows)
        groups, runs = groups + tuple(g for m in more for g in m.groups), runs + sum(m.runs for m in more)
    undone, spent = cleaner(seen, groups[0], shows) if not base else (None, 0)
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
        cause=f"order: {' + '.join(groups[0])}" if not base else "",
        detail={"search runs": str(runs + spent)},
    )


def _after(lab: Lab, test: str, before: Sequence[str]) -> Sight | None:
    """The test after these others, if the budget allows."""
    enough = lab.reach("searches for culprits", len(before) + 1)
    return lab.once((*before, test), "search") if enough else None


def _unnamed(lab: Lab, test: str, alone: Sight) -> FlakyRecord | None:
    """It follows the order, seen at least twice; because of whom was not found out within the budget."""
    shown = [s for s in lab.table.of(test, "suite", "order", "search") if s.red is not alone.red]
    if len(shown) < 2:
        return None
    shortest = min(shown, key=lambda s: s.position)
    green, red = (shortest, alone) if alone.red else (alone, shortest)
    return FlakyRecord(
        nodeid=test,
        category=Category.ORDER_BRITTLE if alone.red else Category.ORDER_VICTIM,
        confidence=0.8,
        why=f"{'passes' if alone.red else 'fails'} only after other tests; which ones was not found out within the budget",
        passing=green.sighting(),
        failing=red.sighting(),
    )


def complete(lab: Lab, records: Sequence[FlakyRecord]) -> list[FlakyRecord]:
    """Are the known culprits all? One run for everybody: without any of them, all order-dependent tests at the end."""
    kinds = (Category.ORDER_VICTIM, Category.ORDER_BRITTLE)
    mine = [r for r in records if r.category in kinds and r.culprits]
    known = {t for r in mine for g in r.culprits for t in g} | {r.nodeid for r in mine} | set(lab.killers)
    rest = [t for t in lab.tests if t not in known]
    if not mine or not lab.reach("alternative polluters", len(rest) + len(mine)):
        return list(records)
    sights = lab.whole([*rest, *(r.nodeid for r in mine)], "order")
    verdicts = {s.order[s.position]: s.red for s in sights[len(rest) :]}
    return [
        _with_alternatives(lab, r)
        if r in mine and verdicts.get(r.nodeid) is (r.category is Category.ORDER_VICTIM)
        else r
        for r in records
    ]


def _with_alternatives(lab: Lab, record: FlakyRecord) -> FlakyRecord:
    red = record.category is Category.ORDER_VICTIM

    def shows(before: Sequence[str]) -> bool:
        sight = _after(lab, record.nodeid, before)
        return sight is not None and sight.red is red

    more = _alternatives(lab, record.nodeid, record.culprits, red, shows)
    groups = record.culprits + tuple(g for m in more for g in m.groups)
    return replace(record, culprits=groups, why=_words(not red, groups, None)) if more else record


def _words(brittle: bool, groups: Sequence[Sequence[str]], undone: str | None) -> str:
    names = " or ".join(" and ".join(g) for g in groups)
    if brittle:
        return f"passes only after {names}"
    return f"fails after {names}" + (f", unless {undone} runs in between" if undone else "")


def _alternatives(
    lab: Lab, test: str, groups: Sequence[Sequence[str]], red: bool, shows: Callable[[Sequence[str]], bool]
) -> list[Search]:
    """Others that do the same on their own: looked for in the orders that showed the verdict without the known ones."""
    known, found = [tuple(g) for g in groups], list[Search]()
    while len(known) < MOST_GROUPS:
        seen = lab.table.orders(test, red)
        loose = [s for s in seen if not s.shown or not any(set(g) <= set(s.before) for g in known)]
        if not any(s.shown for s in loose) or not lab.reach("alternative polluters", 20):
            break
        search = find(loose, shows)
        if not search.verified or search.groups[0] in known:
            break
        found.append(search)
        known += search.groups
    return found
