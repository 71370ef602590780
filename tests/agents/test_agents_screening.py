"""How a search asks about its candidates: how many at once, and which tests in which order."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest
from lean import lent

from pytest_agentflow.adapters.sessions import RunSpec
from pytest_agentflow.adapters.warm import WarmRunner, steady
from pytest_agentflow.agents.search.edits import Edit
from pytest_agentflow.agents.search.screening import LEAST_BATCH, Screening, Trial

TARGET = "test_calc.py::test_other"
GUARD = "test_calc.py::test_same"


def warm(runner: WarmRunner, directory: Path, tests: str, *ids: str) -> None:
    """Start it on a project whose `value()` is 0."""
    tree = directory / "tree"
    tree.mkdir()
    (tree / "calc.py").write_text("def value():\n    return 0\n")
    (tree / "test_calc.py").write_text("from calc import value\n" + tests)
    spec = RunSpec(python=sys.executable, import_roots=(".",), env={"PATH": os.environ["PATH"]})
    runner.start(lent(spec), tree, ids, directory / "scratch")


def returning(number: int) -> Trial:
    edit = Edit("calc.py", 24, 25, str(number), "constant", 2)
    return Trial((edit,), float(number), {"calc.py": f"def value():\n    return {number}\n".encode()}, number)


def test_a_batch_full_of_promising_candidates_is_followed_up_two_at_a_time(tmp_path: Path) -> None:
    tests = (
        "\n\ndef test_other():\n    assert value() != 0\n\n\ndef test_same():\n    assert value() in (0, 7)\n"
    )
    with WarmRunner() as runner:
        warm(runner, tmp_path, tests, TARGET, GUARD)
        failed = steady(runner.judge({}, [TARGET]).messages[TARGET])
        screening = Screening(runner, (TARGET,), (GUARD,), {TARGET: 0.001}, probes=[(TARGET, failed)])
        screening.tried = 100  # batches are small at first, and this one shall be large
        for number in range(1, 25):
            screening.offer(returning(number))
        screening.flush()
        most = 0
        while screening.busy:
            screening.collect()
            most = max(most, runner.under_way)
    assert [t.edits[0].text for t in screening.plausible] == ["7"]
    assert most <= screening.parallel


@pytest.mark.parametrize(
    ("seconds", "typical", "alone", "beside"),
    [
        (0.0005, 0.0005, 0.02, 0.006),  # next to nothing: the least, which is less where no fork is paid for
        (0.002, 0.001, 0.02, 0.012),
        (0.002, 0.01, 0.05, 0.05),  # the target may have stopped long before its end
        (0.002, 1.0, 0.1, 0.1),
        (0.5, 0.001, 3.0, 3.0),
        (60.0, 0.001, 20.0, 20.0),
    ],
)
def test_a_candidate_gets_several_times_what_the_test_took(
    seconds: float, typical: float, alone: float, beside: float
) -> None:
    screening = Screening(WarmRunner(), (TARGET,), (), {TARGET: seconds}, typical=typical)
    assert screening.limits([TARGET]).default == pytest.approx(alone)
    assert screening.limits([TARGET], least=LEAST_BATCH).default == pytest.approx(beside)
    assert screening.limits([TARGET], 10.0).default == pytest.approx(min(20.0, 10 * alone))


def test_slow_targets_wait_until_the_quick_ones_are_green() -> None:
    seconds = {"quick": 0.01, "other": 0.02, "slow": 0.3}
    limits = Screening(WarmRunner(), ("quick", "other", "slow"), (), seconds).limits(["quick"])
    assert (limits.keep_going, limits.if_green) == ({"quick", "other"}, {"slow"})


def test_guards_that_share_state_are_asked_in_the_order_of_the_suite(tmp_path: Path) -> None:
    """The second one leaves something behind on which the first one fails; both refused a candidate before, the first one first."""
    tests = (
        "\nSEEN = []\n\n\ndef test_other():\n    assert value() != 0\n\n\ndef test_first():\n    assert not SEEN\n"
        "    assert value() != 1\n\n\ndef test_second():\n    SEEN.append(1)\n    assert value() != 2\n"
    )
    guards = ("test_calc.py::test_first", "test_calc.py::test_second")
    with WarmRunner() as runner:
        warm(runner, tmp_path, tests, TARGET, *guards)
        screening = Screening(runner, (TARGET,), guards, {TARGET: 0.001})
        for number in (1, 2, 7):
            screening.offer(returning(number))
            screening.drain()
    assert [t.edits[0].text for t in screening.plausible] == ["7"]
