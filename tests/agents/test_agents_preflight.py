"""Before a run starts: prices are known where dollars are capped, and the worst case is a number."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from pytest_agentflow.adapters import organisation, prices
from pytest_agentflow.agents import registry
from pytest_agentflow.agents.costs import Plan, bill, probe_case, worst_case
from pytest_agentflow.agents.preflight import cascade_of, preflight
from pytest_agentflow.core.model import Spend
from pytest_agentflow.errors import AgentflowError

CODEX = {"argv": ["codex", "exec", "-"], "env": ["OPENAI_API_KEY"]}


def check(asked: str, configs: dict[str, Any], **given: Any) -> Any:
    cascade = cascade_of(asked, configs, None)
    return preflight(asked, configs, cascade, environ=given.pop("environ", {}), terminal=False, **given)


def test_auto_is_the_search_then_the_configured_model() -> None:
    assert cascade_of("auto", {}, None) == ("search",)
    assert cascade_of("auto", {}, "claude-opus-5-5") == ("search", "anthropic")
    assert cascade_of("auto", {"codex": CODEX}, None) == ("search", "codex")
    assert cascade_of("auto", {"reviewer": {}, "search": {}}, None) == ("search",)
    assert cascade_of("codex, anthropic", {}, None) == ("codex", "anthropic")


def test_an_unknown_price_under_a_dollar_cap_refuses_to_start() -> None:
    with pytest.raises(AgentflowError, match="no price is known for model 'house-model-1'"):
        check("anthropic", {"anthropic": {"model": "house-model-1"}}, usd=1.0)
    assert check("anthropic", {"anthropic": {"model": "house-model-1"}}, tokens=1000).agents == ("anthropic",)


def test_a_price_in_the_configuration_is_enough() -> None:
    config = {"model": "house-model-1", "prices": {"house-model-1": {"input": 1.0, "output": 4.0}}}
    assert check("anthropic", {"anthropic": config}, usd=1.0).usd == 1.0


def test_a_command_agent_under_a_dollar_cap_must_state_its_most() -> None:
    with pytest.raises(AgentflowError, match="max_usd"):
        check("codex", {"codex": CODEX}, usd=1.0)
    assert check("codex", {"codex": {**CODEX, "max_usd": 0.5}}, usd=1.0).agents == ("codex",)


def test_ci_is_known_by_its_variable() -> None:
    with pytest.raises(AgentflowError, match="no cap was given"):
        check("anthropic", {}, environ={"CI": "true"})


def test_the_organisations_file_is_found_through_the_environment(tmp_path: Path) -> None:
    file = tmp_path / "org.toml"
    file.write_text("paid = false\n")
    with pytest.raises(AgentflowError, match="does not allow"):
        check("anthropic", {}, usd=1.0, environ={organisation.VARIABLE: str(file)})
    with pytest.raises(AgentflowError, match="cannot be read"):
        check("search", {}, environ={organisation.VARIABLE: str(tmp_path / "missing.toml")})


def plan(**given: Any) -> Plan:
    usual = {
        "units": 3,
        "rounds": 1,
        "retries": 2,
        "reviews": 0,
        "most_attempts": 1000,
        "usd": None,
        "tokens": None,
    }
    return Plan(**{**usual, **given})


def test_the_worst_case_counts_every_retry_review_and_probe_and_is_bounded_by_the_cap() -> None:
    model = worst_case("anthropic", {"max_turns": 10, "max_tokens": 10_000})
    assert model.tokens == 2_000_000
    assert model.usd == pytest.approx(10 * (190_000 * 2.5e-6 + 10_000 * 10e-6))
    cases = [worst_case("search", {}), model]
    plain = bill(cases, None, None, plan())
    assert (plain.attempts, plain.tokens) == (3 * 3, 3 * 2 * model.tokens)
    assert plain.usd == pytest.approx(6 * (model.usd or 0))
    assert plain.fixed == "no money"
    probe = probe_case({})
    whole = bill(cases, model, probe, plan(rounds=2, reviews=2))
    assert whole.usd == pytest.approx(12 * 3 * (model.usd or 0) + 6 * (probe.usd or 0))
    assert "3 calls" in whole.fixed
    assert any("2 reviews" in words for words in whole.each)
    capped = bill(cases, model, probe, plan(usd=1.0, tokens=500_000, most_attempts=4))
    assert (capped.attempts, capped.tokens, capped.usd) == (4, 500_000, 1.0)


def test_the_search_alone_tries_each_unit_once_for_nothing() -> None:
    made = bill([worst_case("search", {})], None, None, plan())
    assert (made.attempts, made.tokens, made.usd, made.each) == (3, 0, 0.0, ("search, free",))


def test_a_price_that_nobody_states_is_unknown_and_never_nothing() -> None:
    house = worst_case("anthropic", {"model": "house-model-1"})
    made = bill([house], None, None, plan())
    assert made.usd is None
    assert "an unknown sum" in made.each[0]


def test_reviewers_of_a_free_agents_patches_need_consent_and_a_price_like_a_paid_agent() -> None:
    with pytest.raises(AgentflowError, match="'reviewer' costs money"):
        check("search", {}, reviewers=1)
    assert check("auto", {}, reviewers=1).paid == ()
    assert check("search", {}, reviewers=1, usd=1.0).paid == ("reviewer",)
    with pytest.raises(AgentflowError, match="no price is known for model 'house-model-1'"):
        check("anthropic", {"reviewer": {"model": "house-model-1"}}, usd=1.0)


def test_prices_know_cache_rates_and_tiers() -> None:
    sonnet = prices.require("claude-sonnet-5-5", {})
    million = 1_000_000
    assert sonnet.cost(Spend(input_tokens=million)) == pytest.approx(2.0)
    assert sonnet.cost(Spend(cache_read_tokens=million)) == pytest.approx(0.1)
    assert sonnet.cost(Spend(cache_write_tokens=million)) == pytest.approx(2.5)
    assert sonnet.worst(million, 0) == pytest.approx(2.5)
    haiku = prices.require("claude-haiku-5-5", {})
    assert haiku.cost(Spend(input_tokens=100_000)) == pytest.approx(0.01)
    assert haiku.cost(Spend(input_tokens=120_000)) == pytest.approx(0.06)


@pytest.mark.parametrize(
    "row",
    [{"input": 1.0}, {"input": -1, "output": 2}, {"input": 0, "output": 0}, {"input": "x", "output": 1}],
)
def test_a_price_row_with_a_mistake_is_refused(row: dict[str, Any]) -> None:
    with pytest.raises(AgentflowError, match="m1"):
        prices.find("m1", {"m1": row})


def test_the_registry_knows_built_ins_sections_and_installed_plugins_only() -> None:
    assert registry.resolve("scripted", {}).name == "scripted"
    assert registry.resolve("codex", CODEX).paid
    with pytest.raises(AgentflowError, match="unknown agent 'nobody'"):
        registry.resolve("nobody", {})
    with pytest.raises(AgentflowError, match="belongs to no installed package"):
        registry.resolve("conftest:Agent", {})
    with pytest.raises(AgentflowError, match="cannot load"):
        registry.resolve("pytest_agentflow.agents.scripted:Nothing", {})
    assert registry.resolve("pytest_agentflow.agents.scripted:ScriptedAgent", {}).paid is False


def test_the_credentials_of_command_agents_are_collected_by_name() -> None:
    assert registry.secret_names({"codex": CODEX}) == {"ANTHROPIC_API_KEY", "OPENAI_API_KEY"}


def test_a_missing_key_is_said_before_the_suite_runs() -> None:
    with pytest.raises(AgentflowError, match="ANTHROPIC_API_KEY is not set"):
        check("anthropic", {}, usd=1.0, secrets={})
    decision = check("auto", {"anthropic": {}}, usd=1.0, secrets={})
    assert decision.agents == ("search",)
    assert "left out" in decision.notes[-1]


def test_a_host_that_a_repository_chose_is_refused_before_the_suite_runs() -> None:
    config = {"anthropic": {"base_url": "https://models.example.net"}}
    with pytest.raises(AgentflowError, match=r"models\.example\.net"):
        check("anthropic", config, usd=1.0, secrets={"ANTHROPIC_API_KEY": "sk-ant-fake-1"})
