"""Does a verdict follow what the machine does meanwhile: load, late threads, another session?"""

from __future__ import annotations

from pytest_agentflow.core.flaky import Category, FlakyRecord
from pytest_agentflow.core.flaky_causes import timing
from pytest_agentflow.core.flaky_stats import fisher
from pytest_agentflow.stages.flaky_evidence import alone, at_once, made, quiet
from pytest_agentflow.stages.flaky_lab import Lab

LOAD_MORE = 4
LATE_ROUNDS = 5


def under_load(lab: Lab, test: str) -> FlakyRecord | None:
    """Red beside CPU hogs, or beside a busy disk, more often than at rest."""
    torn = lab.table.torn(test) is not None
    for arm, changes, what in (
        ("load", {"burners": lab.load_factor}, f"{lab.load_factor} CPU hogs"),
        ("disk", {"disk": True}, "a busy disk"),
    ):
        if not any(s.red for s in lab.table.of(test, arm)) and not (torn and arm == "load"):
            continue
        for _ in range(LOAD_MORE):
            enough = sum(s.red for s in lab.table.of(test, arm)) >= 4
            if enough or not lab.reach("more runs under load", 2):
                break
            lab.run([lab.job((test,), "rest"), lab.job((test,), arm, **changes)])
        load, rest = lab.table.of(test, arm), lab.table.of(test, "rest", "alone", "suite")
        a, c = sum(s.red for s in load), sum(s.red for s in rest)
        green = next((s for s in rest if not s.red), None)
        if a < 2 or green is None or fisher(a, len(load) - a, c, len(rest) - c) > 0.05:
            continue
        red = next(s for s in load if s.red)
        why = f"red in {a} of {len(load)} runs beside {what}, in {c} of {len(rest)} at rest"
        return made(test, timing(lab.table.uses[test]), why, green, red, confidence=0.9)
    return None


def late_threads(lab: Lab, test: str) -> FlakyRecord | None:
    """Red when its threads start late, green when they do not."""
    reds = [s for s in lab.table.of(test, "jitter") if s.red]
    base = alone(lab, test)
    if not reds or base is None or base[0]:
        return None
    again = [
        lab.once((test,), "jitter", None, jitter=s.conditions.jitter) for s in reds[:2] for _ in range(2)
    ]
    bad = [s for s in again if s and s.red]
    if len(bad) < 2:
        return None
    why = f"red in {len(reds)} of {LATE_ROUNDS} runs in which its threads started up to 0.1 s late"
    kind = Category.ASYNC_TIMING if "async" in lab.table.uses[test] else Category.THREAD_RACE
    return made(test, kind, why, base[1], bad[0], confidence=0.9)


def collision(lab: Lab, test: str) -> FlakyRecord | None:
    """Two sessions at once: with itself, then with whoever uses the same port or path."""
    if not any(s.red for s in lab.table.of(test, "pair")) or not quiet(lab, test):
        return None
    shared = lab.table.writes[test]
    others = [t for t in lab.tests if t != test and lab.table.writes[t] & shared and t not in lab.killers]
    if sum(bool(at_once(lab, test, test)) for _ in range(4)) < 2:
        return None
    partners = [
        t for t in others if quiet(lab, t) and any(at_once(lab, *both) for both in ((test, t), (t, test)))
    ]
    green = next(s for s in lab.table.of(test, "alone", "confirm") if not s.red)
    red = next(s for s in lab.table.of(test, "pair") if s.red)
    what = ", ".join(sorted(shared)) or "something"
    why = f"fails while another session runs {'it' if not partners else partners[0]}: both use {what}"
    notes = ("one session", "two sessions at once")
    return made(
        test,
        Category.PARALLEL_COLLISION,
        why,
        green,
        red,
        partners=tuple(partners),
        notes=notes,
        cause=f"two at once on {what}",
    )
