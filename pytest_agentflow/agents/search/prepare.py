"""What do the visible tests do on the base when they are run the way candidates will be? Only what is red there is a target."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pytest_agentflow.adapters.warm import (
    COLD,
    FRESH,
    HANGS,
    HOT,
    Job,
    Limits,
    WarmRunner,
    WarmVerdict,
    steady,
)
from pytest_agentflow.agents.base import Brief
from pytest_agentflow.agents.search.screening import MOST, Screening
from pytest_agentflow.core.model import Outcome
from pytest_agentflow.core.nodeids import function_of

# CPU seconds after which a test is taken to hang: at most the second, at least the first, between them so many times as long
# as the slowest test that passes.
HANG_LEAST, HANG, HANG_PASSING = 0.15, 0.5, 30.0
GUARDS_SHARE = 0.2  # of the time may go into measuring guards; those left over wait for the judge
HUNG_ENOUGH = 3  # tests that hang on the base before the rest is taken to hang as well
SAMPLE = 3  # guards that tell whether a mode runs the suite as it was observed
PROBES = 3  # targets that batches may ask
REPEATS = 4  # times that a probing target must fail alike
QUICK = 0.05  # CPU seconds of a test next to which it matters what a fork pays for its first one


def prepare(
    runner: WarmRunner, brief: Brief, config: Mapping[str, Any], notes: dict[str, Any]
) -> Screening | None:
    """Measure targets and guards with the started runner; None when no target fails by itself."""
    visible = brief.attempt.visible
    mode, base = _fastest_mode(runner, brief, config, notes)
    red = tuple(t for t in visible if not base.green([t]))
    if not red:
        return None
    if len(red) < len(visible):
        notes["green_by_themselves"] = sorted(set(visible) - set(red))
    seconds = dict(base.seconds)
    guards = near_first(brief.attempt.guards, visible)
    if guards:
        green = _measure(runner, guards, mode, brief, config, wall=max(10.0, brief.deadline * GUARDS_SHARE))
        kept = tuple(g for g in guards if green.outcomes.get(g) is not None and green.green([g]))
        seconds.update(green.seconds)
        notes["guards"] = {"given": len(guards), "green_when_warm": len(kept)}
        guards = kept
        if mode == HOT and guards and seconds.get(guards[0], QUICK) < QUICK:
            seconds[guards[0]] = min(seconds[guards[0]], _warmed_up(runner, guards[0]))
    hanging = {t for t in red if base.outcomes.get(t) is Outcome.TIMEOUT}
    # Slow ones last: most candidates are refused by the first test.
    targets = tuple(sorted(red, key=lambda t: (t in hanging, seconds.get(t, 1e9))))
    typical = max((s for i, s in seconds.items() if i not in visible), default=0.002)
    screening = Screening(runner, targets, guards, seconds, mode, typical=typical)
    screening.parallel = int(config.get("processes", 2))
    if mode == HOT and config.get("batches", True):
        screening.probes = _probes(runner, [t for t in targets if t not in hanging]) or [
            (t, HANGS) for t in targets[:1] if t in hanging
        ]
    notes["runner"] = {"mode": mode, "not_available": dict(runner.why), "probes": len(screening.probes)}
    return screening


def near_first(guards: tuple[str, ...], targets: tuple[str, ...]) -> tuple[str, ...]:
    """Guards in the targets' own files first: they are the likeliest to refuse a candidate."""
    files = {t.partition("::")[0] for t in targets}
    return tuple(sorted(guards, key=lambda g: g.partition("::")[0] not in files))


def _fastest_mode(
    runner: WarmRunner, brief: Brief, config: Mapping[str, Any], notes: dict[str, Any]
) -> tuple[str, WarmVerdict]:
    """The fastest mode in which most targets fail and some guards pass as they were observed, with what it saw.

    Guards count because a server that went wrong fails everything.
    """
    visible, guards = brief.attempt.visible, near_first(brief.attempt.guards, brief.attempt.visible)[:SAMPLE]
    # A module that cannot be collected can only be tried by importing it again.
    modes = (HOT, FRESH, COLD) if all("::" in t for t in visible) else (FRESH, COLD)
    seen: dict[str, tuple[int, WarmVerdict]] = {}
    for mode in modes:
        # Guards first: behind several targets that hang nothing is run any more.
        told = _measure(runner, (*guards, *visible), mode, brief, config)
        as_observed = sum(not told.green([t]) for t in visible) + sum(told.green([g]) for g in guards)
        seen[mode] = as_observed, told
        if as_observed == len(visible) + len(guards):
            break
        notes.setdefault("not_as_observed", {})[mode] = len(visible) + len(guards) - as_observed
    best = max(seen, key=lambda mode: seen[mode][0])
    return best, seen[best][1]


def _measure(
    runner: WarmRunner,
    ids: tuple[str, ...],
    mode: str,
    brief: Brief,
    config: Mapping[str, Any],
    wall: float = 0.0,
) -> WarmVerdict:
    """Run tests on the base; one that hangs must not hide those behind it, and a few that hang are enough."""
    outcomes: dict[str, Outcome] = {}
    seconds: dict[str, float] = {}
    messages: dict[str, str] = {}
    left, hung = ids, 0
    known = {i: brief.passing_seconds.get(i, 0.0) for i in ids}
    slowest = max(brief.passing_seconds.values(), default=HANG)
    hang = float(config.get("hang_seconds", min(HANG, max(HANG_LEAST, HANG_PASSING * slowest))))
    slow = {i: min(MOST, 5.0 * s) for i, s in known.items() if 5.0 * s > hang}
    while left and hung < HUNG_ENOUGH:
        limits = Limits(default=hang, per_test=slow, wall=wall or max(60.0, brief.deadline / 4), stop=False)
        runner.submit(Job({}, left, limits, mode))
        _, verdict = runner.next()
        outcomes.update(verdict.outcomes)
        seconds.update(verdict.seconds)
        messages.update(verdict.messages)
        rest = tuple(i for i in left if i not in verdict.outcomes)
        if verdict.complete or len(rest) == len(left) or verdict.killed == "wall":
            break
        left, hung, hang = rest, hung + 1, hang / 2
    for test in left if hung == HUNG_ENOUGH else ():
        outcomes.setdefault(test, Outcome.TIMEOUT)
    return WarmVerdict(outcomes, messages, mode, rung=False, complete=True, seconds=seconds)


def _warmed_up(runner: WarmRunner, test: str) -> float:
    """CPU seconds of a test that is not the first one of its process: that one pays several milliseconds for fresh memory."""
    jobs = [Job({}, (test,), Limits(default=1.0)) for _ in range(2)]
    runner.screen(jobs, "")
    return min(runner.next()[1].seconds.get(test, QUICK) for _ in jobs)


def _probes(runner: WarmRunner, targets: list[str]) -> list[tuple[str, str]]:
    """The quickest target of each test function that fails alike when it is run again and again in one process."""
    by_function: dict[str, str] = {}
    for target in targets:
        by_function.setdefault(function_of(target), target)
    found = []
    for target in list(by_function.values())[:PROBES]:
        jobs = [Job({}, (target,), Limits(default=1.0)) for _ in range(REPEATS)]
        runner.screen(jobs, "")
        said = {steady(m) for m in (runner.next()[1].messages.get(target, "") for _ in jobs)}
        if len(said) == 1 and said != {""}:
            found.append((target, said.pop()))
    return found
