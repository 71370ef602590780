"""Which accepted patches go in together, and which pair is to blame when their union turns red?"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

from pytest_agentflow.core.model import AttemptResult, Observation, Outcome


@dataclass(frozen=True, slots=True)
class Accepted:
    """One patch on its way into the branch: whose, for which targets, with which verdict."""

    result: AttemptResult
    targets: tuple[str, ...]
    title: str


@dataclass(frozen=True, slots=True)
class Car:
    """One patch of the merge train, on the tree that holds it and everything before it."""

    accepted: Accepted
    tree: str


@dataclass(frozen=True, slots=True)
class Integration:
    """What went in, in order, what was refused and why, and the tree that holds the union."""

    tree: str
    cars: tuple[Car, ...] = ()
    refused: tuple[tuple[str, str], ...] = ()  # attempt id, reason


def damage(before: Observation, after: Observation, expected: Iterable[str]) -> tuple[str, ...]:
    """Tests that the union must keep or flip and does not: guards that passed before, and targets of the patches in it.

    A guard that is not reported any more counts as damaged: absence of evidence is never green. A collector target is
    flipped when its module yields tests and is no error itself.
    """
    broken = []
    for nodeid in dict.fromkeys([*before.passing, *expected]):
        if "::" not in nodeid:
            if nodeid in after.results or not any(i.startswith(nodeid + "::") for i in after.results):
                broken.append(nodeid)
            continue
        result = after.results.get(nodeid)
        if result is None or result.outcome is not Outcome.PASSED:
            broken.append(nodeid)
    return tuple(broken)


def first_red(count: int, is_red: Callable[[int], bool]) -> int:
    """The smallest n in 1..count for which the first n patches are red together, by bisection.

    `is_red(count)` is known to hold. Costs about log2(count) runs.
    """
    low, high = 1, count
    while low < high:
        middle = (low + high) // 2
        if is_red(middle):
            high = middle
        else:
            low = middle + 1
    return high


def partner(culprit: int, is_red_pair: Callable[[int], bool]) -> int | None:
    """The earlier patch that turns red together with `culprit` alone, or None when it needs more than one."""
    return next((n for n in range(culprit) if is_red_pair(n)), None)


def title_of(result: AttemptResult, targets: Sequence[str]) -> str:
    """A commit's first line."""
    where = ", ".join(result.patch.paths[:2]) + (" …" if len(result.patch.paths) > 2 else "")
    what = targets[0].rpartition("::")[2] if targets else result.id
    more = f" and {len(targets) - 1} more" if len(targets) > 1 else ""
    return f"Fix {what}{more} in {where}"[:100]


def still_failing(observation: Observation, targets: Mapping[str, object]) -> tuple[str, ...]:
    """Which of `targets` are red in `observation`."""
    return tuple(t for t in targets if t in observation.results and observation.results[t].outcome.red)
