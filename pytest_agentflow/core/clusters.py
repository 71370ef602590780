"""Which failures share a cause?

Each group of failing tests gives every statement that all of them ran a probability of being at fault, from the same evidence
as the ranking. Two groups are joined while one common fault is the better explanation: the Bayes factor of "the same
statement" over "two statements" is the sum over statements of p(statement | a) p(statement | b) / p(statement). What one of
the tests never ran cannot be its cause, so failures that share no statement are never joined.
"""

from __future__ import annotations

import functools
import heapq
import math
import operator
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from pytest_agentflow.core.healing import Place as Line
from pytest_agentflow.core.healing import common_healers
from pytest_agentflow.core.localise import Facts, Scored, score_statements
from pytest_agentflow.core.spectrum import Spectrum, ochiai, ran_the_same
from pytest_agentflow.core.syntax import Source
from pytest_agentflow.core.weights import DEFAULT, Weights

# Failures that turn up together mostly have one cause: the odds before any evidence are taken as 30 to 1.
LEAST_FACTOR = 0.03
# Once nothing was found that repairs them together, the odds are taken the other way round.
DOUBTED_FACTOR = 30.0
MAX_PLACES = 200  # the most probable statements of a group; the rest cannot tip the scale
STATIC = frozenset({"sites", "kind", "module", "uncommitted", "recent"})  # evidence that no test gives

Place = tuple[str, int, int]  # path, first and last line of a statement
NONE: frozenset[Line] = frozenset()


@dataclass(frozen=True, slots=True)
class _Group:
    tests: int  # bitmap
    told: Mapping[Place, float]  # log-odds from what these tests' failures say, coverage apart
    shares: Mapping[Place, float]  # probability of each statement that all of them ran
    # Statements whose edits heal all of them that were asked, and break nothing; None where none was asked.
    healers: frozenset[Line] | None


def cluster(
    targets: Sequence[str],
    spectrum: Spectrum,
    sources: Mapping[str, Source],
    facts: Facts,
    weights: Weights = DEFAULT,
    least: float = LEAST_FACTOR,
) -> tuple[tuple[str, ...], ...]:
    """The targets in groups, in the order of their first member; joined where the factor is at `least` this."""
    bit = {test: 1 << n for n, test in enumerate(spectrum.tests)}
    known = [t for t in targets if t in bit]
    evidence = _Evidence(spectrum, sources, facts, weights, least)
    groups = [evidence.group(tests) for tests in ran_the_same(known, spectrum)]
    evidence.settle()
    found = [tuple(t for t in known if bit[t] & group.tests) for group in _joined(groups, evidence)]
    alone = [(t,) for t in targets if t not in bit]
    order = {t: n for n, t in enumerate(targets)}
    return tuple(sorted([*found, *alone], key=lambda group: order[group[0]]))


