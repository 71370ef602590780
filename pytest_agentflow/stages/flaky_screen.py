"""Which tests flip when one thing at a time is moved and everything else is held still?

The cheap experiments, on the whole suite at once. A flip here is a suspicion; `flaky_diagnose` asks each suspect alone.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from pytest_agentflow.core.executions import Job
from pytest_agentflow.core.flaky_causes import CHANCE_USES, CLOCK_USES
from pytest_agentflow.core.flaky_table import Sight
from pytest_agentflow.stages.flaky_arms import (
    CLOCK_FIRST,
    CLOCK_POINTS,
    MOMENTS,
    clocks,
    hashes,
    load,
    pairs,
    zones,
)
from pytest_agentflow.stages.flaky_lab import MOST_KILLERS, Lab
from pytest_agentflow.stages.flaky_spread import spread_orders

SHUFFLES = 7
PART = 200  # tests of an order where the whole suite does not fit
ALONE, ORDERS = "each test alone", "permuted orders"  # what is not reached is said under these names
CHANCE_FIRST, CHANCE_ROUNDS = 3, 24
MOST_CHANCE = 300  # runs that show p = 0.01 with 95 % confidence
PLAIN = 20  # runs with clock and seeds by lot
BATCH = 10  # seeds that a test is run with in one process


def screen(lab: Lab) -> None:
    """Every arm in the order of what it finds per execution."""
    n = len(lab.tests)
    lab.progress("suite, as collected")
    lab.whole(lab.tests, "suite", keep_files=True)
    longest = max((d for t, d in lab.table.duration.items() if t not in lab.killers), default=1.0)
    lab.each = max(lab.each, min(60.0, 30 * longest))
    if lab.reach("a second run in the same tree, and what tests lean on", n):
        _again(lab, _probe(lab))
    lab.base.clean()
    alone(lab)
    orders(lab)
    chance(lab, 0, CHANCE_FIRST)
    clocks(lab, CLOCK_FIRST)  # ahead of the hash seeds, whose processes can take a short budget whole
    pairs(lab)
    hashes(lab)
    zones(lab)
    load(lab)
    chance(lab, CHANCE_FIRST, CHANCE_ROUNDS)
    clocks(lab, CLOCK_POINTS)


def _probe(lab: Lab) -> list[Sight]:
    """What tests lean on, in the tree that the first run left. Goes on behind a test that takes the process.

    Nothing is held still: a rebound function would hide who calls it. So what is seen here is no evidence.
    """
    left = [t for t in lab.tests if t not in lab.killers]
    seen: list[Sight] = []
    for _ in range(MOST_KILLERS):
        job = Job(
            tuple(left),
            label="probe",
            probe=True,
            keep_files=True,
            timeout=lab.timeout(len(left)),
            each=lab.each,
        )
        runs = lab.run([job]) if left else []
        seen += [s for sights in runs for s in sights]
        left = left[max(len(runs[0]) if runs else len(left), 1) :]
        if not left:
            break
    return seen


def _again(lab: Lab, second: Sequence[Sight]) -> None:
    """Those that failed in the second run only, once more in that tree with everything held still."""
    first_green = {t for t in lab.tests if lab.table.red(t, "suite") is False}
    red = [t for s in second if s.red and (t := s.order[s.position]) in first_green]
    for test in red:
        if lab.reach("a second run in the same tree", 1):
            lab.run([lab.job((test,), "again", keep_files=True)])


def alone(lab: Lab) -> None:
    """Each test that was not run alone yet, twice in one process."""
    lab.progress("alone, and twice in one process")
    for test in [t for t in lab.tests if t not in lab.killers and not lab.table.of(t, "alone")]:
        if not lab.reach(ALONE, 2):
            return
        lab.run([lab.job((test, test), "alone")])


def orders(lab: Lab) -> None:
    lab.progress("reversed and permuted")
    for order in spread_orders(lab.tests, lab.random, SHUFFLES):
        if lab.reach(ORDERS, len(order)):
            lab.whole(order, "order")


def screen_on(lab: Lab) -> Iterator[None]:
    """What the screening's share of the budget did not reach, a part at a time, as far as the rest goes.

    A suite of thousands with few suspects leaves much of it, and so do hash seeds where a process takes long to start.
    """
    for name, part in ((MOMENTS, _moments), (ALONE, alone), (ORDERS, _parts)):
        if name in lab.skipped:
            if name != ORDERS:  # parts are not all of it
                lab.skipped.remove(name)
            part(lab)
            yield


def _moments(lab: Lab) -> None:
    clocks(lab, CLOCK_POINTS)


def _parts(lab: Lab) -> None:
    lab.progress("parts of the suite, permuted")
    mixed = lab.random.sample(lab.tests, len(lab.tests))
    for first in range(0, len(mixed), PART):
        if not lab.left(PART):
            return
        lab.whole(mixed[first : first + PART], "order")


def chance(lab: Lab, first: int, last: int) -> None:
    """Other seeds for those that lean on chance and gave one verdict so far."""
    lab.progress("other seeds")
    for seed, stream in lab.seeds[first:last]:
        open_ = [t for t in lab.users(CHANCE_USES) if len(lab.verdicts_by_chance(t)) < 2]
        if open_ and lab.reach("more seeds for tests that lean on chance", len(open_)):
            lab.run([lab.job(open_, "chance", seed=seed, entropy=stream)])


def spend_the_rest(lab: Lab) -> None:
    """What the budget leaves goes to tests that lean on chance and have shown one verdict only, then to plain runs."""
    lab.progress("what is left of the budget: tests that lean on chance")
    for _ in range(MOST_CHANCE // BATCH):
        for test in [t for t in lab.users(CHANCE_USES) if len(lab.table.verdicts(t)) < 2]:
            done = len(lab.table.of(test, "chance"))
            batch = lab.seeds[done : done + BATCH]
            if not lab.left(len(batch)):
                return
            if not batch:
                continue
            repeatable = len({s.red for s in lab.table.of(test, "alone", "twice")}) < 2
            own = batch if repeatable else batch[:1]
            seeds, streams = zip(*own, strict=True)
            lab.run([lab.job((test,) * len(own), "chance", seed=seeds, entropy=streams)])
    _plainly(lab)


def _plainly(lab: Lab) -> None:
    """Runs that move clock and seeds together, for tests that lean on either: one thing at a time is no sample of both."""
    lab.progress("plain runs of tests that lean on the clock or on chance")
    for _ in range(PLAIN):
        open_ = [t for t in lab.users(CLOCK_USES | CHANCE_USES) if len(lab.table.verdicts(t)) < 2]
        if not open_ or not lab.left(len(open_)):
            return
        lab.run([lab.plain(open_, "plain")])
