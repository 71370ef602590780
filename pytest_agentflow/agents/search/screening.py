"""What does a candidate do to the visible tests? Targets first, then guards, through the warm runner."""

from __future__ import annotations

from collections import Counter, OrderedDict, deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from pytest_agentflow.adapters.warm import Job, Limits, WarmRunner, WarmVerdict
from pytest_agentflow.agents.search.edits import Edit
from pytest_agentflow.core.model import Outcome

FAST_GUARDS = 12  # guards run together with the targets: the last ones that refused a candidate
BATCH_SIZE = 48  # candidates that share a process while they are only screened out
PATIENCE = 24  # candidates disturbed by an earlier one of their batch before batches are given up
# CPU seconds of targets that are all asked, each and together: where they are quick it is worth knowing which ones a candidate
# flips; else the first failure must do.
QUICK_EACH, QUICK = 0.1, 0.5
SLACK = 6.0  # CPU time allowed per test, times what it took on the base; more is allowed later, to those that ran out
LEAST, MOST = 0.02, 20.0  # … but at least and at most that many seconds, …
LEAST_BATCH = 0.006  # … the least being less in a batch, where no test pays for a new process's memory, …
# … and where passing tests are slow, more from the start: a failing target may have stopped long before its end.
LEAST_PASSING, LEAST_MOST = 5.0, 0.1
# Where so many candidates, and that share of them, ran out of time, batches give them that part of it at first.
HANG_MANY, HANG_SHARE, HANG_PART = 12, 0.25, 0.3


@dataclass(frozen=True, slots=True)
class Trial:
    """A candidate as text edits, with its cost, its files and its place in the order of the search."""

    edits: tuple[Edit, ...]
    cost: float
    files: Mapping[str, bytes]
    place: int = 0
    patience: float = 1.0  # times the usual time limits
    probe: int | None = 0  # which of the probing targets it is asked first; None where each would let it pass
    anew: bool = False  # not together with others: a batch refused it beside what old code had left behind


@dataclass(frozen=True, slots=True)
class NearMiss:
    """A candidate that flips some targets, or all of them while it breaks a guard."""

    trial: Trial
    flipped: frozenset[str]
    broken: str = ""


