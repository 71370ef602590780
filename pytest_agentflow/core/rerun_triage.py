"""Which failing tests are worth an agent, given how they fared when they were run again on unchanged code?"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from pytest_agentflow.core.conditions import Conditions
from pytest_agentflow.core.flaky import Category, FlakyRecord, Sighting
from pytest_agentflow.core.flaky_stats import interval
from pytest_agentflow.core.model import Outcome
from pytest_agentflow.core.reproducer import command


@dataclass(frozen=True, slots=True)
class Rerun:
    """One fresh process. `order` is what it ran; `suite` says that it was the whole selection, as observed."""

    order: tuple[str, ...]
    outcomes: Mapping[str, Outcome]
    hash_seed: int = 0
    suite: bool = False

    def sighting(self, nodeid: str) -> Sighting:
        place = self.order.index(nodeid) + 1 if nodeid in self.order else len(self.order)
        conditions = Conditions(hash_seed=self.hash_seed)
        return Sighting(str(self.outcomes[nodeid]), self.order[:place], conditions)


@dataclass(frozen=True, slots=True)
class Sorted:
    """Failing tests, sorted."""

    targets: tuple[str, ...]
    flaky: tuple[FlakyRecord, ...] = ()
    undecided: tuple[str, ...] = field(default=())  # passed in a rerun: more runs decide which kind


def undecided(failing: Sequence[str], reruns: Sequence[Rerun]) -> tuple[str, ...]:
    """Failing tests that did something else than fail in a rerun."""
    return tuple(t for t in failing if any(passed(r.outcomes.get(t)) for r in reruns))


def passed(outcome: Outcome | None) -> bool:
    """An absent result is no pass."""
    return outcome in (Outcome.PASSED, Outcome.XPASSED)


def decide(failing: Sequence[str], reruns: Sequence[Rerun]) -> Sorted:
    """Only what passed somewhere is set aside, and each with its two verdicts."""
    open_ = undecided(failing, reruns)
    records = tuple(record_of(test, [r for r in reruns if test in r.outcomes]) for test in open_)
    return Sorted(tuple(t for t in failing if t not in open_), records)


def record_of(test: str, reruns: Sequence[Rerun]) -> FlakyRecord:
    """Name the kind: two verdicts on identical inputs, else on inputs that differ in one thing, the order or the hash seed."""
    red = [r for r in reruns if r.outcomes[test].red]
    green = [r for r in reruns if passed(r.outcomes[test])]
    pairs = {(g.order == b.order, g.hash_seed == b.hash_seed): (g, b) for b in red for g in green}
    category, why = Category.ORDER_VICTIM, "fails after other tests, passes without them"
    if (True, True) in pairs:
        category, why = Category.UNKNOWN, "passed and failed on identical inputs"
    elif (True, False) in pairs and (False, True) not in pairs:
        category, why = Category.HASH_SEED, "the verdict follows PYTHONHASHSEED"
    alike = [(True, True), (False, True), (True, False), (False, False)]
    pair = next(pairs[kind] for kind in alike if kind in pairs)
    low, high = interval(len(red), len(reruns))
    record = FlakyRecord(
        nodeid=test,
        category=category,
        confidence=0.9,
        why=why,
        passing=pair[0].sighting(test),
        failing=pair[1].sighting(test),
        runs=len(reruns),
        failures=len(red),
        low=low,
        high=high,
    )
    return replace(record, reproducer=command(record))
