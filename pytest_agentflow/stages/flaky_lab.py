"""Where are experiments run: which sessions stand ready, what may still be spent, what took a process down?"""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from pathlib import Path

from pytest_agentflow.adapters.forkserver import ForkServer
from pytest_agentflow.adapters.sessions import RunSpec
from pytest_agentflow.core.conditions import Conditions
from pytest_agentflow.core.entropy import SPREAD_FROM
from pytest_agentflow.core.executions import Execution, Job
from pytest_agentflow.core.flaky_table import Sight, Table
from pytest_agentflow.core.model import Outcome
from pytest_agentflow.core.triage_budget import Budget
from pytest_agentflow.stages.flaky_spread import spread_seeds

PINNED = 1  # the seed and entropy stream of everything that is held still
MOST_KILLERS = 20
MOST_SEEDS = 300
YEAR = 365 * 86400


class Lab:
    """Runs jobs within the budget and writes every sight into the table."""

    def __init__(
        self,
        spec: RunSpec,
        tree: Path,
        scratch: Path,
        paths: Sequence[str],
        budget: Budget,
        progress: Callable[[str], None],
    ) -> None:
        self.spec = replace(spec, bytecode="")  # one that our sessions may write, below scratch
        self.tree, self.scratch, self.paths = tree, scratch, tuple(paths)
        self.budget, self.progress = budget, progress
        self.began = time.monotonic()
        self.clock = float(int(time.time()))
        self.seeds = spread_seeds(MOST_SEEDS)
        self.table = Table()
        self.cpu = 0.0
        # Seconds that one test may take until their durations are known; a hang must not eat the whole budget.
        self.each = 10.0 if budget.seconds is None else min(10.0, max(2.0, 0.1 * budget.seconds))
        self._steps, self._wall = 0, 0.0  # of executions that came to their end
        self.skipped: list[str] = []  # experiments that the budget did not reach
        self.notes: list[str] = []
        self.killers: dict[str, Outcome] = {}
        # The first session compiles; all that are compared find the same bytecode, else orders of constant sets differ.
        self.open(0).close()
        self.base = self.open(0)
        self.tests = self.base.collected
        self.random = random.Random("\n".join(self.tests))  # two suites must not share their luck
        self.load_factor = 8
        self.share = 1.0  # of the budget that may be spent by now: what comes later has its part kept
        self.kept = 0  # executions that have to be left besides
        if not self.base.forks:
            self.notes.append(f"a process of its own per execution, since {self.base.why_not}")

    def open(self, hash_seed: int, only: Sequence[str] = ()) -> ForkServer:
        """A session under this hash seed; `only` these tests' files need to be collected."""
        paths = tuple(dict.fromkeys(test.partition("::")[0] for test in only)) or self.paths
        server = ForkServer.start(self.spec, self.tree, self.scratch, paths=paths, hash_seed=hash_seed)
        self.cpu += server.collect_cpu
        return server

    def close(self) -> None:
        self.base.close()

    # what may be spent ---------------------------------------------------------------------------

    @property
    def seconds(self) -> float:
        return time.monotonic() - self.began

    def left(self, steps: int = 0) -> bool:
        """Is there budget for so many more executions?"""
        steps += self.kept
        if self.budget.seconds is not None:
            return self.seconds + steps * self.pace() < self.budget.seconds * self.share
        limit = (self.budget.per_test or 0) * max(len(self.tests), 1)
        return self.table.steps + steps <= limit * self.share

    def pace(self) -> float:
        """Seconds per execution of a test, so far; what took its process down is no measure."""
        return self._wall / self._steps if self._steps else 0.0

    def reach(self, name: str, steps: int) -> bool:
        """As `left`, and remember what was not reached."""
        if self.left(steps):
            return True
        if name not in self.skipped:
            self.skipped.append(name)
        return False

    def users(self, kinds: set[str]) -> list[str]:
        """Tests that were seen leaning on any of these."""
        return [t for t in self.tests if self.table.uses[t] & kinds and t not in self.killers]

    def verdicts_by_chance(self, test: str) -> set[bool]:
        return {s.red for s in self.table.of(test, "chance", "suite")}

    # running -------------------------------------------------------------------------------------

    def pinned(self, **changes: object) -> Conditions:
        """Everything held still but what is named."""
        return replace(Conditions(clock=self.clock), **changes)  # type: ignore[arg-type]

    def job(self, ids: Sequence[str], arm: str, **changes: object) -> Job:
        """One order with everything held still but the changes; chance starts anew before each test."""
        seed, entropy = changes.pop("seed", PINNED), changes.pop("entropy", PINNED)
        keep = bool(changes.pop("keep_files", False))
        n = len(ids)
        return Job(
            ids=tuple(ids),
            conditions=self.pinned(**changes),
            seeds=tuple(seed) if isinstance(seed, tuple) else (int(str(seed)),) * n,
            entropies=tuple(entropy) if isinstance(entropy, tuple) else (int(str(entropy)),) * n,
            label=arm,
            keep_files=keep,
            timeout=self.timeout(n),
            each=self.each * (6 if changes.get("burners") else 1),
        )

    def plain(self, ids: Sequence[str], arm: str) -> Job:
        """One order with nothing held still: as on any day, at any hour, with seeds nobody chose."""
        n, draw = len(ids), self.random.randrange
        return Job(
            ids=tuple(ids),
            conditions=Conditions(clock=self.clock + draw(YEAR) + self.random.random()),
            seeds=tuple(draw(1 << 31) for _ in range(n)),
            entropies=tuple(draw(SPREAD_FROM) for _ in range(n)),
            label=arm,
            timeout=self.timeout(n),
            each=self.each,
        )

    def timeout(self, n: int) -> float:
        whole = 60.0 + self.each * min(n, 30)
        if self.budget.seconds is not None:
            whole = max(1.0, min(whole, self.budget.seconds * 1.03 - self.seconds))
        return whole

    def run(
        self, jobs: Sequence[Job], *, server: ForkServer | None = None, width: int = 1
    ) -> list[list[Sight]]:
        """The sights of every job that the budget allowed to start, in order."""
        server = server or self.base
        executions = server.execute(jobs, width, stop=self._no_time)
        return [self.note(e, server.hash_seed) for e in executions]

    def _no_time(self) -> bool:
        return self.budget.seconds is not None and self.seconds >= self.budget.seconds

    def note(self, execution: Execution, hash_seed: int) -> list[Sight]:
        self.cpu += execution.cpu + self.load_cpu(execution)
        if execution.complete:
            self._steps, self._wall = self._steps + len(execution.steps), self._wall + execution.wall
        last = execution.last()
        burdened = bool(execution.job.conditions.burners)
        if last is not None and last.outcome in (Outcome.CRASHED, Outcome.TIMEOUT) and not burdened:
            self.killers.setdefault(last.nodeid, last.outcome)
        return self.table.add(execution, hash_seed)

    def load_cpu(self, execution: Execution) -> float:
        """What the hogs burnt beside it: one core for as long as it took."""
        return execution.wall if execution.job.conditions.burners else 0.0

    def once(
        self, ids: Sequence[str], arm: str, server: ForkServer | None = None, **changes: object
    ) -> Sight | None:
        """The last test's sight of one order; None when something before it took the process."""
        sights = self.run([self.job(ids, arm, **changes)], server=server)
        return sights[0][-1] if sights and len(sights[0]) == len(ids) else None

    def whole(
        self, order: Iterable[str], arm: str, server: ForkServer | None = None, **changes: object
    ) -> list[Sight]:
        """One run of the suite in this order. A test that takes the process with it is left out, and the run repeated."""
        wanted = list(order)
        for _ in range(MOST_KILLERS):
            ids = [t for t in wanted if t not in self.killers]
            known = len(self.killers)
            runs = self.run([self.job(ids, arm, **changes)], server=server) if ids else []
            if not runs:
                return []
            if len(runs[0]) == len(ids) or len(self.killers) == known:
                return runs[0]
        return []
