"""Budget, conditions, causes, reproducers and history: tables."""

from __future__ import annotations

import shlex

import pytest

from pytest_agentflow.core.conditions import Conditions
from pytest_agentflow.core.flaky import Category, FlakyRecord, Sighting
from pytest_agentflow.core.flaky_causes import clock_kind, nearly_equal, refine, shared_causes, timing
from pytest_agentflow.core.history import PastRun, study
from pytest_agentflow.core.model import Failure, Frame
from pytest_agentflow.core.reproducer import command
from pytest_agentflow.core.triage_budget import Budget, parse_budget


@pytest.mark.parametrize(
    ("text", "budget"),
    [
        (None, Budget(per_test=40)),
        ("", Budget(per_test=40)),
        ("90", Budget(seconds=90)),
        ("90s", Budget(seconds=90)),
        ("5m", Budget(seconds=300)),
        ("2h", Budget(seconds=7200)),
        ("40x", Budget(per_test=40)),
        ("2.5x", Budget(per_test=2.5)),
    ],
)
def test_budgets_are_seconds_or_executions_per_test(text: str | None, budget: Budget) -> None:
    assert parse_budget(text) == budget


@pytest.mark.parametrize("text", ["x", "0x", "0", "-3x", "soon", "nanx", "5y"])
def test_what_is_no_budget_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="is no budget"):
        parse_budget(text)


def test_conditions_survive_a_command_line_and_speak() -> None:
    conditions = Conditions(seed=3, zone="UTC+5", burners=8)
    assert Conditions.from_json(conditions.to_json()) == conditions
    assert conditions.words() == "random seed 3, TZ=UTC+5, 8 CPU hogs"
    assert Conditions().words() == "as usual"


@pytest.mark.parametrize(
    ("kind", "message", "uses", "category"),
    [
        ("ConnectionResetError", "", (), Category.NETWORK),
        ("TimeoutError", "timed out", ("socket",), Category.NETWORK),
        ("TimeoutError", "timed out", (), Category.RANDOMNESS),
        ("OSError", "[Errno 24] Too many open files", (), Category.RESOURCE_EXHAUSTION),
        ("AssertionError", "assert 0.30000000000000004 == 0.3", (), Category.FLOAT_TOLERANCE),
        ("AssertionError", "assert 0.4 == 0.3", (), Category.RANDOMNESS),
        ("AssertionError", "assert 3 == 4", (), Category.RANDOMNESS),
    ],
)
def test_the_exception_says_what_fails_where_chance_says_when(
    kind: str, message: str, uses: tuple[str, ...], category: Category
) -> None:
    assert refine(Category.RANDOMNESS, Failure("call", kind, message), uses) == category


@pytest.mark.parametrize(
    ("message", "close"),
    [
        ("assert 13.399999999999999 == 13.4\n +  where …", True),
        ("0.30000000000000004 != 0.3", True),
        ("0.1 != 0.1000000004 within 12 places (4e-10 difference)", True),
        ("assert 2.2e-16 < 1e-17\n +  where 2.2e-16 = abs((1.5 - 1.5000000002))", True),
        ("assert False\n +  where False = isclose(0.30000000001, 0.3)", True),
        ("assert 1.0 == 1.0", False),
        ("assert 0.12 >= 0.2", False),
        ("assert 5 == 6", False),
        ("assert 1700000000.5 == 1700000001.5", False),
    ],
)
def test_numbers_that_differ_in_their_last_digits_are_float_trouble(message: str, close: bool) -> None:
    assert nearly_equal(message) is close


def test_a_projects_own_exception_stands_for_what_it_came_from() -> None:
    failure = Failure(
        "call", "RatesUnavailable", "no rates", text="RatesUnavailable ConnectionResetError OSError"
    )
    assert refine(Category.RANDOMNESS, failure, {"entropy"}) is Category.NETWORK


def test_the_kind_of_timing_follows_what_a_test_leans_on() -> None:
    assert timing({"async", "thread"}) is Category.ASYNC_TIMING
    assert timing({"thread", "sleep"}) is Category.THREAD_RACE
    assert timing({"timer"}) is Category.LOAD_SENSITIVE


def test_hours_alone_make_a_time_of_day_and_seconds_a_window() -> None:
    assert clock_kind([True, False], [True, True]) is Category.TIME_OF_DAY
    assert clock_kind([True], [True, False]) is Category.CLOCK_WINDOW


def test_set_ups_that_fail_in_one_place_are_one_cause() -> None:
    broken = Failure("setup", "ServiceError", "no answer", (Frame("app/service.py", 9, "connect"),))
    other = Failure("setup", "KeyError", "x", (Frame("tests/conftest.py", 4, "config"),))
    call = Failure("call", "ServiceError", "no answer", (Frame("app/service.py", 9, "connect"),))
    causes = shared_causes({"a": [broken], "b": [broken], "c": [other], "d": [call]})
    assert set(causes) == {"a", "b"}
    assert causes["a"] == "ServiceError in connect (app/service.py:9): no answer"


USUAL = Conditions()


def record(category: Category, conditions: Conditions = USUAL, **more: object) -> FlakyRecord:
    red = Sighting("failed", ("t/a.py::x", "t/b.py::y"), conditions)
    return FlakyRecord("t/b.py::y", category, 0.9, "why", Sighting("passed"), red, **more)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("made", "words"),
    [
        (record(Category.HASH_SEED, Conditions(hash_seed=7, seed=1)), ["PYTHONHASHSEED=7", "t/b.py::y"]),
        (record(Category.TIMEZONE, Conditions(zone="UTC-14", clock=5.0)), ["TZ=UTC-14"]),
        (record(Category.RNG_UNSEEDED, Conditions(seed=9)), ['AGENTFLOW_CONDITIONS={"seed":9}']),
        (record(Category.ORDER_VICTIM, culprits=(("t/a.py::x",),)), ["t/a.py::x", "t/b.py::y"]),
        (record(Category.NON_IDEMPOTENT), ["AGENTFLOW_REPEAT=2"]),
    ],
)
def test_a_reproducer_names_only_what_moves_the_verdict(made: FlakyRecord, words: list[str]) -> None:
    line = shlex.split(command(made))
    for word in words:
        assert word in line
    assert line[-1] == "t/b.py::y"


def run(tree: str, when: float, **verdicts: str) -> PastRun:
    return PastRun(tree, when, f"run {when}", verdicts)


def test_two_verdicts_on_one_tree_are_flaky_and_a_retry_is_an_attempt() -> None:
    past = study([run("t1", 1, a="p", b="f", c="fp"), run("t1", 2, a="f", b="f", c="p"), run("t2", 3, d="p")])
    by_name = {t.nodeid: t for t in past}
    assert by_name["a"].flaky
    assert by_name["a"].flipped_trees == ("t1",)
    assert by_name["b"].broken
    assert not by_name["b"].flaky
    assert by_name["c"].retried_green == 1
    assert by_name["c"].runs == 2
    assert by_name["c"].failures == 1
    assert [t.flaky for t in past] == [True, True, False, False]


def test_changed_code_explains_a_changed_verdict() -> None:
    assert not study([run("t1", 1, a="p"), run("t2", 2, a="f")])[0].flaky


def test_a_run_in_which_nearly_everything_failed_teaches_nothing() -> None:
    names = [f"n{k}" for k in range(10)]
    outage = PastRun("t1", 2, "outage", dict.fromkeys(names, "f"))
    past = study([PastRun("t1", 1, "fine", dict.fromkeys(names, "p")), outage])
    assert not any(t.flaky for t in past)
    assert all(t.runs == 1 for t in past)
