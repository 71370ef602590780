"""What has been seen of every test so far, and in which contexts did it give two verdicts?"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace

from pytest_agentflow.core.conditions import Conditions
from pytest_agentflow.core.executions import Execution
from pytest_agentflow.core.flaky import Sighting
from pytest_agentflow.core.flaky_causes import CHANCE_USES, CLOCK_USES, HASH_USES
from pytest_agentflow.core.model import Failure, Outcome
from pytest_agentflow.core.polluters import Seen


@dataclass(frozen=True, slots=True)
class Sight:
    """One run of one test in its context."""

    arm: str  # the experiment
    number: int  # the execution
    outcome: Outcome
    failure: Failure | None
    order: tuple[str, ...]  # the whole execution's order
    position: int
    conditions: Conditions  # with the seeds that held for this very test
    fixed: bool  # everything that can be held still was held still
    prefix: int = 0  # stands for what ran before it
    at: float | None = None  # the clock when it began

    @property
    def red(self) -> bool:
        return self.outcome.red

    @property
    def before(self) -> tuple[str, ...]:
        return self.order[: self.position]

    @property
    def context(self) -> tuple[object, ...]:
        """Equal contexts are identical inputs."""
        return self.prefix, self.conditions

    def sighting(self, note: str = "") -> Sighting:
        return Sighting(
            str(self.outcome), self.order[: self.position + 1], self.conditions, said(self.failure), note
        )


# What most executions hold still, the leanings that make it count, and its value in a run. Addresses stay in a fork.
_HELD: tuple[tuple[str, set[str], Callable[[Sight], object]], ...] = (
    ("the clock", CLOCK_USES, lambda s: s.conditions.clock),
    ("seeds", CHANCE_USES, lambda s: (s.conditions.seed, s.conditions.entropy)),
    ("the hash seed", HASH_USES | {"id"}, lambda s: s.conditions.hash_seed),
)
_DIRTY = ("again", "pair")  # arms in which the surroundings differ: files that stay, another session beside


def said(failure: Failure | None) -> str:
    """The exception in a line."""
    if failure is None:
        return ""
    first = failure.message.splitlines()[0][:160] if failure.message else ""
    return f"{failure.kind}: {first}" if first else failure.kind


class Table:
    """Every sight of every test, in the order of the executions."""

    def __init__(self) -> None:
        self.sights: dict[str, list[Sight]] = defaultdict(list)
        self.uses: dict[str, set[str]] = defaultdict(set)
        self.writes: dict[str, set[str]] = defaultdict(set)
        self.probed: set[str] = set()  # tests whose leanings are known
        self.duration: dict[str, float] = {}
        self.executions = 0
        self.steps = 0

    def add(self, execution: Execution, hash_seed: int) -> list[Sight]:
        """Take an execution in; give its sights back."""
        job, number = execution.job, self.executions
        self.executions += 1
        self.steps += len(execution.steps)
        found, prefix = [], 0
        for position, step in enumerate(execution.steps):
            conditions = replace(job.conditions, hash_seed=hash_seed)
            if job.seeds:
                conditions = replace(conditions, seed=job.seeds[position])
            if job.entropies:
                conditions = replace(conditions, entropy=job.entropies[position])
            arm = job.label
            if arm == "alone" and position:
                arm = "twice"
            sight = Sight(
                arm,
                number,
                step.outcome,
                step.result.failure,
                job.ids,
                position,
                conditions,
                bool(job.seeds),
                prefix,
                step.at,
            )
            prefix = hash((prefix, step.nodeid))
            self.uses[step.nodeid] |= set(step.uses)
            self.writes[step.nodeid] |= set(step.writes) - set(step.shared)
            if job.probe:
                self.probed.add(step.nodeid)
            slow = (
                bool(conditions.burners) and step.outcome is Outcome.TIMEOUT
            )  # our own time-out: no verdict
            if arm != "probe" and not slow:
                self.sights[step.nodeid].append(sight)
                self.duration.setdefault(step.nodeid, step.result.duration)
            found.append(sight)
        return found

    def of(self, test: str, *arms: str) -> list[Sight]:
        return [s for s in self.sights[test] if s.arm in arms]

    def red(self, test: str, *arms: str) -> bool | None:
        """The verdict of most runs in these arms; None where there was none."""
        sights = self.of(test, *arms)
        return sum(s.red for s in sights) * 2 > len(sights) if sights else None

    def orders(self, test: str, red: bool) -> list[Seen]:
        """Orders in which it ran with everything else held still."""
        arms = ("suite", "alone", "order", "search")
        return [Seen(s.before, s.red is red) for s in self.of(test, *arms)]

    def torn(self, test: str) -> tuple[Sight, Sight] | None:
        """Two verdicts on identical inputs: (green, red)."""
        groups: dict[tuple[object, ...], dict[bool, Sight]] = defaultdict(dict)
        for sight in self.sights[test]:
            held = sight.fixed and not (
                sight.conditions.burners or sight.conditions.jitter or sight.conditions.disk
            )
            if not held or sight.arm in _DIRTY:
                continue
            group = groups[sight.context]
            group.setdefault(sight.red, sight)
            if len(group) == 2:
                return group[False], group[True]
        return None

    def held(self, test: str) -> tuple[str, ...]:
        """What may decide its verdict and was held still in most runs; all of it where nobody looked what it leans on."""
        uses, known = self.uses[test], test in self.probed
        return tuple(name for name, points_at, _ in _HELD if uses & points_at or not known)

    def samples(self, test: str, sights: Iterable[Sight]) -> int:
        """How many of these runs are independent: a clock, seed or hash seed that was pinned gives one and the same answer.

        Two runs count as two only where everything that the test leans on differs between them: what was moved one thing at
        a time says nothing about the other things. Taken as they come, so rather too few than too many.
        """
        names = self.held(test)
        values = [value for name, _, value in _HELD if name in names]
        taken: list[set[object]] = [set() for _ in values]
        count = 0
        for sight in sights:
            own = [value(sight) for value in values]
            if any(v in seen for v, seen in zip(own, taken, strict=True)):
                continue
            count += 1
            for v, seen in zip(own, taken, strict=True):
                seen.add(v)
        return count

    def verdicts(self, test: str) -> set[bool]:
        return {s.red for s in self.sights[test]}


def differing(table: Table, sights: Iterable[Sight], tests: Sequence[str], base: str = "suite") -> list[str]:
    """Tests whose verdict in these sights is not that of the base arm."""
    mine = {s.order[s.position]: s.red for s in sights}
    return [
        t for t in tests if t in mine and table.red(t, base) is not None and mine[t] != table.red(t, base)
    ]
