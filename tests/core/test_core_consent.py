"""Money is spent only by consent: a name and a cap, or a name and a yes; an organisation's word is above a flag's."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from pytest_agentflow.core.consent import Organisation, Situation, decide, read_organisation, strictest
from pytest_agentflow.errors import AgentflowError

FREE = Situation("auto", ("search",), frozenset())
AUTO = Situation("auto", ("search", "anthropic"), frozenset({"anthropic"}))
NAMED = replace(AUTO, asked="search,anthropic")


@pytest.mark.parametrize(
    ("situation", "agents", "ask"),
    [
        (FREE, ("search",), False),
        (replace(FREE, key_present=True, terminal=True), ("search",), False),
        (replace(AUTO, terminal=True), ("search", "anthropic"), True),
        (replace(AUTO, terminal=True, confirmed=True), ("search", "anthropic"), False),
        (replace(AUTO, terminal=True, usd=1.0), ("search", "anthropic"), True),
        (AUTO, ("search",), False),
        (replace(AUTO, terminal=True, ci=True), ("search",), False),
        (replace(AUTO, usd=1.0), ("search", "anthropic"), False),
        (replace(AUTO, tokens=1000, ci=True), ("search", "anthropic"), False),
        (replace(NAMED, terminal=True), ("search", "anthropic"), True),
        (replace(NAMED, usd=1.0), ("search", "anthropic"), False),
        (replace(NAMED, usd=1.0, ci=True), ("search", "anthropic"), False),
    ],
)
def test_who_runs_and_who_is_asked(situation: Situation, agents: tuple[str, ...], ask: bool) -> None:
    decision = decide(situation, Organisation())
    assert (decision.agents, decision.ask) == (agents, ask)


@pytest.mark.parametrize("ci", [False, True])
def test_a_named_paid_agent_without_terminal_and_cap_is_a_usage_error(ci: bool) -> None:
    with pytest.raises(AgentflowError, match="no cap was given") as caught:
        decide(replace(NAMED, ci=ci), Organisation())
    assert caught.value.exit_code == 4
    assert "--agent-budget-usd" in str(caught.value)


def test_a_key_in_the_environment_alone_is_said_to_be_no_consent() -> None:
    (note,) = decide(replace(FREE, key_present=True), Organisation()).notes
    assert "no consent" in note


def test_an_organisation_that_forbids_paid_agents_beats_flag_and_consent() -> None:
    org = Organisation(paid=False, source="/etc/agentflow/organisation.toml")
    assert decide(replace(AUTO, usd=1.0), org).agents == ("search",)
    with pytest.raises(AgentflowError, match="does not allow agent 'anthropic'"):
        decide(replace(NAMED, usd=1.0, confirmed=True), org)


def test_an_organisation_lowers_what_a_flag_asks_for_and_its_cap_counts_as_one() -> None:
    org = Organisation(max_usd=2.0, max_attempts=20, source="org.toml")
    decision = decide(replace(NAMED, usd=50.0, attempts=1000), org)
    assert (decision.usd, decision.attempts) == (2.0, 20)
    assert "lowered to 2" in decision.notes[0]
    assert decide(replace(NAMED, ci=True), org).usd == 2.0
    assert decide(replace(NAMED, usd=0.5), org).usd == 0.5


def test_only_listed_agents_may_run() -> None:
    org = Organisation(agents=("search",), source="org.toml")
    assert decide(replace(AUTO, usd=1.0), org).agents == ("search",)


def test_of_several_files_the_strictest_word_holds() -> None:
    one = Organisation(max_usd=5.0, agents=("search", "anthropic"), source="a")
    two = Organisation(paid=False, max_usd=3.0, agents=("search",), source="b")
    both = strictest([one, two])
    assert (both.paid, both.max_usd, both.agents, both.source) == (False, 3.0, ("search",), "a, b")
    assert strictest([]) == Organisation()


@pytest.mark.parametrize(
    "table", [{"max_dollars": 3}, {"max_usd": "3"}, {"max_usd": -1}, {"paid": "no"}, {"max_tokens": True}]
)
def test_a_file_with_a_mistake_is_refused(table: dict[str, Any]) -> None:
    with pytest.raises(AgentflowError, match=r"org\.toml"):
        read_organisation(table, "org.toml")