@dataclass
class Screening:
    """Keeps the runner busy and sorts what comes back: plausible, near misses, too slow to tell, refused."""

    runner: WarmRunner
    targets: tuple[str, ...]  # quick ones first
    guards: tuple[str, ...]
    seconds: Mapping[str, float]  # CPU per test on the base
    mode: str = "hot"
    typical: float = 0.01  # CPU seconds of a test about which nothing else is known
    parallel: int = 2
    # Targets that fail the same way again and again in one process, with how: they can be asked by batches.
    probes: list[tuple[str, str]] = field(default_factory=list)
    tried: int = 0
    hung: int = 0
    cpu: float = 0.0
    plausible: list[Trial] = field(default_factory=list)
    # By the judge: files of candidates that are not to be offered again.
    known_refused: Sequence[Mapping[str, bytes]] = ()
    near: list[NearMiss] = field(default_factory=list)
    slow: list[tuple[Trial, bool]] = field(default_factory=list)  # with whether it flipped anything in time
    stale: list[Trial] = field(default_factory=list)  # refused beside what the old code had left behind
    refused: list[Trial] = field(default_factory=list)  # by a probe, which says nothing about other targets
    counted: list[tuple[Trial, int]] = field(default_factory=list)  # with how many guards they break
    unswapped: list[Edit] = field(default_factory=list)  # by themselves, where nothing is tried in batches
    modes: Counter[str] = field(default_factory=Counter)
    why: Counter[str] = field(default_factory=Counter)
    _disturbed: int = 0
    _waiting: dict[int, list[Trial]] = field(default_factory=dict)
    _killers: OrderedDict[str, None] = field(default_factory=OrderedDict)
    _later: deque[Job] = field(
        default_factory=deque
    )  # every candidate of a batch may want a process of its own

    def __post_init__(self) -> None:
        self._places = {guard: n for n, guard in enumerate(self.guards)}

    @property
    def busy(self) -> int:
        return self.runner.busy + len(self._later)

    def limits(self, ids: Sequence[str], factor: float = 1.0, least: float = LEAST) -> Limits:
        known = [self.seconds[i] for i in ids if i in self.seconds]
        default = self._allowed(max(known, default=self.typical), factor, least)
        per_test = {i: self._allowed(self.seconds[i], factor, least) for i in ids if i in self.seconds}
        per_test = {i: s for i, s in per_test.items() if abs(s - default) > 0.1}
        wall = max(10.0, 4.0 * (default + sum(self.seconds.get(i, 0.05) for i in ids)))
        quick = self._quick()
        slow = frozenset(self.targets) - quick if quick else frozenset[str]()
        return Limits(default, per_test, wall, startup=20.0, stop=True, keep_going=quick, if_green=slow)

    def _allowed(self, seconds: float, factor: float, least: float) -> float:
        usual = max(least, min(LEAST_MOST, LEAST_PASSING * self.typical), SLACK * seconds)
        return min(MOST, max(least, usual * factor))

    def _quick(self) -> frozenset[str]:
        took = {t: s for t in self.targets if (s := self.seconds.get(t, MOST)) < QUICK_EACH}
        return frozenset(took) if len(self.targets) > 1 and sum(took.values()) < QUICK else frozenset()

    def offer(self, trial: Trial) -> None:
        """Try a candidate: together with others in one process first, where that has been shown to tell the truth."""
        self.tried += trial.patience == 1.0 and not trial.probe and not trial.anew
        if not self.probes or trial.patience > 1.0 or trial.probe is None or trial.anew:
            self.submit(trial)
            return
        waiting = self._waiting.setdefault(trial.probe, [])
        waiting.append(trial)
        if len(waiting) >= min(BATCH_SIZE, 4 + self.tried // 4):
            self._flush(trial.probe)

    def _flush(self, probe: int) -> None:
        waiting = self._waiting.pop(probe, [])
        if waiting and self.probes:
            target, fails = self.probes[probe]
            hanging = self.hung > max(HANG_MANY, HANG_SHARE * self.tried)
            limits = self.limits([target], HANG_PART if hanging else 1.0, LEAST_BATCH)
            jobs = [Job(t.files, (target,), limits, self.mode, tag=(t, "batch")) for t in waiting]
            self.runner.screen(jobs, fails)
        else:  # batches were given up meanwhile
            for trial in waiting:
                self.submit(trial)

    def submit(self, trial: Trial) -> None:
        """Try a candidate in a process of its own: targets, then the guards that refused others."""
        # In the order of the suite: tests that share state fail in another one, whatever the candidate does.
        # What is no guard stands in a module that could not be collected before.
        fast = sorted([*self._killers][-FAST_GUARDS:], key=lambda g: self._places.get(g, len(self._places)))
        first = self.probes[trial.probe or 0][:1] if self.probes else ()
        ids = tuple(dict.fromkeys((*first, *self.targets, *fast)))
        limits = self.limits(ids, trial.patience)
        self._submit(Job(trial.files, ids, limits, self.mode, tag=(trial, "targets")))

    def count_broken(self, trial: Trial) -> None:
        """Ask every guard of a candidate that is known to break one: how many are they?"""
        limits = replace(self.limits(self.guards), stop=False)
        self._submit(Job(trial.files, self.guards, limits, self.mode, tag=(trial, "count")))

    def _submit(self, job: Job) -> None:
        self._later.append(job)
        self._feed()

    def _feed(self) -> None:
        while self._later and self.runner.under_way < self.parallel:
            self.runner.submit(self._later.popleft())

    def collect(self) -> None:
        """Take one verdict and file it; a candidate that flips the targets goes on to all guards."""
        self._feed()
        job, verdict = self.runner.next()
        trial, stage = job.tag
        self.cpu += verdict.cpu
        self.modes[verdict.mode] += 1
        if verdict.why:
            self.why[verdict.why] += 1
        if verdict.mode != self.mode and len(trial.edits) == 1 and not self.probes:
            self.unswapped.extend(trial.edits)
        if verdict.killed == "invalid":
            return
        if stage == "batch":
            self._batched(trial, verdict)
        elif stage == "count":
            self._count(trial, verdict)
        elif verdict.green(job.ids):
            self._green(job, trial, stage, verdict)
        else:
            self._not_green(trial, stage, verdict)

    def _batched(self, trial: Trial, verdict: WarmVerdict) -> None:
        if verdict.killed == "cpu":
            self.hung += 1
            self.slow.append((trial, False))
        elif not verdict.complete and verdict.outcomes:
            self._disturbed += 1
            if self._disturbed > PATIENCE:
                self.probes = []
            self.submit(trial)
        elif not verdict.outcomes or verdict.green(list(verdict.outcomes)):
            self.submit(trial)
        else:
            self.refused.append(trial)
            if verdict.why:
                self.stale.append(trial)

    def _count(self, trial: Trial, verdict: WarmVerdict) -> None:
        if verdict.complete:  # else nobody knows how many it breaks
            self.counted.append((trial, sum(o.red for o in verdict.outcomes.values())))

    def _green(self, job: Job, trial: Trial, stage: str, verdict: WarmVerdict) -> None:
        if stage == "targets" and not verdict.rung and verdict.mode != "cold":
            # It passed without entering the patch: only a process of its own can tell.
            again = Job(job.files, job.ids, job.limits, "cold", job.tag)
            self.runner.submit(again, "the patch was not entered")
        elif stage == "targets" and self.guards:
            limits = self.limits(self.guards, trial.patience)
            self._submit(Job(trial.files, self.guards, limits, self.mode, (trial, "guards")))
        elif trial.files not in self.known_refused:
            self.plausible.append(trial)

    def _not_green(self, trial: Trial, stage: str, verdict: WarmVerdict) -> None:
        flipped = frozenset(
            t for t in self.targets if stage == "guards" or verdict.outcomes.get(t) is Outcome.PASSED
        )
        broken = next((i for i, o in verdict.outcomes.items() if o.red and i not in self.targets), "")
        if broken:
            self._killers.pop(broken, None)
            self._killers[broken] = None
        if verdict.killed in ("cpu", "wall"):
            self.hung += 1
            if not any(o in (Outcome.FAILED, Outcome.ERROR) for o in verdict.outcomes.values()):
                self.slow.append((trial, bool(flipped)))
                return
        if flipped:
            self.near.append(NearMiss(trial, flipped, broken))
        elif self.probes:
            self.refused.append(trial)

    def flush(self) -> None:
        """Send off the batches that are not full."""
        for probe in list(self._waiting):
            self._flush(probe)

    def drain(self) -> None:
        self.flush()
        while self.busy:
            self.collect()
