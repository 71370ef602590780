"""How many runs of a test count as independent."""

from __future__ import annotations

from collections.abc import Iterable

from pytest_agentflow.core.conditions import Conditions
from pytest_agentflow.core.executions import Execution, Job, Step
from pytest_agentflow.core.flaky_table import Table
from pytest_agentflow.core.model import Outcome, TestResult


def table(uses: tuple[str, ...], conditions: Iterable[Conditions], probed: bool = True) -> Table:
    made, step = Table(), Step(TestResult("t", Outcome.PASSED))
    if probed:
        made.add(Execution(Job(("t",), probe=True, label="probe"), (Step(step.result, uses),)), 0)
    for one in conditions:
        made.add(Execution(Job(("t",), one), (step,)), one.hash_seed)
    return made


def samples(made: Table) -> int:
    return made.samples("t", made.sights["t"])


def test_every_run_counts_of_a_test_that_leans_on_nothing_held_still() -> None:
    assert samples(table(("thread",), [Conditions(clock=8.0)] * 15)) == 15


def test_runs_from_one_start_of_the_clock_are_one_run_of_a_test_that_reads_it() -> None:
    pinned, moved = [Conditions(clock=8.0)] * 14, [Conditions(clock=9.0), Conditions(clock=77.5)]
    made = table(("clock",), [*pinned, *moved])
    assert samples(made) == 3
    assert made.held("t") == ("the clock",)


def test_runs_count_only_where_everything_that_a_test_leans_on_differs() -> None:
    times = [Conditions(clock=float(n), seed=1) for n in range(10)]
    seeds = [Conditions(clock=0.0, seed=n) for n in range(1, 10)]
    both = [Conditions(clock=100.0 + n, seed=100 + n) for n in range(4)]
    assert samples(table(("clock", "random"), [*times, *seeds])) == 1
    assert samples(table(("clock", "random"), [*times, *seeds, *both])) == 5


def test_nothing_is_taken_for_varied_where_nobody_looked_what_a_test_leans_on() -> None:
    made = table((), [Conditions(clock=float(n), seed=n) for n in range(9)], probed=False)
    assert samples(made) == 1
    assert len(made.held("t")) == 3
