"""The merge train's decisions."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from pytest_agentflow.core.integration import damage, first_red, partner
from pytest_agentflow.core.model import Observation, Outcome, TestResult


def observation(**outcomes: str) -> Observation:
    results = {n.replace("__", "::"): TestResult(n, Outcome(o)) for n, o in outcomes.items()}
    return Observation("t", tuple(results), tuple(results), results)


def test_a_guard_that_turns_red_or_is_not_reported_any_more_is_damage() -> None:
    before = observation(m__a="passed", m__b="passed", m__c="failed")
    after = observation(m__a="failed", m__c="passed")
    assert damage(before, after, ["m::c"]) == ("m::a", "m::b")


def test_a_target_that_is_still_red_in_the_union_is_damage() -> None:
    before = observation(m__c="failed")
    assert damage(before, observation(m__c="failed"), ["m::c"]) == ("m::c",)


def test_a_collector_target_is_flipped_when_its_module_yields_tests() -> None:
    assert damage(observation(), observation(m__a="failed"), ["m"]) == ()
    assert damage(observation(), observation(), ["m"]) == ("m",)


@given(st.integers(1, 40).flatmap(lambda n: st.tuples(st.just(n), st.integers(1, n))))
def test_bisection_finds_the_first_red_prefix_in_logarithmic_time(case: tuple[int, int]) -> None:
    count, culprit = case
    asked = []

    def is_red(n: int) -> bool:
        asked.append(n)
        return n >= culprit

    assert first_red(count, is_red) == culprit
    assert len(asked) <= count.bit_length()


def test_the_partner_of_a_culprit_is_named_when_two_clash() -> None:
    assert partner(3, lambda n: n == 1) == 1
    assert partner(3, lambda n: False) is None
