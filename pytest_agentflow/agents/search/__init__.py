"""Can this failure be repaired offline, by trying likely edits on the suspected code until the visible tests pass?"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import combinations
from pathlib import Path
from typing import Any

from pytest_agentflow.adapters.sessions import child_environment
from pytest_agentflow.adapters.warm import COLD, FRESH, HOT, Job, Limits, WarmRunner, WarmVerdict, steady
from pytest_agentflow.agents.base import AgentOutcome, AgentReport, Bench, Brief, Candidate
from pytest_agentflow.agents.search.choose import best_first, merit
from pytest_agentflow.agents.search.edits import Edit, Source, apply
from pytest_agentflow.agents.search.evidence import repairs, sandboxed_probe
from pytest_agentflow.agents.search.normal import normal_form
from pytest_agentflow.agents.search.order import Ranked, generate
from pytest_agentflow.agents.search.screening import Screening, Trial
from pytest_agentflow.agents.search.suspicion import line_scores
from pytest_agentflow.core.model import Outcome, Spend

VERSION = "1"
OFFERED = 5  # candidates handed to the oracle
SHARE_USED = "the time for single edits is used"
ALL_TRIED = "every candidate was tried"
EVIDENCE_MOST = 600  # repairs suggested by an exception
PAIRS_MOST = 4000  # second edits tried on top of a near miss
ENOUGH = 12  # plausible patches after which looking for more stops
LOOK_ON = 0.3  # after the first plausible patch, go on for that share of the candidates tried so far …
LOOK_ON_LEAST = 300  # … and at least that many …
LOOK_ON_MOST = 10.0  # seconds
LOOK_ON_SECONDS = 2.0  # … but not longer than this, or half of the time it took


class SearchAgent:
    """Template search, offline and free. Offers up to five candidates, best first; leaves the workspace at base."""

    name = "search"
    paid = False

    def __init__(self, name: str = "search", config: Mapping[str, Any] | None = None) -> None:
        self.name = name
        self._config = dict(config or {})

    def fingerprint(self, config: Mapping[str, Any]) -> str:
        """Another version of the templates, or other limits, is another agent."""
        limits = {k: config[k] for k in ("max_candidates", "batches") if k in config}
        return f"search {VERSION} {limits or ''}".strip()

    def attempt(self, brief: Brief, bench: Bench) -> AgentReport:
        began = time.monotonic()
        if "run_spec" not in brief.config:
            return AgentReport(AgentOutcome.ERROR, "the search needs to know how the project's tests are run")
        search = Search(brief, bench, began, {**self._config, **brief.config})
        with WarmRunner() as runner:
            search.run(runner)
        return search.report()


@dataclass
class Search:
    """One attempt: prepare, try candidates in order of likelihood, choose."""

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

    # the course of an attempt ------------------------------------------------------------------------

    def run(self, runner: WarmRunner) -> None:
        attempt = self.brief.attempt
        scores = line_scores(self.brief)
        paths = dict.fromkeys(path for path, _ in scores)
        read = {path: Source.read(self.brief.workspace, path) for path in paths}
        self.sources = {path: source for path, source in read.items() if source is not None}
        if not self.sources:
            self.stopped = "no suspected Python source in scope"
            return
        queue = [*self._from_evidence(), *generate(self.sources, scores, attempt.seed)]
        self.notes["candidates_known"] = len(queue)
        self.screening = self._prepare(runner)
        if self.screening is not None:
            self._screen(self.screening, queue, 0.9 if len(self.screening.targets) == 1 else 0.6)
            self._retry_slow(self.screening)
            if self.stopped == SHARE_USED:
                self.stopped = ""
            if not self.screening.plausible and len(self.screening.targets) > 1:
                self._combine(runner, self.screening, queue)

    def _from_evidence(self) -> list[Ranked]:
        """What the exceptions themselves suggest comes before everything else."""
        spec, scratch = self.config["run_spec"], Path(self.config.get("scratch") or self.brief.directory)
        env = child_environment(spec, self.brief.workspace, scratch / "probe", 0, {})
        probe = sandboxed_probe(self.bench.sandboxed, spec.python, env)
        found = repairs(self.brief.failures, self.sources, probe)
        return [Ranked(-5.0 + 0.01 * n, edits) for n, edits in enumerate(found) if n < EVIDENCE_MOST]

    def _prepare(self, runner: WarmRunner) -> Screening | None:
        """Start the runner and measure the base with it: what is not red here is no target for a search."""
        attempt = self.brief.attempt
        guards = _near_first(attempt.guards, attempt.visible)
        ids = (*attempt.visible, *guards)
        scratch = Path(self.config.get("scratch") or self.brief.directory / "scratch")
        runner.start(self.config["run_spec"], self.brief.workspace, ids, scratch)
        seen = {}
        # A module that cannot be collected can only be tried by importing it again.
        modes = (HOT, FRESH, COLD) if all("::" in t for t in attempt.visible) else (FRESH, COLD)
        for tried in modes:
            verdict = self._measure(runner, attempt.visible, tried)
            failing = tuple(t for t in attempt.visible if not verdict.green([t]))
            seen[tried] = (verdict, failing)
            if len(failing) == len(attempt.visible):
                break
        # The fastest mode that sees as many targets fail as the slowest does.
        mode = max(seen, key=lambda m: len(seen[m][1]))
        base, red = seen[mode]
        if not red:
            self.stopped = "no target fails when it is run by itself"
            return None
        if len(red) < len(attempt.visible):
            self.notes["green_by_themselves"] = sorted(set(attempt.visible) - set(red))
        seconds = dict(base.seconds)
        if guards:
            green = self._measure(runner, guards, mode)
            kept = tuple(g for g in guards if green.outcomes.get(g) is not None and green.green([g]))
            seconds.update(green.seconds)
            self.notes["guards"] = {"given": len(guards), "green_when_warm": len(kept)}
            guards = kept
        hanging = frozenset(i for i, o in base.outcomes.items() if o.value == "timeout")
        self.notes["runner"] = {"mode": mode, "not_available": dict(runner.why)}
        # Slow ones last: most candidates are refused by the first test.
        targets = tuple(sorted(red, key=lambda t: (t in hanging, seconds.get(t, 1e9))))
        typical = max((s for i, s in seconds.items() if i not in base.outcomes), default=0.005)
        screening = Screening(runner, targets, guards, seconds, hanging, mode, typical=typical)
        screening.parallel = int(self.config.get("processes", 2))
        if mode == HOT and self.config.get("batches", True):
            screening.expect = self._steady(runner, targets[0])
        self.notes["runner"]["batches"] = screening.expect is not None
        return screening

    def _measure(self, runner: WarmRunner, ids: tuple[str, ...], mode: str) -> WarmVerdict:
        """Run tests on the base; one that hangs must not hide those behind it, and three that hang are enough."""
        outcomes: dict[str, Outcome] = {}
        seconds: dict[str, float] = {}
        messages: dict[str, str] = {}
        left, hung = ids, 0
        hang = float(self.config.get("hang_seconds", 1.0))
        while left and hung < 3:
            limits = Limits(default=hang, wall=max(60.0, self.brief.deadline / 4), stop=False)
            runner.submit(Job({}, left, limits, mode))
            _, verdict = runner.next()
            outcomes.update(verdict.outcomes)
            seconds.update(verdict.seconds)
            messages.update(verdict.messages)
            rest = tuple(i for i in left if i not in verdict.outcomes)
            if verdict.complete or len(rest) == len(left) or verdict.killed == "wall":
                break
            left, hung = rest, hung + 1
        for test in left if hung == 3 else ():
            outcomes.setdefault(test, Outcome.TIMEOUT)
        return WarmVerdict(outcomes, messages, mode, rung=False, complete=True, seconds=seconds)

    def _steady(self, runner: WarmRunner, test: str) -> str | None:
        """How a target fails when it is run again and again in one process; None when that is not always the same."""
        jobs = [Job({}, (test,), Limits(default=1.0)) for _ in range(4)]
        runner.screen(jobs, "")
        said = {steady(m) for m in (runner.next()[1].messages.get(test, "") for _ in jobs)}
        return said.pop() if len(said) == 1 and said != {""} else None

    def _screen(
        self, screening: Screening, queue: Sequence[Ranked], share: float, prefix: Trial | None = None
    ) -> None:
        """Try candidates in order, each on top of `prefix`, until the given share of the deadline is used."""
        enough, until = 0, 0.0
        before = prefix.edits if prefix else ()
        for ranked in queue:
            if self._over(screening, share):
                break
            if enough and (screening.tried >= enough or time.monotonic() > until):
                break
            edits = (*before, *ranked.edits)
            files = self._files(edits)
            if files is None:
                continue
            while screening.runner.busy >= screening.parallel:
                screening.collect()
            screening.offer(Trial(edits, ranked.cost + (prefix.cost if prefix else 0.0), files))
            if screening.plausible and not enough:
                self.notes["first_plausible"] = {
                    "tried": screening.tried,
                    "seconds": round(time.monotonic() - self.began, 2),
                }
                enough = screening.tried + max(LOOK_ON_LEAST, int(LOOK_ON * screening.tried))
                until = time.monotonic() + min(
                    LOOK_ON_MOST, max(LOOK_ON_SECONDS, 0.5 * (time.monotonic() - self.began))
                )
            self._tell(screening)
        else:
            self.stopped = self.stopped or ALL_TRIED
        screening.drain()

    def _files(self, edits: tuple[Edit, ...]) -> dict[str, bytes] | None:
        """The candidate's files, or None for what is no Python or compiles to something that was tried."""
        if any(a.overlaps(b) for a, b in combinations(edits, 2)):
            return None
        by_path: dict[str, list[Edit]] = {}
        for edit in edits:
            by_path.setdefault(edit.path, []).append(edit)
        forms = tuple(normal_form(self.sources[path], *group) for path, group in by_path.items())
        if None in forms or forms in self._seen:
            return None
        self._seen.add(forms)
        return apply(self.sources, edits)

    def _combine(self, runner: WarmRunner, screening: Screening, queue: Sequence[Ranked]) -> None:
        """Two edits: one that flips some of the targets, and another one for the rest."""
        all_targets = screening.targets
        self._look_at_other_targets(runner, screening)
        partial = [n for n in screening.near if not n[2] and len(n[1]) < len(all_targets)]
        partial.sort(key=lambda near: (-len(near[1]), merit(near[0])))
        for trial, flipped, _ in partial[:6]:
            self.stopped = "" if self.stopped in (ALL_TRIED, SHARE_USED) else self.stopped
            if self._over(screening) or screening.plausible:
                return
            left = tuple(t for t in all_targets if t not in flipped)
            screening.targets = left + tuple(t for t in all_targets if t in flipped)
            if screening.expect is not None:
                screening.expect = self._steady(runner, left[0])
            self._screen(screening, queue[:PAIRS_MOST], 0.9, trial)
        screening.targets = all_targets

    def _look_at_other_targets(self, runner: WarmRunner, screening: Screening) -> None:
        """Batches only asked the quickest target; what they refused may still flip another one."""
        targets, refused = screening.targets, sorted(screening.screened_out, key=merit)[:PAIRS_MOST]
        why, self.stopped = self.stopped, ""
        for target in targets[1:3] if screening.expect is not None else ():
            screening.expect = self._steady(runner, target)
            if screening.expect is None or screening.plausible:
                break
            screening.targets = (target, *(t for t in targets if t != target))
            for trial in refused:
                if self._over(screening, 0.75):
                    break
                while screening.runner.busy >= screening.parallel:
                    screening.collect()
                screening.offer(trial)
            screening.drain()
        screening.targets = targets
        self.stopped = self.stopped or why

    def _retry_slow(self, screening: Screening) -> None:
        """Candidates that failed nothing and only ran out of time get more of it, most likely ones first."""
        slow, screening.slow = sorted(screening.slow, key=merit)[:10], []
        for trial in slow:
            if screening.plausible or self._over(screening):
                return
            screening.submit(trial, factor=10.0)
            screening.drain()

    # limits and progress -----------------------------------------------------------------------------

    def _over(self, screening: Screening, share: float = 0.9) -> bool:
        if self.bench.cancelled():
            self.stopped = "cancelled"
        elif time.monotonic() - self.began > self.brief.deadline * share:
            self.stopped = "deadline" if share >= 0.9 else SHARE_USED
        elif len(screening.plausible) >= ENOUGH:
            self.stopped = "enough plausible patches"
        elif screening.tried >= int(self.config.get("max_candidates", 1_000_000)):
            self.stopped = "candidate limit"
        return bool(self.stopped)

    def _tell(self, screening: Screening) -> None:
        now = time.monotonic()
        if now - self._told > 0.5:
            self._told = now
            rate = screening.tried / max(0.001, now - self.began)
            self.bench.progress(
                "candidates", tried=screening.tried, rate=round(rate, 1), plausible=len(screening.plausible)
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
            modes=screening.modes,
            not_faster_because=screening.why,
            stopped=self.stopped,
            near_misses=[_near_miss(*near) for near in screening.near[:10]],
        )
        chosen = best_first(screening.plausible)[:OFFERED]
        candidates = tuple(Candidate(t.files, _label(t), -merit(t)) for t in chosen)
        if candidates:
            message = f"{len(screening.plausible)} plausible of {screening.tried} candidates tried"
            return AgentReport(AgentOutcome.CHANGED, message, spend, candidates, notes=self.notes)
        outcome = {"cancelled": AgentOutcome.CANCELLED, "deadline": AgentOutcome.TIMED_OUT}.get(
            self.stopped, AgentOutcome.NO_CHANGE
        )
        message = f"none of {screening.tried} candidates flips every target ({self.stopped})"
        return AgentReport(outcome, message, spend, notes=self.notes)


def _near_first(guards: tuple[str, ...], targets: tuple[str, ...]) -> tuple[str, ...]:
    """Guards in the targets' own files first: they are the likeliest to refuse a candidate."""
    files = {t.partition("::")[0] for t in targets}
    return tuple(sorted(guards, key=lambda g: g.partition("::")[0] not in files))


def _label(trial: Trial) -> str:
    return "; ".join(f"{e.kind} at {e.path}:{e.line}" for e in trial.edits)


def _near_miss(trial: Trial, flipped: frozenset[str], broken: str) -> dict[str, Any]:
    return {"edit": _label(trial), "flips": sorted(flipped), "breaks": broken}
