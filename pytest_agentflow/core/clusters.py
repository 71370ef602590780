"""Which failures share a cause?

Two groups of failing tests are joined when one faulty statement explains both about as well as two would: a second fault
has to pay for itself with a clearly better fit (minimum description length over the single-fault model).
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from itertools import combinations

from pytest_agentflow.core.spectrum import Spectrum, single_fault

MAX_GROUPS = 60  # beyond this, groups with the nearest coverage are joined first


def cluster(
    targets: Sequence[str], spectrum: Spectrum, signatures: Mapping[str, str] | None = None
) -> tuple[tuple[str, ...], ...]:
    """The targets in groups, in the order of their first member."""
    signatures = signatures or {}
    place = {test: 1 << n for n, test in enumerate(spectrum.tests)}
    known = [t for t in targets if t in place]
    columns = _columns(spectrum, sum(place[t] for t in known))
    groups = _alike(known, place, columns, signatures)
    price = math.log(max(2, len(columns)))
    best = {mask: _fit(mask, columns, spectrum.passing) for mask in groups}
    while len(best) > 1:
        gain, pair = max(
            ((_gain(a, b, best, columns, spectrum.passing, price)), (a, b))
            for a, b in combinations(sorted(best), 2)
        )
        if gain < 0:
            break
        joined = pair[0] | pair[1]
        best.pop(pair[0])
        best.pop(pair[1])
        best[joined] = _fit(joined, columns, spectrum.passing)
    alone = [(t,) for t in targets if t not in place]
    found = [tuple(t for t in known if place[t] & mask) for mask in best]
    order = {t: n for n, t in enumerate(targets)}
    return tuple(sorted([*found, *alone], key=lambda group: order[group[0]]))


def _columns(spectrum: Spectrum, failing: int) -> tuple[int, ...]:
    distinct = {c for columns in spectrum.statements.values() for c in columns if c & failing}
    return tuple(sorted(distinct))


def _alike(
    tests: Sequence[str], place: Mapping[str, int], columns: Sequence[int], signatures: Mapping[str, str]
) -> list[int]:
    """Tests that ran exactly the same statements, or failed in the same way at the same place, start as one group."""
    groups: dict[object, int] = {}
    for test in tests:
        key: object = signatures.get(test) or tuple(n for n, c in enumerate(columns) if c & place[test])
        groups[key] = groups.get(key, 0) | place[test]
    return list(groups.values())


def _fit(mask: int, columns: Sequence[int], passing: int) -> float:
    """How well the best single statement explains a group."""
    size = mask.bit_count()
    fits = [
        single_fault((c & mask).bit_count(), (c & passing).bit_count(), size) for c in columns if c & mask
    ]
    return max(fits, default=-math.inf)


def _gain(
    a: int, b: int, best: Mapping[int, float], columns: Sequence[int], passing: int, price: float
) -> float:
    return _fit(a | b, columns, passing) + price - best[a] - best[b]
