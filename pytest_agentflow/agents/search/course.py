"""How does one attempt of the search run: prepare, try candidates best first, choose, report?"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import partial
from itertools import combinations, islice
from pathlib import Path
from typing import Any

from pytest_agentflow.adapters.sessions import child_environment
from pytest_agentflow.adapters.warm import WarmRunner
from pytest_agentflow.agents.base import AgentOutcome, AgentReport, Bench, Brief, Candidate
from pytest_agentflow.agents.search.choose import best_first, damage, doubtful, merit
from pytest_agentflow.agents.search.edits import Edit, Source, apply
from pytest_agentflow.agents.search.evidence import repairs
from pytest_agentflow.agents.search.frontier import SLOW_BESIDE_BATCHES, SLOW_BESIDE_FORKS, Frontier, Proposal
from pytest_agentflow.agents.search.guidance import awaited, likelier, words_of
from pytest_agentflow.agents.search.installed import Probe, sandboxed_probe
from pytest_agentflow.agents.search.normal import body_at, normal_form
from pytest_agentflow.agents.search.order import Place, Ranked, bands, generate
from pytest_agentflow.agents.search.prepare import near_first, prepare
from pytest_agentflow.agents.search.screening import NearMiss, Screening, Trial
from pytest_agentflow.agents.search.suspicion import line_scores
from pytest_agentflow.agents.search.upgrade import deadline, in_scope, upgraded
from pytest_agentflow.core.hints import Hint, hints_of, may_be_upgrade
from pytest_agentflow.core.limits import nothing_found
from pytest_agentflow.core.model import Spend

OFFERED = 5  # candidates handed to the oracle
SHARE = 0.9  # of the deadline
EVIDENCE_MOST = 600  # repairs suggested by an exception
ENOUGH = 12  # plausible patches after which looking for more stops
MARGIN = 0.5  # go on until what is left is that much less likely than the best plausible patch …
LOOK_ON_LEAST = 60  # … for at least that many candidates …
LOOK_ON = 0.3  # … and at most that share of those tried so far …
LOOK_ON_MOST = 200  # … or that many, …
LOOK_ON_SECONDS = 5.0  # … or that long, or half of the time it took, …
LONGER = 3  # … or all of these so many times while all that is plausible is doubtful
EDITS_MOST = 3  # in one candidate
COUNTED = 8  # candidates that flip every target but break a guard, of which all guards are asked …
HIDDEN = 0.1  # … to give second edits to those that break at most that share of the guards …
MENDED = 3  # … but to no more than that many
ALIKE = 4  # near misses flipping the same targets that get second edits


@dataclass(frozen=True, slots=True)
class LookOn:
    """How far the search goes behind what it found: to how many candidates at least and at most, and until when."""

    least: int
    most: int
    until: float
    in_doubt: bool  # all that is plausible is

    @classmethod
    def behind(cls, tried: int, took: float, *, in_doubt: bool) -> LookOn:
        times = LONGER if in_doubt else 1
        most = tried + times * max(LOOK_ON_MOST, int(LOOK_ON * tried))
        until = time.monotonic() + times * max(LOOK_ON_SECONDS, took / 2)
        return cls(tried + LOOK_ON_LEAST, most, until, in_doubt)

    def over(self, tried: int) -> bool:
        return tried >= self.most or time.monotonic() > self.until


@dataclass
class Search:
    """One attempt: what it knows, and how far it got."""

    brief: Brief
    bench: Bench
    began: float
    config: Mapping[str, Any]
    notes: dict[str, Any] = field(default_factory=dict)
    screening: Screening | None = None
    sources: dict[str, Source] = field(default_factory=dict)
    stopped: str = ""
    _told: float = 0.0
    _seen: set[object] = field(default_factory=set)
    _grown: Counter[frozenset[str]] = field(default_factory=Counter)
    _unswappable: set[tuple[str, int | None]] = field(default_factory=set)  # function bodies
    # Out of time, with whether it flipped anything, and not tried again since.
    _ran_out: list[tuple[Trial, bool]] = field(default_factory=list)
    _near: int = 0
    _counted: int = 0
    _mended: int = 0
    _look_on: LookOn | None = None
    _best: tuple[int, float] = (0, 0.0)  # plausible ones seen, and the lowest merit of them

    # the course of an attempt ------------------------------------------------------------------------

    def run(self, runner: WarmRunner) -> None:
        attempt = self.brief.attempt
        scores = line_scores(self.brief)
        paths = dict.fromkeys(path for path, _ in scores)
        read = {path: Source.read(self.brief.workspace, path) for path in paths}
        self.sources = {path: source for path, source in read.items() if source is not None}
        hints = hints_of(self.brief.failures.values())
        if not self.sources and not hints:
            self.stopped = "no suspected Python source in scope"
            return
        likely = likelier(attempt.visible, self.brief.failures)
        words = words_of(self.brief.workspace, attempt.visible)
        missed = awaited(self.brief.workspace, attempt.visible, self.brief.failures)
        edits = partial(generate, self.sources, scores, attempt.seed, likely, words, missed)
        (_, nearest), *further = bands(scores) or [(0.0, frozenset[Place]())]
        singles = edits(nearest)
        ids = (*attempt.visible, *near_first(attempt.guards, attempt.visible))
        runner.start(self.config["run_spec"], self.brief.workspace, ids, self._scratch())
        self.screening = prepare(runner, self.brief, self.config, self.notes)
        if self.screening is None:
            self.stopped = "no target fails when it is run by itself"
            return
        self.screening.known_refused = self.config.get("refused", ())
        suggested = self._upgrades(runner, self.screening.mode, hints) if hints else []
        later = SLOW_BESIDE_BATCHES if self.screening.probes else SLOW_BESIDE_FORKS
        frontier = Frontier([*suggested, *singles], self._imported_anew, later)
        for cost, lines in further:
            frontier.promise(cost, partial(edits, lines))
        self._search(self.screening, frontier)

    def _scratch(self) -> Path:
        return Path(self.config.get("scratch") or self.brief.directory / "scratch")

    def _upgrades(self, runner: WarmRunner, mode: str, hints: list[Hint]) -> list[Ranked]:
        """What the exceptions themselves suggest comes before everything else, one after the other where they hide others."""
        self.sources = in_scope(self.brief.workspace, self.brief.policy, self.sources)
        probe, over = self._probe(), deadline(0.4 * self.brief.deadline, self.bench.cancelled)
        edits: tuple[Edit, ...] = ()
        if any(may_be_upgrade(hint) for hint in hints):
            edits, self.notes["upgrade"] = upgraded(runner, self.brief, mode, self.sources, probe, over)
        found = islice(repairs(hints, self.sources, probe), EVIDENCE_MOST)
        return [
            *([Ranked(-6.0, edits)] if edits else []),
            *(Ranked(-5.0 + 0.03 * n, suggested) for n, suggested in enumerate(found)),
        ]

    def _probe(self) -> Probe:
        spec = self.config["run_spec"]
        env = child_environment(spec, self.brief.workspace, self._scratch() / "probe", 0, {})
        return sandboxed_probe(self.bench.sandboxed, spec.python, env)

    def _search(self, screening: Screening, frontier: Frontier) -> None:
        """Try what the frontier holds until it is empty, time is up, or nothing better can be expected."""
        waiting = True
        while waiting and not self.stopped:
            for proposal in frontier:
                if self._over(screening) or self._settled(screening, proposal.cost):
                    break
                trial = self._trial(proposal)
                if trial is not None:
                    while screening.busy >= screening.parallel:
                        screening.collect()
                    screening.offer(trial)
                self._learn(screening, frontier)
                self._tell(screening)
            screening.drain()
            self._learn(screening, frontier)
            waiting = frontier.next_cost < float("inf")
        self.stopped = self.stopped or "every candidate was tried"

    def _trial(self, proposal: Proposal) -> Trial | None:
        """The candidate's files, or None for what is no Python or compiles to something that was tried."""
        edits = proposal.edits
        if any(a.overlaps(b) for a, b in combinations(edits, 2)):
            return None
        by_path: dict[str, list[Edit]] = {}
        for edit in edits:
            by_path.setdefault(edit.path, []).append(edit)
        forms = tuple(normal_form(self.sources[path], *group) for path, group in sorted(by_path.items()))
        key = (forms, proposal.patience, proposal.probe, proposal.anew)
        if None in forms or key in self._seen:
            return None
        self._seen.add(key)
        files = apply(self.sources, edits)
        how = proposal.patience, proposal.probe, proposal.anew
        return Trial(edits, proposal.cost, files, len(self._seen), *how)

    def _imported_anew(self, edits: tuple[Edit, ...]) -> bool:
        """Whether there is nothing to swap: an edit lies outside of function bodies, or in one that ran at import."""
        bodies = ((e.path, body_at(self.sources[e.path], e)) for e in edits)
        return any(at[1] is None or at in self._unswappable for at in bodies)

    def _learn(self, screening: Screening, frontier: Frontier) -> None:
        """What came back decides what else is worth trying."""
        for near in screening.near[self._near :]:
            if not near.broken and len(near.trial.edits) < EDITS_MOST:
                self._grow(near, screening, frontier)
            elif len(near.trial.edits) == 1 and len(near.flipped) == len(screening.targets):
                self._count(near.trial, screening)
        self._mend(screening, frontier)
        self._near = len(screening.near)
        for edit in screening.unswapped:
            self._unswappable.add((edit.path, body_at(self.sources[edit.path], edit)))
        screening.unswapped.clear()
        for trial, flipped in screening.slow:
            frontier.again_slowly(trial, flipped)
            self._ran_out.append((trial, flipped))
        self._look_again(screening, frontier)
        for trial in screening.refused:
            if trial.probe is not None and trial.probe + 1 < len(screening.probes) and len(trial.edits) == 1:
                frontier.again_on(trial, trial.probe + 1)
        for trial in screening.stale:
            frontier.again_anew(trial)
        screening.stale.clear()
        screening.slow.clear()
        screening.refused.clear()

    def _look_again(self, screening: Screening, frontier: Frontier) -> None:
        """A busy machine may take the time from the right candidate: what came before the first plausible one has another try."""
        if screening.plausible and self._ran_out:
            likelier = min(trial.cost for trial in screening.plausible)
            frontier.again_first(r for r in self._ran_out if r[0].cost < likelier and r[0].patience == 1)
            self._ran_out.clear()

    def _count(self, trial: Trial, screening: Screening) -> None:
        """It flips every target and breaks a guard: one of two bugs that hid each other breaks only a few."""
        if self._counted < COUNTED:
            self._counted += 1
            screening.count_broken(trial)

    def _mend(self, screening: Screening, frontier: Frontier) -> None:
        """Second edits for what all guards have been asked about."""
        for trial, broken in screening.counted:
            if broken <= HIDDEN * len(screening.guards) and self._mended < MENDED:
                self._mended += 1
                targets = len(screening.targets)
                frontier.mending_edits(trial, targets / (targets + broken))
        screening.counted.clear()

    def _grow(self, near: NearMiss, screening: Screening, frontier: Frontier) -> None:
        """Second edits for what flips a part of the targets; asked of a target that is still red."""
        share = len(near.flipped) / len(screening.targets)
        self._grown[near.flipped] += 1
        if share < 1 and self._grown[near.flipped] <= ALIKE:
            red = (n for n, (target, _) in enumerate(screening.probes) if target not in near.flipped)
            frontier.second_edits(near.trial, share, next(red, 0))

    # limits and progress -----------------------------------------------------------------------------

    def _settled(self, screening: Screening, cost: float) -> bool:
        """True when several are plausible, or one is and nothing that is left is likely to beat it."""
        if not screening.plausible:
            return False
        tried, took = screening.tried, time.monotonic() - self.began
        if self._look_on is None:
            self.notes["first_plausible"] = {"tried": tried, "seconds": round(took, 2)}
        if self._look_on is None or self._look_on.in_doubt:
            in_doubt = all(doubtful(trial) for trial in screening.plausible)
            if self._look_on is None or not in_doubt:
                self._look_on = LookOn.behind(tried, took, in_doubt=in_doubt)
        if self._best[0] < len(screening.plausible):
            lowest = min(merit(t) + damage(t, self.sources) for t in screening.plausible)
            self._best = len(screening.plausible), lowest
        unlikely = tried >= self._look_on.least and cost > self._best[1] + MARGIN
        if unlikely or self._look_on.over(tried) or len(screening.plausible) >= ENOUGH:
            self.stopped = (
                "nothing likelier is left to try" if unlikely else "enough was tried after the first"
            )
        return bool(self.stopped)

    def _in_order(self, plausible: list[Trial]) -> list[Trial]:
        """Those that would have been tried if every verdict came at once: what is offered must not depend on timing."""
        kept: list[Trial] = []
        best = float("inf")
        for trial in sorted(plausible, key=lambda t: t.place):
            if len(kept) < ENOUGH and (
                not kept or trial.place < kept[0].place + LOOK_ON_LEAST or trial.cost <= best + MARGIN
            ):
                kept.append(trial)
                best = min(best, merit(trial) + damage(trial, self.sources))
        return kept

    def _over(self, screening: Screening) -> bool:
        if self.bench.cancelled():
            self.stopped = "cancelled"
        elif time.monotonic() - self.began > self.brief.deadline * SHARE:
            self.stopped = "deadline"
        elif screening.tried >= int(self.config.get("max_candidates", 1_000_000)):
            self.stopped = "candidate limit"
        return bool(self.stopped)

    def _tell(self, screening: Screening) -> None:
        now = time.monotonic()
        if now - self._told > 0.5:
            self._told = now
            rate = screening.tried / max(0.001, now - self.began)
            flips = max((len(n.flipped) for n in screening.near), default=0)
            self.bench.progress(
                "candidates",
                tried=screening.tried,
                rate=round(rate, 1),
                plausible=len(screening.plausible),
                best_flips=len(screening.targets) if screening.plausible else flips,
                targets=len(screening.targets),
            )

    # the report --------------------------------------------------------------------------------------

    def report(self) -> AgentReport:
        screening = self.screening
        spend = Spend(seconds=time.monotonic() - self.began, cpu=screening.cpu if screening else 0.0)
        if screening is None:
            return AgentReport(AgentOutcome.NO_CHANGE, self.stopped, spend, notes=self.notes)
        self.notes.update(
            tried=screening.tried,
            plausible=len(screening.plausible),
            hung=screening.hung,
            modes=dict(screening.modes),
            not_faster_because=dict(screening.why),
            stopped=self.stopped,
            near_misses=[_near_miss(near) for near in _nearest(screening.near)[:10]],
        )
        chosen = best_first(self._in_order(screening.plausible), self.sources)[:OFFERED]
        candidates = tuple(Candidate(t.files, label(t), -merit(t)) for t in chosen)
        if candidates:
            message = f"{len(screening.plausible)} plausible of {screening.tried} candidates tried"
            return AgentReport(AgentOutcome.CHANGED, message, spend, candidates, notes=self.notes)
        outcome = {"cancelled": AgentOutcome.CANCELLED, "deadline": AgentOutcome.TIMED_OUT}.get(
            self.stopped, AgentOutcome.NO_CHANGE
        )
        limit = self.brief.limit or f"{self.brief.deadline:g} s"
        message = nothing_found(screening.tried, self.stopped, spend.seconds, limit)
        return AgentReport(outcome, message, spend, notes=self.notes)


def label(trial: Trial) -> str:
    return "; ".join(f"{e.kind} at {e.path}:{e.line}" for e in trial.edits)


def _nearest(near: list[NearMiss]) -> list[NearMiss]:
    """Those that break nothing first, and of these the ones that flip the most: the loop takes a unit apart by them."""
    return sorted(near, key=lambda n: (bool(n.broken), -len(n.flipped), n.trial.place))


def _near_miss(near: NearMiss) -> dict[str, Any]:
    return {"edit": label(near.trial), "flips": sorted(near.flipped), "breaks": near.broken}
