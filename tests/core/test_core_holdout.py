"""What is kept from agents, and from the edits by which localisation looks for the fault."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from pytest_agentflow.core.holdout import askable, split

IDS = st.lists(st.text("abc", min_size=1, max_size=4), unique=True, max_size=20)


@given(IDS.filter(bool), IDS, st.floats(0, 0.9), st.integers(0, 5))
def test_visible_choosing_and_judging_tests_are_disjoint_and_something_is_always_visible(
    targets: list[str], neighbours: list[str], holdout: float, seed: int
) -> None:
    near = [n for n in neighbours if n not in targets]
    parts = split(targets, near, holdout, seed)
    assert parts.visible
    assert not set(parts.visible) & {*parts.choose, *parts.judge}
    assert not set(parts.choose) & set(parts.judge)
    assert set(targets) <= {*parts.visible, *parts.choose, *parts.judge}


def test_a_single_target_is_never_hidden() -> None:
    assert split(["only"], [], 0.9, 0).visible == ("only",)


@given(IDS.filter(bool), st.floats(0, 0.9), st.integers(0, 5))
def test_asking_some_targets_first_takes_none_away_from_what_is_held_out(
    targets: list[str], holdout: float, seed: int
) -> None:
    asked = askable(targets, holdout, seed)
    assert asked
    assert split(targets, [], holdout, seed, asked) == split(targets, [], holdout, seed)


@given(IDS.filter(bool), st.floats(0, 0.9), st.integers(0, 5), st.data())
def test_a_target_that_was_asked_is_never_held_out(
    targets: list[str], holdout: float, seed: int, data: st.DataObject
) -> None:
    asked = data.draw(st.sets(st.sampled_from(targets)))
    assert asked <= set(split(targets, [], holdout, seed, asked).visible)
