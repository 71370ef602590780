"""Which candidate is tried next? The cheapest of: single edits, second edits on near misses, and second looks."""

from __future__ import annotations

import heapq
import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice

from pytest_agentflow.agents.search.edits import Edit
from pytest_agentflow.agents.search.order import Ranked
from pytest_agentflow.agents.search.screening import Trial

SECOND_EDIT = 1.0  # what a second edit costs on top of both edits' own costs (the first one's counts half)
PARTNERS = 2000  # single edits that are tried on top of one near miss
CLOSE = 30  # lines at most between two bugs that hid each other
MENDERS = 250  # single edits that are tried beside one of them
OTHER_TARGET = 2.0  # a candidate that the first target refused is asked the next one, that much later
MORE = 10.0  # times as much time for a candidate that ran out of it …
MORE_TIME = 1.0  # … that much later when it had flipped a target before …
NOTHING_YET = 3.0  # … or that much when it had not
MOST_PATIENCE = 100.0
LITTLE_MORE = 3.0  # … or that much at once, for one that flipped nothing yet and is likelier than the first plausible one
# What can only be tried by importing anew has to be that much likelier: the logarithm of how much longer it takes, 60 to
# 100 times as long as in a batch, five times as long as in a fork.
SLOW_BESIDE_BATCHES, SLOW_BESIDE_FORKS = 4.0, 1.6


@dataclass(frozen=True, slots=True)
class Proposal:
    """Edits to try, how patiently, and on which of the probing targets first."""

    cost: float
    edits: tuple[Edit, ...]
    patience: float = 1.0
    probe: int | None = 0  # None: no target refuses it, so that none needs asking
    anew: bool = False  # not in a batch, where old code left something behind


class Frontier:
    """A best-first queue of streams; each stream yields proposals, cheapest first.

    Best is what is likeliest per second (Smith's rule), so what is `slow` comes `later` than its cost says. Whether it is slow
    is asked when its turn comes: more is known by then.
    """

    def __init__(
        self,
        singles: Sequence[Ranked],
        slow: Callable[[tuple[Edit, ...]], bool],
        later: float = SLOW_BESIDE_BATCHES,
    ) -> None:
        # Sorted: what an exception suggests comes first, but its unlikely ends must not stand in the way of all others.
        self._singles, self._slow, self._later = sorted(singles, key=lambda r: r.cost), slow, later
        self._heap: list[tuple[float, int, Proposal | None, Iterator[Proposal], bool]] = []
        self._n = 0
        self._add_singles(self._singles)

    def __iter__(self) -> Iterator[Proposal]:
        while self._heap:
            _, _, proposal, stream, put_off = heapq.heappop(self._heap)
            self._add(stream)
            if proposal is None:
                continue
            if put_off or not self._slow(proposal.edits):
                yield proposal
            else:
                self._push(proposal.cost + self._later, proposal, iter(()), put_off=True)

    def promise(self, cost: float, make: Callable[[], Sequence[Ranked]]) -> None:
        """More single edits, none of which costs less: they are made when their turn comes."""

        def kept() -> Iterator[Proposal]:
            self._add_singles(make())
            yield from ()

        self._push(cost, None, kept())

    def _add_singles(self, singles: Sequence[Ranked]) -> None:
        self._add(Proposal(r.cost, r.edits) for r in singles)

    @property
    def next_cost(self) -> float:
        """No candidate to come costs less, apart from those that near misses will bring."""
        return self._heap[0][0] if self._heap else math.inf

    def _add(self, stream: Iterator[Proposal]) -> None:
        first = next(stream, None)
        if first is not None:
            self._push(first.cost, first, stream)

    def _push(
        self, cost: float, first: Proposal | None, rest: Iterator[Proposal], *, put_off: bool = False
    ) -> None:
        self._n += 1  # streams that tie keep their order
        heapq.heappush(self._heap, (cost, self._n, first, rest, put_off))

    def second_edits(self, near: Trial, share: float, probe: int) -> None:
        """Another edit on top of one that flips `share` of the targets, likelier the more it flips."""
        self._add(self._on_top(near, share, self._singles[:PARTNERS], probe))

    def mending_edits(self, near: Trial, share: float) -> None:
        """Another edit close to one that flips every target and breaks some guards: `share` is that of targets among both."""
        close = (s for s in self._singles if all(_close(e, n) for e in s.edits for n in near.edits))
        self._add(self._on_top(near, share, islice(close, MENDERS), None))

    def _on_top(
        self, near: Trial, share: float, singles: Iterable[Ranked], probe: int | None
    ) -> Iterator[Proposal]:
        price = near.cost / 2 + SECOND_EDIT - math.log(0.5 + share)
        return (Proposal(s.cost + price, (*near.edits, *s.edits), probe=probe) for s in singles)

    def again_on(self, trial: Trial, probe: int) -> None:
        """What one target refused may still flip another."""
        self._add(iter([Proposal(trial.cost + OTHER_TARGET, trial.edits, probe=probe)]))

    def again_anew(self, trial: Trial) -> None:
        """It was refused beside what the old code had left behind at import, which takes long to make anew."""
        self._push(
            trial.cost + self._later, Proposal(trial.cost, trial.edits, anew=True), iter(()), put_off=True
        )

    def again_first(self, ran_out: Iterable[tuple[Trial, bool]]) -> None:
        """The likeliest of these, which ran out of time having flipped something or not, before anything else is tried."""
        trial, flipped = min(ran_out, key=lambda r: r[0].cost, default=(None, False))
        if trial is not None:
            patience = trial.patience * (MORE if flipped else LITTLE_MORE)
            self._add(iter([Proposal(trial.cost, trial.edits, patience)]))

    def again_slowly(self, trial: Trial, flipped: bool) -> None:
        """Nothing failed, the time ran out: a right answer may be slow."""
        if trial.patience < (MOST_PATIENCE if flipped else MORE):
            cost = trial.cost + (MORE_TIME if flipped else NOTHING_YET)
            self._add(iter([Proposal(cost, trial.edits, trial.patience * MORE)]))


def _close(a: Edit, b: Edit) -> bool:
    return a.path == b.path and abs(a.line - b.line) <= CLOSE
