"""Which tests flip when one thing at a time is moved and everything else is held still?

The cheap experiments, on the whole suite at once. A flip here is a suspicion; `flaky_diagnose` asks each suspect alone.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence

from pytest_agentflow.core.executions import Job
from pytest_agentflow.core.flaky_causes import CHANCE_USES, TIMING_USES
from pytest_agentflow.core.flaky_table import differing
from pytest_agentflow.stages.flaky_lab import MOST_KILLERS, Lab

SHUFFLES = 7
HASH_ALL, HASH_USERS = 2, 16
ZONES_ALL = (
    "UTC-14",
    "UTC+12",
)  # POSIX: the sign is the other way round, and names have three letters at least
ZONES_USERS = ("UTC-9", "UTC+7", "UTC-5:30", "UTC-2", "UTC+3", "CET-1CEST,M3.5.0,M10.5.0/3")
CLOCK_POINTS = 36
LOAD_ROUNDS = 3
LATE_ROUNDS = 5
CHANCE_ROUNDS = 24
MOST_CHANCE = 300  # runs that show p = 0.01 with 95 % confidence


def screen(lab: Lab) -> None:
    """Every arm in the order of what it finds per execution."""
    n = len(lab.tests)
    lab.progress("suite, as collected")
    lab.whole(lab.tests, "suite", keep_files=True)
    lab.each = max(10.0, min(60.0, 30 * max(lab.table.duration.values(), default=1.0)))
    if lab.reach("a second run in the same tree", n):
        lab.whole(lab.tests, "again")
    lab.base.clean()
    if lab.reach("what tests lean on", n):
        _probe(lab)
        _share_uses(lab)
    alone(lab)
    orders(lab)
    chance(lab, users(lab, CHANCE_USES), 3)
    hashes(lab)
    zones(lab)
    clocks(lab)
    pairs(lab)
    load(lab)
    chance(lab, users(lab, CHANCE_USES), CHANCE_ROUNDS)


def users(lab: Lab, kinds: set[str]) -> list[str]:
    """Tests seen leaning on any of these, and not yet seen with both verdicts there."""
    return [t for t in lab.tests if lab.table.uses[t] & kinds and t not in lab.killers]


def _probe(lab: Lab) -> None:
    """Nothing held still: a rebound function would hide who calls it. Goes on behind a test that takes the process."""
    left = [t for t in lab.tests if t not in lab.killers]
    for _ in range(MOST_KILLERS):
        job = Job(tuple(left), label="probe", probe=True, timeout=lab.timeout(len(left)), each=lab.each)
        runs = lab.run([job]) if left else []
        done = len(runs[0]) if runs else len(left)
        left = left[max(done, 1) :]
        if not left:
            return


def _share_uses(lab: Lab) -> None:
    """A session fixture runs in the first test that asks for it; all that ask for it lean on what it leans on."""
    by_fixture: dict[str, set[str]] = {}
    for test, names in lab.base.shared.items():
        for name in names:
            by_fixture.setdefault(name, set()).update(lab.table.uses[test])
    for test, names in lab.base.shared.items():
        for name in names:
            lab.table.uses[test] |= by_fixture[name]


def alone(lab: Lab) -> None:
    """Each test alone, twice in one process."""
    lab.progress("alone, and twice in one process")
    for test in [t for t in lab.tests if t not in lab.killers]:
        if not lab.reach("each test alone", 2):
            return
        lab.run([lab.job((test, test), "alone")])


def orders(lab: Lab) -> None:
    lab.progress("reversed and permuted")
    for order in spread_orders(lab.tests, lab.random, SHUFFLES):
        if lab.reach("permuted orders", len(order)):
            lab.whole(order, "order")


def spread_orders(tests: Sequence[str], chance: random.Random, n: int) -> Iterator[tuple[str, ...]]:
    """The reverse, then n orders in which every test comes among the last 1/n once: after nearly everything else."""
    yield tuple(reversed(tests))
    mixed = chance.sample(tests, len(tests))
    for k in range(n):
        last = mixed[k::n]
        others = [t for t in mixed if t not in set(last)]
        yield (*chance.sample(others, len(others)), *chance.sample(last, len(last)))


def chance(lab: Lab, tests: Sequence[str], rounds: int) -> None:
    """Other seeds; those whose first draws are spread evenly over their range, the ends included."""
    lab.progress("other seeds")
    if rounds <= 3:
        everything = [t for t in lab.tests if t not in lab.killers]
        if lab.reach("other seeds", len(everything)):
            lab.run([lab.job(everything, "chance", seed=1001, entropy=1001)])
    seeds = list(spread_seeds(rounds, lab.random.randrange(1 << 30)))
    streams = list(spread_streams(rounds, lab.random.randrange(1 << 30)))
    for seed, stream in zip(seeds, streams, strict=True):
        open_ = [t for t in tests if len({s.red for s in lab.table.of(t, "chance", "suite")}) < 2]
        if open_ and lab.reach("more seeds for tests that lean on chance", len(open_)):
            lab.run([lab.job(open_, "chance", seed=seed, entropy=stream)])


def spend_the_rest(lab: Lab) -> None:
    """What the budget leaves goes to tests that lean on chance or timing and have shown one verdict only."""
    lab.progress("what is left of the budget: tests that lean on chance")
    for _ in range(MOST_CHANCE // 10):
        undecided = [
            t
            for t in users(lab, CHANCE_USES)
            if len(lab.table.verdicts(t)) < 2 and len(lab.table.of(t, "chance")) < MOST_CHANCE
        ]
        room = [t for t in undecided if lab.left(10)]
        if not room:
            return
        for test in room:
            if not lab.left(10):
                return
            seeds = tuple(lab.random.randrange(1 << 31) for _ in range(10))
            repeatable = len({s.red for s in lab.table.of(test, "alone", "twice")}) < 2
            ids = (test,) * 10 if repeatable else (test,)
            lab.run([lab.job(ids, "chance", seed=seeds[: len(ids)], entropy=seeds[: len(ids)])])


def hashes(lab: Lab) -> None:
    """One process per hash seed; a flip is asked alone there and then, while that process lives."""
    lab.progress("hash seeds")
    for seed in range(1, HASH_USERS + 1):
        ids = [t for t in lab.tests if t not in lab.killers] if seed <= HASH_ALL else users(lab, {"set"})
        open_ = [t for t in ids if not lab.table.of(t, "hash-alone")]
        if not open_ or not lab.reach(f"hash seeds above {seed - 1}", len(open_)):
            break
        with lab.open(seed, open_ if seed > HASH_ALL else ()) as server:
            sights = lab.run([lab.job(open_, "hash")], server=server)
            flipped = differing(lab.table, sights[0] if sights else [], open_)
            for test in flipped:
                lab.run([lab.job((test,), "hash-alone")] * 2, server=server)


def zones(lab: Lab) -> None:
    lab.progress("time zones")
    everything = [t for t in lab.tests if t not in lab.killers]
    for zone in ZONES_ALL:
        if lab.reach("time zones", len(everything)):
            lab.run([lab.job(everything, "zone", zone=zone)])
    leaning = users(lab, {"zone", "clock"})
    for zone in ZONES_USERS:
        if leaning and lab.reach("more time zones", len(leaning)):
            lab.run([lab.job(leaning, "zone", zone=zone)])


def clocks(lab: Lab) -> None:
    """Points at which hour, minute, second, day and month all differ."""
    lab.progress("other times")
    tests = users(lab, {"clock", "zone"})
    for point in clock_points(lab.clock, CLOCK_POINTS):
        open_ = [t for t in tests if len({s.red for s in lab.table.of(t, "clock")}) < 2]
        if open_ and lab.reach("other times of day and year", len(open_)):
            lab.run([lab.job(open_, "clock", clock=point)])


def clock_points(start: float, n: int) -> Iterator[float]:
    """Golden-ratio steps through the second, the minute, the day and the year: each evenly covered by any run of points."""
    ratio = 0.6180339887498949
    for k in range(1, n + 1):
        day = int((k * ratio % 1) * 365)
        hour = int(((k * ratio * 7) % 1) * 24)
        minute = int(((k * ratio * 11) % 1) * 60)
        second = ((k * ratio * 5) % 1) * 60
        yield start - start % 86400 + day * 86400 + hour * 3600 + minute * 60 + second


def pairs(lab: Lab) -> None:
    """Two sessions at once, each with the same test: those that write outside their TMPDIR or open ports."""
    lab.progress("two at once")
    for test in lab.tests:
        if not lab.table.writes[test] or test in lab.killers:
            continue
        if not lab.reach("two sessions at once", 4):
            return
        for _ in range(2):
            lab.run([lab.job((test,), "pair")] * 2, width=2)


def load(lab: Lab) -> None:
    """On one core beside CPU hogs, for tests that lean on timing; the same runs at rest to compare with."""
    lab.progress("late threads, and under load")
    threaded = users(lab, {"thread"})
    for seed in range(1, LATE_ROUNDS + 1):
        if threaded and lab.reach("late threads", len(threaded)):
            lab.run([lab.job(threaded, "jitter", jitter=seed)])
    tests = users(lab, TIMING_USES)
    for _ in range(LOAD_ROUNDS):
        if tests and lab.reach("runs under load", 2 * len(tests)):
            lab.run([lab.job(tests, "rest"), lab.job(tests, "load", burners=lab.load_factor)])


def spread_seeds(n: int, start: int) -> Iterator[int]:
    """Seeds of `random` whose first draw falls into each of n equal parts of its range, one per part, ends first."""
    return _spread(n, start, lambda seed: random.Random(seed).getrandbits(32) / 2**32)


def spread_streams(n: int, start: int) -> Iterator[int]:
    """The same for entropy streams, by their first bytes."""
    return _spread(
        n, start, lambda seed: int.from_bytes(random.Random(f"entropy {seed}").randbytes(4), "big") / 2**32
    )


def _spread(n: int, start: int, draw) -> Iterator[int]:  # type: ignore[no-untyped-def]
    parts = 4 * n  # only the n parts nearest to the ends and an even choice of the rest are used
    wanted = sorted(range(parts), key=lambda k: (min(k, parts - 1 - k) >= 4, k * 0.6180339887498949 % 1))[:n]
    found: dict[int, int] = {}
    seed = start
    while len(found) < n:
        part = int(draw(seed) * parts)
        if part in wanted:
            found.setdefault(part, seed)
        seed += 1
    return iter([found[k] for k in wanted])
