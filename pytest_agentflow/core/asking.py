"""Which tests are asked what an edit does to them? Quick ones: of failing tests those that may be asked, of passing ones those that run the line."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from pytest_agentflow.core.holdout import askable
from pytest_agentflow.core.model import LineScore, Observation

Reaching = Callable[[str, Sequence[int]], Iterable[str]]  # tests that run one of these lines of a file

MOST_GUARDS = 24  # passing tests that may object to every edit
GUARDED_LINES = 10  # first suspected lines whose passing tests may object
SLOW = 1.0  # seconds from which on a test is not asked at all
AGAIN_SECONDS = 1.0  # of quick tests, failing ones and as much of passing ones, on which each of the best healers is tried


def visible(group: Sequence[str], observation: Observation, holdout: float, seed: int) -> list[str]:
    """Failing tests of a group that may be asked. A module that cannot be collected has no test to ask."""
    quick = {t for t in group if "::" in t and observation.results[t].duration < SLOW}
    return [t for t in askable(group, holdout, seed) if t in quick]


def guards(lines: Sequence[LineScore], observation: Observation, reaching: Reaching) -> tuple[str, ...]:
    """Passing tests that reach the most of the first of these lines, in the order of the suite."""
    passing = {t for t in observation.passing if observation.results[t].duration < SLOW}
    count: dict[str, int] = {}
    for line in lines[:GUARDED_LINES]:
        for test in reaching(line.path, [line.line]):
            if test in passing:
                count[test] = count.get(test, 0) + 1
    order = sorted(count, key=lambda t: (-count[t], observation.results[t].duration, t))
    chosen = set(order[:MOST_GUARDS])
    return tuple(t for t in observation.collected if t in chosen)


@dataclass(frozen=True, slots=True)
class Everybody:
    """Whom the best healers are tried on: what heals one group may heal another, and what breaks nothing may not have been asked."""

    failing: Sequence[str]  # that may be asked
    observation: Observation
    reaching: Reaching
    collected: frozenset[str]  # where they are asked

    def of(self, path: str, line: int, *, at_import: bool = False) -> tuple[list[str], list[str]]:
        """Failing and passing tests that run a line, a second of each, in the order of the suite.

        What runs at import reaches every failing test.
        """
        reaching = self.collected & set(self.reaching(path, [line]))
        failing = self.collected & set(self.failing)
        return (
            self._quick(failing if at_import else reaching & failing),
            self._quick(reaching & set(self.observation.passing)),
        )

    def _quick(self, tests: Iterable[str]) -> list[str]:
        took, total = self.observation.results, 0.0
        kept = set()
        for test in sorted(tests, key=lambda t: (took[t].duration, t)):
            total += took[test].duration
            if total < AGAIN_SECONDS:
                kept.add(test)
        return [t for t in self.observation.collected if t in kept]
