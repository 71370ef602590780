"""Which units would end as they did before, because nothing that their tests run has changed since?"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass

from pytest_agentflow.core.attempts import by_unit
from pytest_agentflow.core.model import Attempt, AttemptResult, Observation, VerdictKind

# What says nothing of the unit: another try may well end otherwise.
_CUT_SHORT = (
    VerdictKind.LOST,
    VerdictKind.OVER_BUDGET,
    VerdictKind.AGENT_ERROR,
    VerdictKind.ERRORED,
    VerdictKind.FLAKY,
    VerdictKind.CONFLICT,
)


@dataclass(frozen=True, slots=True)
class Tried:
    """The first attempt on a unit, and whether it and those that followed ended without a patch for reasons of the unit's own."""

    attempt: Attempt
    fruitless: bool


def tried_of(
    first: Sequence[Attempt], attempts: Mapping[str, Attempt], results: Sequence[AttemptResult]
) -> tuple[Tried, ...]:
    """What a round's `first` attempts came to; `attempts` and `results` hold those that followed as well."""
    ended = by_unit(attempts, results)
    return tuple(Tried(attempt, _fruitless(ended.get(attempt.cluster, ()))) for attempt in first)


def _fruitless(results: Sequence[AttemptResult]) -> bool:
    kinds = [r.verdict.kind for r in results]
    return bool(kinds) and not any(kind.accepted or kind in _CUT_SHORT for kind in kinds)


def same_unit(attempt: Attempt, earlier: Tried) -> bool:
    """Whether nobody found anything for exactly these targets before, beginning with the same agent."""
    return (
        earlier.fruitless
        and attempt.agent == earlier.attempt.agent
        and set(attempt.targets) == set(earlier.attempt.targets)
    )


def untouched(reached: Iterable[Collection[str]], changed: Collection[str], seen: Collection[str]) -> bool:
    """Whether no target runs a line of a `changed` file; `reached` are the files of each, `seen` all that the map knows.

    Where nothing is known of what a target runs, or a file changed that the map does not see, there is no saying.
    """
    return set(changed) <= set(seen) and all(paths and set(paths).isdisjoint(changed) for paths in reached)


def fail_alike(targets: Iterable[str], before: Observation, now: Observation) -> bool:
    """Whether each of these fails as it did: what a test reads or starts beside its own process shows there, if anywhere."""
    return all(
        test in before.results
        and before.results[test].failure is not None
        and test in now.results
        and before.results[test].failure == now.results[test].failure
        for test in targets
    )