class _Evidence:
    """What a set of failing tests says about each statement that all of them ran."""

    def __init__(
        self,
        spectrum: Spectrum,
        sources: Mapping[str, Source],
        facts: Facts,
        weights: Weights,
        least: float,
    ) -> None:
        self._spectrum, self._sources, self._facts, self._weights = spectrum, sources, facts, weights
        self.least = least
        self._static: dict[Place, float] = {}
        self._mass = 1.0
        self._sides: dict[Place, tuple[int, ...]] = {}
        for path, source in sources.items():
            columns = spectrum.statements.get(path, ())
            first = {s.first_line: n for n, s in enumerate(source.statements)}
            for statement, column in zip(source.statements, columns, strict=True):
                blocks = [columns[first[b]] for b in statement.branches if b in first]
                sides = (column, *(column & b for b in blocks), *(column & ~b for b in blocks))
                self._sides[path, statement.first_line, statement.last_line] = sides

    def group(self, tests: Sequence[str]) -> _Group:
        """Tests that failed, with everything that is known about their failures."""
        mask = self._spectrum.mask(tests)
        told = {}
        for scored in score_statements(tests, self._spectrum, self._sources, self._facts, self._weights):
            place = (scored.path, scored.statement.first_line, scored.statement.last_line)
            if self._sides[place][0] & mask == mask and _observed(scored):
                self._static[place], told[place] = self._parts(scored)
        return self._weighed(mask, told, common_healers(tests, self._facts.healed))

    def settle(self) -> None:
        """All statements are known now: the sum that makes their priors probabilities."""
        self._mass = sum(map(math.exp, self._static.values()))

    def join(self, a: _Group, b: _Group) -> _Group:
        """What failures say is a share of the failing tests, so the mean over both."""
        m, n = a.tests.bit_count(), b.tests.bit_count()
        told = {p: (m * a.told[p] + n * b.told[p]) / (m + n) for p in a.told if p in b.told}
        known = [g.healers for g in (a, b) if g.healers is not None]
        return self._weighed(
            a.tests | b.tests, told, functools.reduce(operator.and_, known) if known else None
        )

    def factor(self, a: _Group, b: _Group) -> float:
        """The Bayes factor of one fault over two; at least even when edits of one statement heal both, or the larger group's fault would fail
        the other as well."""
        few, many = sorted((a.shares, b.shares), key=len)
        common = sum(share * many[p] * math.exp(-self._static[p]) for p, share in few.items() if p in many)
        factor = common * self._mass
        alike = factor < self.least and (
            bool((a.healers or NONE) & (b.healers or NONE)) or self._explains(a, b)
        )
        return max(factor, 1.0) if alike else factor

    def _explains(self, a: _Group, b: _Group) -> bool:
        """A failure that came through a fault which fails most tests that reach it needs no fault of its own."""
        small, large = sorted((a, b), key=lambda group: group.tests.bit_count())
        if not large.shares:
            return False
        passing, both = self._spectrum.passing, small.tests | large.tests
        suspect = max(large.shares, key=large.shares.__getitem__)
        ways = [side for side in self._sides[suspect] if side & large.tests == large.tests]
        way = min(ways, key=lambda side: (side & passing).bit_count())
        return way & both == both and both.bit_count() > (way & passing).bit_count()

    def _parts(self, scored: Scored) -> tuple[float, float]:
        parts = [0.0, 0.0]
        for name, value in scored.evidence.items():
            if name != "spectrum":
                parts[name not in STATIC] += value * (1.0 if name == "kind" else getattr(self._weights, name))
        return parts[0], parts[1]

    def _weighed(self, mask: int, told: Mapping[Place, float], healers: frozenset[Line] | None) -> _Group:
        odds = {place: self._fit(mask, place) + self._static[place] + value for place, value in told.items()}
        kept = heapq.nlargest(MAX_PLACES, odds, key=odds.__getitem__)
        top = max(odds.values(), default=0.0)
        total = sum(math.exp(odds[place] - top) for place in kept)
        shares = {place: math.exp(odds[place] - top) / total for place in kept}
        return _Group(mask, told, shares, healers)

    def _fit(self, mask: int, place: Place) -> float:
        """How well a fault there, or on one side of its branch, sets these failures apart from the passing tests."""
        passing, size = self._spectrum.passing, mask.bit_count()
        whole, *sides = [
            ochiai((c & mask).bit_count(), (c & passing).bit_count(), size) for c in self._sides[place]
        ]
        return self._weights.spectrum * math.log(max([whole, *(self._weights.branch * s for s in sides)]))


def _observed(scored: Scored) -> bool:
    """Import-time code and heads of functions are run by nobody or by all: only a traceback through them is a reason to join."""
    inside = scored.statement.unit > 0 and scored.statement.kind != "def"
    return inside or scored.evidence["deepest"] + scored.evidence["frame"] > 0


def _joined(groups: Sequence[_Group], evidence: _Evidence) -> Iterable[_Group]:
    """Join the pair with the largest factor until none speaks for one fault. Only pairs with a common statement are asked about."""
    alive = dict(enumerate(groups))
    queue: list[tuple[float, int, int]] = []
    holders: dict[Place, set[int]] = {}

    def meet(number: int) -> None:
        mine = alive[number]
        near = {n for place in mine.shares for n in holders.get(place, ()) if n in alive}
        for other in sorted(near):
            factor = evidence.factor(mine, alive[other])
            if factor >= evidence.least:
                heapq.heappush(queue, (-factor, other, number))
        for place in mine.shares:
            holders.setdefault(place, set()).add(number)

    for number in list(alive):
        meet(number)
    while queue:
        _, a, b = heapq.heappop(queue)
        if a in alive and b in alive:
            number = max(alive) + 1
            alive[number] = evidence.join(alive.pop(a), alive.pop(b))
            meet(number)
    return alive.values()
