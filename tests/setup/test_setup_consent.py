"""Before money is spent somebody says yes, and reads how much it may be."""

from __future__ import annotations

import io

import pytest

from pytest_agentflow.errors import AgentflowError
from pytest_agentflow.settings import Settings, resolve
from pytest_agentflow.setup.consent import consented


def ask(monkeypatch: pytest.MonkeyPatch, answer: str, **options: object) -> Settings:
    monkeypatch.delenv("CI", raising=False)
    monkeypatch.setattr("sys.stdin", io.StringIO(f"{answer}\n"))
    request = {"terminal": True, "secrets": {"ANTHROPIC_API_KEY": "sk-test"}}
    return consented(request, resolve({"agent": "search,anthropic", **options}, {}, {}))  # type: ignore[arg-type]


def test_the_question_names_who_costs_and_the_limit(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert ask(monkeypatch, "y", agent_budget_usd="2").agent == "search,anthropic"
    assert "anthropic may spend money, up to $2. Go on? [y/N]" in capsys.readouterr().err
    with pytest.raises(AgentflowError, match="Nothing was started"):
        ask(monkeypatch, "n")
    assert "without a limit (--agent-budget-usd sets one)" in capsys.readouterr().err


def test_reviewers_of_a_free_agent_are_asked_for_too_and_nobody_else_is_reviewed_for_money(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    made = ask(monkeypatch, "y", agent="search", agent_reviewers="1", agent_budget_usd="1")
    assert (made.agent, made.agent_reviewers) == ("search", 1)
    assert "reviewer may spend money" in capsys.readouterr().err
    assert ask(monkeypatch, "", agent="search").agent_reviewers == 0


def test_a_plan_asks_nobody_and_needs_no_key(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    made = ask(monkeypatch, "", agent="anthropic", agent_plan=True)
    assert made.agent == "anthropic"
    assert capsys.readouterr().err == ""
