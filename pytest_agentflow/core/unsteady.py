"""Which test is which, where ids change from one collection to the next?

A parametrised id may hold the time of day, an address, a random number, or its place in a set. The test function and the
order of its parameters stay.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Sequence
from dataclasses import replace

from pytest_agentflow.core.model import SessionRecord
from pytest_agentflow.core.nodeids import function_of


def siblings(ids: Iterable[str], known: Iterable[str]) -> list[str]:
    """Known parametrised ids of the functions that `ids` name, in their order: what `stand_ins` needs to count."""
    functions = {function_of(i) for i in ids if i.endswith("]")}
    return [i for i in known if i.endswith("]") and function_of(i) in functions]


def stand_ins(collected: Sequence[str], known: Sequence[str]) -> dict[str, str]:
    """Unknown id to known id: the n-th unknown test of a function stands for the n-th known one that is not there.

    Both in the order of collection. Fewer tests than before leave known ids without anybody who stands for them.
    """
    here, listed = frozenset(collected), frozenset(known)
    fresh: dict[str, list[str]] = defaultdict(list)
    for nodeid in collected:
        if nodeid.endswith("]") and nodeid not in listed:
            fresh[function_of(nodeid)].append(nodeid)
    lost: dict[str, list[str]] = defaultdict(list)
    for nodeid in known:
        if nodeid not in here and function_of(nodeid) in fresh:
            lost[function_of(nodeid)].append(nodeid)
    return {
        new: old for function, olds in lost.items() for new, old in zip(fresh[function], olds, strict=False)
    }


def withdrawn(record: SessionRecord, unbelieved: Collection[str]) -> SessionRecord:
    """The record without the tests that went by these known ids: what they did says nothing about those."""
    return replace(
        record,
        collected=tuple(i for i in record.collected if i not in unbelieved),
        results={i: r for i, r in record.results.items() if i not in unbelieved},
        renamed={new: old for new, old in record.renamed.items() if old not in unbelieved},
    )
