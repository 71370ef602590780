"""Which failures were taken for one cause and may have several after all, and how are they told apart?"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pytest_agentflow.core.attempts import by_unit
from pytest_agentflow.core.model import Attempt, AttemptResult, Cluster, VerdictKind
from pytest_agentflow.core.nodeids import function_of

_NOT_FOUND = (
    VerdictKind.NO_CHANGE,
    VerdictKind.NO_PATCH,
    VerdictKind.UNFIXED,
    VerdictKind.REGRESSED,
    VerdictKind.OVERFIT,
    VerdictKind.TIMED_OUT,
)


@dataclass(frozen=True, slots=True)
class Doubt:
    """Failures of several test functions that nothing repaired together; of `part` one edit was seen to repair all."""

    whole: frozenset[str]
    part: frozenset[str] = frozenset()


def unrepaired(attempts: Mapping[str, Attempt], results: Sequence[AttemptResult]) -> frozenset[Doubt]:
    """Failures of several test functions that were taken for one cause and that the search could not repair together.

    Other agents see the whole unit and may repair two causes in one patch; the search looks for one.
    """
    found = set()
    for some in by_unit(attempts, results).values():
        attempt = attempts[some[-1].id]
        several = len({function_of(t) for t in attempt.targets}) > 1
        if several and all(r.agent == "search" and r.verdict.kind in _NOT_FOUND for r in some):
            found.add(Doubt(frozenset(attempt.targets), _repaired(attempt, some)))
    return frozenset(found)


def _repaired(attempt: Attempt, results: Iterable[AttemptResult]) -> frozenset[str]:
    """The most test functions that one edit turned green, every case of them, without breaking a guard.

    Cases alone are not enough: which cases an edit flips is known only afterwards, so that a wrong one would always look right.
    """
    best: frozenset[str] = frozenset()
    for near in (n for result in results for n in _near_misses(result)):
        red = {function_of(t) for t in attempt.visible if t not in near["flips"]}
        green = {function_of(t) for t in attempt.visible} - red
        part = frozenset(t for t in attempt.targets if function_of(t) in green)
        if not near["breaks"] and len(best) < len(part) < len(attempt.targets):
            best = part
    return best


def _near_misses(result: AttemptResult) -> Sequence[Mapping[str, Any]]:
    told = result.notes.get("near_misses")
    return told if isinstance(told, list | tuple) else ()


def is_new(failed: Collection[Doubt], doubted: Collection[Doubt]) -> bool:
    """Whether any of these failures were believed to be one until now, or a part of them was seen to be repaired.

    Parts of a unit already doubted are not taken apart again for nothing.
    """
    return any(
        doubt not in doubted if doubt.part else not any(doubt.whole <= known.whole for known in doubted)
        for doubt in failed
    )


def known_parts(group: Sequence[str], doubted: Collection[Doubt]) -> tuple[tuple[str, ...], ...]:
    """What one edit was seen to repair, and the rest; the group as it is where nothing is known."""
    for doubt in sorted(doubted, key=lambda d: (len(d.whole), sorted(d.whole), sorted(d.part))):
        if doubt.whole.issuperset(group):
            part = tuple(t for t in group if t in doubt.part)
            rest = tuple(t for t in group if t not in doubt.part)
            if part and rest:
                return part, rest
    return (tuple(group),)


def is_doubted(group: Iterable[str], doubted: Collection[Doubt]) -> bool:
    """Whether exactly these failures stayed unrepaired, and nothing says which of them belong together."""
    return Doubt(frozenset(group)) in doubted


def fell_into(cluster: Cluster, clusters: Sequence[Cluster], doubted: Collection[Doubt]) -> int:
    """Into how many clusters the failures fell that this one was taken out of; 1 for a whole."""
    whole = next((d.whole for d in doubted if d.whole.issuperset(cluster.targets)), frozenset[str]())
    return max(1, sum(whole.issuperset(c.targets) for c in clusters)) if whole else 1
