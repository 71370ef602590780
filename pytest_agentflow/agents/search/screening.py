"""What does a candidate do to the visible tests? Targets first, then guards, through the warm runner."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from pytest_agentflow.adapters.warm import Job, Limits, WarmRunner, WarmVerdict
from pytest_agentflow.agents.search.edits import Edit
from pytest_agentflow.core.model import Outcome

FAST_GUARDS = 12  # guards run together with the targets: the last ones that refused a candidate
BATCH_SIZE = 24  # candidates that share a process while they are only screened out
PATIENCE = 24  # candidates disturbed by an earlier one of their batch before batches are given up
SLACK = 20.0  # CPU time allowed per test, times what it took on the base
LEAST, MOST = 0.15, 20.0  # … but at least and at most that many seconds


@dataclass(frozen=True, slots=True)
class Trial:
    """A candidate as text edits, with its cost and its files."""

    edits: tuple[Edit, ...]
    cost: float
    files: Mapping[str, bytes]


@dataclass
class Screening:
    """Keeps the runner busy and sorts what comes back: plausible, near misses, too slow to tell."""

    runner: WarmRunner
    targets: tuple[str, ...]
    guards: tuple[str, ...]
    seconds: Mapping[str, float]  # CPU per test on the base
    hanging: frozenset[str] = frozenset()  # targets that the base does not finish
    mode: str = "hot"
    typical: float = 0.01  # CPU seconds of a test about which nothing else is known
    parallel: int = 2
    tried: int = 0
    cpu: float = 0.0
    plausible: list[Trial] = field(default_factory=list)
    near: list[tuple[Trial, frozenset[str], str]] = field(
        default_factory=list
    )  # trial, flipped, broken guard
    slow: list[Trial] = field(default_factory=list)
    hung: int = 0
    modes: dict[str, int] = field(default_factory=dict)
    why: dict[str, int] = field(default_factory=dict)
    expect: str | None = None  # how the base fails when tried in a batch; None: no batches
    disturbed: int = 0
    screened_out: list[Trial] = field(default_factory=list)
    _waiting: list[Trial] = field(default_factory=list)
    _killers: OrderedDict[str, None] = field(default_factory=OrderedDict)

    def limits(self, ids: Sequence[str], factor: float = 1.0) -> Limits:
        known = [self.seconds[i] for i in ids if i in self.seconds]
        default = min(MOST, max(LEAST, SLACK * max(known, default=self.typical))) * factor
        per_test = {
            i: min(MOST, max(LEAST, SLACK * self.seconds[i])) * factor for i in ids if i in self.seconds
        }
        per_test = {i: s for i, s in per_test.items() if abs(s - default) > 0.1}
        wall = max(10.0, 4.0 * (default + sum(self.seconds.get(i, 0.05) for i in ids)))
        return Limits(default, per_test, wall, startup=20.0, stop=True, keep_going=self._keep_going())

    def _keep_going(self) -> frozenset[str]:
        """With few targets it is worth knowing which ones a candidate flips; with many the first failure must do."""
        return frozenset(self.targets) if 1 < len(self.targets) <= 4 else frozenset()

    def offer(self, trial: Trial) -> None:
        """Try a candidate: together with others in one process first, where that has been shown to tell the truth."""
        self.tried += 1
        if self.expect is None:
            self.submit(trial)
            return
        self._waiting.append(trial)
        if len(self._waiting) >= min(BATCH_SIZE, 4 + self.tried // 4):
            self.flush()

    def flush(self) -> None:
        if self._waiting:
            first = self.targets[:1]
            limits = self.limits(first)
            jobs = [Job(t.files, first, limits, self.mode, tag=(t, "batch")) for t in self._waiting]
            self.runner.screen(jobs, self.expect or "")
            self._waiting.clear()

    def submit(self, trial: Trial, factor: float = 1.0) -> None:
        """Try a candidate in a process of its own: targets, then the guards that refused others."""
        fast = [*reversed(self._killers)][:FAST_GUARDS]
        ids = (*self.targets, *fast)
        self.runner.submit(Job(trial.files, ids, self.limits(ids, factor), self.mode, tag=(trial, "targets")))

    def collect(self) -> None:
        """Take one verdict and file it; a candidate that flips the targets goes on to all guards."""
        job, verdict = self.runner.next()
        trial, stage = job.tag
        self.cpu += verdict.cpu
        self.modes[verdict.mode] = self.modes.get(verdict.mode, 0) + 1
        if verdict.why:
            self.why[verdict.why] = self.why.get(verdict.why, 0) + 1
        if stage == "batch":
            self._batched(trial, verdict)
        elif verdict.killed == "invalid":
            return
        elif verdict.green(job.ids):
            self._green(job, trial, stage, verdict)
        else:
            self._refused(trial, stage, verdict)

    def _batched(self, trial: Trial, verdict: WarmVerdict) -> None:
        if verdict.killed == "invalid":
            return
        if verdict.killed == "cpu":
            self.hung += 1
        elif not verdict.complete and verdict.outcomes:
            self.disturbed += 1
            if self.disturbed > PATIENCE:
                self.expect = None
            self.submit(trial)
        elif not verdict.outcomes or verdict.green(list(verdict.outcomes)):
            self.submit(trial)
        else:
            self.screened_out.append(trial)

    def _green(self, job: Job, trial: Trial, stage: str, verdict: WarmVerdict) -> None:
        if not verdict.rung and verdict.mode != "cold":
            # It passed without entering the patch: only a process of its own can tell.
            self.runner.submit(
                Job(job.files, job.ids, job.limits, "cold", job.tag), "the patch was not entered"
            )
        elif stage == "targets" and self.guards:
            limits = self.limits(self.guards)
            self.runner.submit(Job(trial.files, self.guards, limits, self.mode, (trial, "guards")))
        else:
            self.plausible.append(trial)

    def _refused(self, trial: Trial, stage: str, verdict: WarmVerdict) -> None:
        flipped = frozenset(
            t for t in self.targets if stage == "guards" or verdict.outcomes.get(t) is Outcome.PASSED
        )
        broken = next((i for i, o in verdict.outcomes.items() if o.red and i not in self.targets), "")
        if broken:
            self._killers.pop(broken, None)
            self._killers[broken] = None
        if verdict.killed in ("cpu", "wall"):
            self.hung += 1
            failed = [i for i, o in verdict.outcomes.items() if o in (Outcome.FAILED, Outcome.ERROR)]
            if flipped and not failed:
                self.slow.append(trial)
                return
        if flipped:
            self.near.append((trial, flipped, broken))

    def drain(self) -> None:
        self.flush()
        while self.runner.busy:
            self.collect()
