"""Which tests flip under another hash seed, zone or clock, beside another session, or on a busy machine?

The cheap experiments with conditions, on many tests at once. A flip here is a suspicion; `flaky_diagnose` asks each suspect alone.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from pytest_agentflow.core.flaky_causes import CLOCK_USES, HASH_USES, TIMING_USES
from pytest_agentflow.core.flaky_table import differing
from pytest_agentflow.stages.flaky_evidence import at_once
from pytest_agentflow.stages.flaky_lab import Lab
from pytest_agentflow.stages.flaky_spread import clock_points

HASH_USERS, HASH_AGAIN = 16, 3
# POSIX: the sign is the other way round.
ZONES = (
    "<+14>-14", "<-12>12",
    "CET-1CEST,M3.5.0,M10.5.0/3", "EST5EDT,M3.2.0,M11.1.0", "AEST-10AEDT,M10.1.0,M4.1.0/3", "<+0530>-5:30",
    *(f"<{-h:+03d}>{h}" for h in (-9, 7, -2, 3, -6, 10, -12, 5, -4, 1, -1, 8)),
)  # fmt: skip
# What is moved for everybody at once, one after the other, each under another hash seed.
MOVES: tuple[dict[str, object], ...] = tuple(
    {"zone": zone, "seed": seed, "entropy": seed} for seed, zone in enumerate(ZONES[:2], 1001)
)
CLOCK_FIRST, CLOCK_POINTS = 12, 36
MOMENTS = "other times of day and year"  # what is not reached is said under this name
LATE_ROUNDS, LOAD_ROUNDS, DISK_ROUNDS = 5, 3, 3


def hashes(lab: Lab) -> None:
    """One process per hash seed; a flip is asked alone there and then, while that process lives.

    In the first of them everybody runs with another zone and other seeds as well, in the second everybody who was seen
    leaning on anything: whoever does not mind all of it at once need not be asked about each.
    """
    lab.progress("hash seeds")
    for seed in range(1, HASH_USERS + 1):
        move = MOVES[seed - 1] if seed <= len(MOVES) else {}
        ids = [t for t in lab.tests if t not in lab.killers] if move else lab.users(HASH_USES)
        if move and seed > 1:
            ids = [t for t in ids if lab.table.uses[t] or lab.table.writes[t]]
        if not ids or not lab.reach(f"hash seeds above {seed - 1}", len(ids)):
            break
        with lab.open(seed, () if move else ids) as server:
            there = set(server.collected)
            ids = [t for t in ids if t in there]
            sights = lab.run([lab.job(ids, "moved" if move else "hash", **move)], server=server)
            flipped = differing(lab.table, sights[0] if sights else [], ids)
            for test in flipped:
                if len(lab.table.of(test, "hash-alone")) < 4:
                    lab.run([lab.job((test,), "hash-alone")] * 2, server=server)
            users = [t for t in lab.users(HASH_USES) if t in there]
            if move and users and lab.reach("hash seeds", len(users)):
                lab.run([lab.job(users, "hash")], server=server)
        if move:
            _one_by_one(lab, flipped, move)
    _other_processes(lab)


def _one_by_one(lab: Lab, tests: Sequence[str], move: Mapping[str, object]) -> None:
    """Which of the moves was it? Each of them alone, where another arm has not shown it yet."""
    zone = {"zone": move["zone"]}
    seeds = {k: v for k, v in move.items() if k not in zone}
    for arm, change in (("zone", zone), ("chance", seeds)):
        open_ = [t for t in tests if len({s.red for s in lab.table.of(t, arm, "alone")}) < 2]
        if open_ and lab.reach("moves one by one", len(open_)):
            lab.run([lab.job((t,), arm, **change) for t in open_])


def _other_processes(lab: Lab) -> None:
    """The seeds that made tests flip, and the first, in new processes: does the verdict follow the seed or the process?"""
    flipped = {
        t: {s.conditions.hash_seed for s in lab.table.of(t, "hash-alone")}
        for t in lab.tests
        if lab.table.of(t, "hash-alone")
    }
    seeds = sorted({seed for own in flipped.values() for seed in own})[:HASH_AGAIN]
    for seed in (0, *seeds):
        ids = [t for t, own in flipped.items() if seed in own or not seed]
        if ids and lab.reach("hash seeds in other processes", 2 * len(ids)):
            with lab.open(seed, ids) as server:
                for test in ids:
                    lab.run([lab.job((test,), "hash-again")] * 2, server=server)


def zones(lab: Lab) -> None:
    lab.progress("time zones")
    leaning = lab.users({"zone", "clock"})
    for zone in ZONES:
        open_ = [t for t in leaning if len({s.red for s in lab.table.of(t, "zone", "alone")}) < 2]
        if open_ and lab.reach("more time zones", len(open_)):
            lab.run([lab.job(open_, "zone", zone=zone)])


def clocks(lab: Lab, last: int) -> None:
    """Those points that are left, at which hour, minute, second, day and month all differ, and the uptime with them."""
    lab.progress("other times")
    tests = lab.users(CLOCK_USES)
    for point in clock_points(lab.clock, last):
        open_ = [t for t in tests if _undecided(lab, t, point)]
        if open_ and lab.reach(MOMENTS, len(open_)):
            lab.run([lab.job(open_, "clock", clock=point)])


def _undecided(lab: Lab, test: str, point: float) -> bool:
    seen = lab.table.of(test, "clock")
    return len({s.red for s in seen}) < 2 and all(s.conditions.clock != point for s in seen)


def pairs(lab: Lab) -> None:
    """Two sessions at once, each with the same test: those that write outside their TMPDIR or open ports."""
    lab.progress("two at once")
    for test in lab.tests:
        if not lab.table.writes[test] or test in lab.killers:
            continue
        if not lab.reach("two sessions at once", 4):
            return
        for _ in range(2):
            at_once(lab, test, test)


def load(lab: Lab) -> None:
    """On one core beside CPU hogs, for tests that lean on timing; the same runs at rest to compare with."""
    lab.progress("late threads, and under load")
    threaded = lab.users({"thread"})
    for seed in range(2, LATE_ROUNDS + 2):
        if threaded and lab.reach("late threads", len(threaded)):
            lab.run([lab.job(threaded, "jitter", jitter=seed)])
    tests = lab.users(TIMING_USES)
    for _ in range(LOAD_ROUNDS):
        if tests and lab.reach("runs under load", 2 * len(tests)):
            lab.run([lab.job(tests, "rest"), lab.job(tests, "load", burners=lab.load_factor)])
    writers = [t for t in tests if lab.table.writes[t] or "disk" in lab.table.uses[t]]
    for _ in range(DISK_ROUNDS):
        if writers and lab.reach("runs beside a busy disk", len(writers)):
            lab.run([lab.job(writers, "disk", disk=True)])
