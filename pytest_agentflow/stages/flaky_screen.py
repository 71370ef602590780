"""Which tests flip when one thing at a time is moved and everything else is held still?

The cheap experiments, on the whole suite at once. A flip here is a suspicion; `flaky_diagnose` asks each suspect alone.
"""

from __future__ import annotations

from pytest_agentflow.core.executions import Job
from pytest_agentflow.core.flaky_causes import CHANCE_USES
from pytest_agentflow.stages.flaky_arms import CLOCK_FIRST, CLOCK_POINTS, clocks, hashes, load, pairs, zones
from pytest_agentflow.stages.flaky_lab import MOST_KILLERS, Lab
from pytest_agentflow.stages.flaky_spread import spread_orders, spread_seeds, spread_streams

SHUFFLES = 7
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
    alone(lab)
    orders(lab)
    chance(lab, 3)
    pairs(lab)
    zones(lab)
    clocks(lab, 0, CLOCK_FIRST)
    load(lab)
    hashes(lab)
    chance(lab, CHANCE_ROUNDS)
    clocks(lab, CLOCK_FIRST, CLOCK_POINTS)


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


def chance(lab: Lab, rounds: int) -> None:
    """Other seeds; those whose first draws are spread evenly over their range, the ends included."""
    lab.progress("other seeds")
    if rounds <= 3:
        everything = [t for t in lab.tests if t not in lab.killers]
        if lab.reach("other seeds", len(everything)):
            lab.run([lab.job(everything, "chance", seed=1001, entropy=1001)])
    tests = lab.users(CHANCE_USES)
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
            for t in lab.users(CHANCE_USES)
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
