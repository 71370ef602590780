"""Knobs: where they come from, and what is refused."""

from __future__ import annotations

import pytest

from pytest_agentflow.errors import AgentflowError
from pytest_agentflow.settings import Settings, frozen_differences, resolve, split_arguments


def test_the_command_line_wins_over_ini_over_pyproject_over_default() -> None:
    made = resolve(
        {"agent_rounds": "2"}, {"agent_rounds": "3", "agent_retries": "7"}, {"rounds": 4, "lanes": 5}
    )
    assert (made.agent_rounds, made.agent_retries, made.agent_lanes, made.agent_holdout) == (2, 7, 5, 0.25)


@pytest.mark.parametrize(
    ("ours", "table", "words"),
    [
        ({"agent_rounds": "many"}, {}, "'many' is not a number"),
        ({"agent_holdout": "2"}, {}, "out of range"),
        ({"agent_deadline": "soon"}, {}, "no duration"),
        ({"agent_apply": "there"}, {}, "none of tree, branch, none"),
        ({}, {"retires": 3}, "Did you mean 'retries'"),
        ({}, {"agent": {"anthropic": {}}}, "Did you mean 'agents'"),
    ],
)
def test_a_bad_value_names_the_place_and_the_remedy(ours: dict, table: dict, words: str) -> None:
    with pytest.raises(AgentflowError, match=words) as raised:
        resolve(ours, {}, table)
    assert raised.value.exit_code == 4


@pytest.mark.parametrize(
    ("argv", "rest", "ours"),
    [
        (["--agent-fix", "tests", "-k", "x"], ["tests", "-k", "x"], {"agent_fix": True}),
        (["--flaky-triage", "tests/"], ["tests/"], {"flaky_triage": ""}),
        (["--flaky-triage", "90s", "tests/"], ["tests/"], {"flaky_triage": "90s"}),
        (["--flaky-triage=40x"], [], {"flaky_triage": "40x"}),
        (["--agent-resume", "tests"], ["tests"], {"agent_resume": ""}),
        (["--agent-resume", "20260101-101010-ab12"], [], {"agent_resume": "20260101-101010-ab12"}),
        (["--agent-scope", "a", "--agent-scope=b"], [], {"agent_scope": ["a", "b"]}),
        (["--agent-fix", "--", "--agent-lanes"], ["--", "--agent-lanes"], {"agent_fix": True}),
    ],
)
def test_our_options_are_separated_and_optional_values_never_swallow_the_selection(
    argv: list, rest: list, ours: dict
) -> None:
    assert split_arguments(argv) == (rest, ours)


def test_an_option_without_its_value_is_a_clear_error() -> None:
    with pytest.raises(AgentflowError, match="--agent-lanes needs a value"):
        split_arguments(["--agent-lanes"])


def test_a_resumed_run_may_raise_budgets_deadline_and_lanes_and_nothing_else() -> None:
    old = resolve({}, {}, {})
    assert list(frozen_differences(old, {"agent_budget_usd": 5.0, "agent_lanes": 3, "agent_rounds": 9})) == [
        "agent_rounds"
    ]


def test_settings_survive_json() -> None:
    made = resolve({"agent_scope": ["a"]}, {}, {"agents": {"x": {"argv": ["y"]}}})
    again = Settings.from_json(made.to_json())
    assert dict(again) == dict(made)
    assert again.sections == made.sections
