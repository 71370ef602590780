"""Before anything is spent: which agents run, under which caps, at which prices, and what is the worst case?"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from pytest_agentflow.adapters import organisation, prices
from pytest_agentflow.agents import registry
from pytest_agentflow.agents.anthropic import BASE_URL, HOSTS, KEY, AnthropicAgent, check_host
from pytest_agentflow.agents.command import CommandAgent
from pytest_agentflow.core.budget import Caps
from pytest_agentflow.core.consent import Decision, Situation, decide
from pytest_agentflow.errors import AgentflowError

PILOT = 5  # paid attempts made first…
FAN_OUT = 10  # …when more than this many are planned
REVIEWERS = 2  # of a paid agent's accepted patch, unless the user says otherwise
REVIEWER = "reviewer"


def cascade_of(asked: str, sections: Mapping[str, Mapping[str, Any]], model: str | None) -> tuple[str, ...]:
    """The agents a value of --agent stands for. `auto` is the search, then the model that the user configured."""
    if asked != "auto":
        return tuple(name.strip() for name in asked.split(",") if name.strip())
    named = [name for name in sections if name not in ("search", REVIEWER)]
    configured = "anthropic" if model or "anthropic" in sections else next(iter(named), None)
    return ("search", configured) if configured else ("search",)


def preflight(
    asked: str,
    configs: Mapping[str, Mapping[str, Any]],
    cascade: Sequence[str],
    *,
    environ: Mapping[str, str],
    terminal: bool,
    confirmed: bool = False,
    usd: float | None = None,
    tokens: int | None = None,
    attempts: int | None = None,
    secrets: Mapping[str, str] | None = None,
    reviewers: int | None = None,
    caps: Caps | None = None,
) -> Decision:
    """Resolve and check every agent of the cascade; raises AgentflowError for whatever must be settled first.

    `configs` holds each agent's section, the general options merged in, and the reviewers' as `reviewer`; `secrets`
    what the controller holds; `caps` those of units and attempts. Reviewers of free agents' patches cost money too, so they need the same consent.
    """
    agents = {name: registry.resolve(name, configs.get(name, {})) for name in cascade}
    if reviewers and not any(agent.paid for agent in agents.values()):
        agents[REVIEWER] = AnthropicAgent(REVIEWER, configs.get(REVIEWER, {}))
        cascade = (*cascade, REVIEWER)
    paid = frozenset(name for name, agent in agents.items() if agent.paid)
    situation = Situation(
        asked=asked,
        cascade=tuple(cascade),
        paid=paid,
        key_present=bool((secrets or {}).get("ANTHROPIC_API_KEY")),
        terminal=terminal,
        ci=bool(environ.get("CI")) and environ.get("CI") not in ("0", "false"),
        confirmed=confirmed,
        usd=usd,
        tokens=tokens,
        attempts=attempts,
    )
    decision = decide(situation, organisation.load(environ))
    if secrets is not None:
        decision = _usable(decision, asked, agents, secrets, environ)
    if decision.usd is not None or (caps is not None and caps.money):
        for name in decision.agents:
            _priced(name, agents[name], configs.get(name, {}))
        if reviewers != 0 and decision.paid:
            _priced(REVIEWER, AnthropicAgent(REVIEWER, configs.get(REVIEWER, {})), configs.get(REVIEWER, {}))
    return decision


def _usable(
    decision: Decision,
    asked: str,
    agents: Mapping[str, Any],
    secrets: Mapping[str, str],
    environ: Mapping[str, str],
) -> Decision:
    """A model agent needs a key and a host that may receive it: said now, not after the suite has been observed."""
    for name in decision.agents:
        agent = agents[name]
        if not isinstance(agent, AnthropicAgent) or agent.config.get("client_factory"):
            continue
        check_host(str(agent.config.get("base_url") or BASE_URL), environ.get(HOSTS, ""))
        if secrets.get(KEY):
            continue
        if asked != "auto":
            raise AgentflowError(
                f"agent {name!r} has no key: {KEY} is not set",
                "set it in the environment of pytest, or use --agent search, which needs none",
            )
        left = tuple(n for n in decision.agents if n != name)
        note = f"{name} is left out: {KEY} is not set"
        return replace(decision, agents=left, ask=False, paid=(), notes=(*decision.notes, note))
    return decision


def _priced(name: str, agent: Any, config: Mapping[str, Any]) -> None:
    """Under a dollar cap every paid call must have a price, or a reservation that stands for it."""
    if isinstance(agent, AnthropicAgent):
        prices.require(agent.settings.model, config.get("prices", {}))
    elif isinstance(agent, CommandAgent) and agent.paid and not agent.section.max_usd:
        raise AgentflowError(
            f"agent {name!r} states no price, so a cap in dollars cannot hold",
            f"add max_usd = … (the most one attempt may cost) to [tool.agentflow.agents.{name}]",
        )
