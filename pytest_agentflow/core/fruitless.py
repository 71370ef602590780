"""Which units would end as they did before, because nothing that their tests run has changed since?"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

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


def tried_of(attempts: Sequence[Attempt], results: Sequence[AttemptResult]) -> tuple[Tried, ...]:
    """What a round's first `attempts` came to; `results` are those of all attempts of the round, by ids such as `r1-a2-3`."""
    found = []
    for attempt in attempts:
        ended = [r.verdict.kind for r in results if r.id == attempt.id or r.id.startswith(f"{attempt.id}-")]
        fruitless = bool(ended) and not any(k.accepted or k in _CUT_SHORT for k in ended)
        found.append(Tried(attempt, fruitless))
    return tuple(found)


def same_unit(attempt: Attempt, earlier: Tried) -> bool:
    """Whether nobody found anything for exactly these targets before, beginning with the same agent."""
    return (
        earlier.fruitless
        and attempt.agent == earlier.attempt.agent
        and set(attempt.targets) == set(earlier.attempt.targets)
    )


def fail_alike(targets: Iterable[str], before: Observation, now: Observation) -> bool:
    """Whether each of these fails as it did: what a test reads or starts beside its own process shows there, if anywhere."""
    return all(
        test in before.results
        and before.results[test].failure is not None
        and test in now.results
        and before.results[test].failure == now.results[test].failure
        for test in targets
    )
