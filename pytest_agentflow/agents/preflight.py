"""Before anything is spent: which agents run, under which caps, at which prices, and what is the worst case?"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from pytest_agentflow.adapters import organisation, prices
from pytest_agentflow.agents import registry
from pytest_agentflow.agents.anthropic import BASE_URL, HOSTS, KEY, AnthropicAgent, check_host
from pytest_agentflow.agents.command import CommandAgent
from pytest_agentflow.core.consent import Decision, Situation, decide
from pytest_agentflow.errors import AgentflowError

PILOT = 5  # paid attempts made first…
FAN_OUT = 10  # …when more than this many are planned
CONTEXT = 200_000  # tokens that one request can hold


@dataclass(frozen=True, slots=True)
class WorstCase:
    """The most that one attempt can use. `usd` is None when no price is known."""

    agent: str
    tokens: int
    usd: float | None
    why: str


def cascade_of(asked: str, sections: Mapping[str, Mapping[str, Any]], model: str | None) -> tuple[str, ...]:
    """The agents a value of --agent stands for. `auto` is the search, then the model that the user configured."""
    if asked != "auto":
        return tuple(name.strip() for name in asked.split(",") if name.strip())
    configured = "anthropic" if model or "anthropic" in sections else next(iter(sections), None)
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
) -> Decision:
    """Resolve and check every agent of the cascade; raises AgentflowError for whatever must be settled first.

    `configs` holds each agent's section, the general options merged in; `secrets` what the controller holds.
    """
    agents = {name: registry.resolve(name, configs.get(name, {})) for name in cascade}
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
    if decision.usd is not None:
        for name in decision.agents:
            _priced(name, agents[name], configs.get(name, {}))
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
        return replace(
            decision, agents=left, ask=False, notes=(*decision.notes, f"{name} is left out: {KEY} is not set")
        )
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


def worst_case(name: str, config: Mapping[str, Any]) -> WorstCase:
    """What one attempt of this agent can use at the most, caps aside."""
    agent = registry.resolve(name, config)
    if not agent.paid:
        return WorstCase(name, 0, 0.0, "free")
    if isinstance(agent, CommandAgent):
        section = agent.section
        return WorstCase(name, section.max_tokens, section.max_usd or None, "as stated in its section")
    if isinstance(agent, AnthropicAgent):
        s = agent.settings
        price = prices.find(s.model, config.get("prices", {}))
        usd = s.max_turns * price.worst(CONTEXT - s.max_tokens, s.max_tokens) if price else None
        return WorstCase(
            name, s.max_turns * CONTEXT, usd, f"{s.max_turns} turns with a full context of {CONTEXT:,} tokens"
        )
    return WorstCase(name, 0, None, "the agent states no worst case")


def bound(
    cases: Sequence[WorstCase], attempts: int, usd: float | None, tokens: int | None
) -> tuple[int, float | None]:
    """Worst-case tokens and dollars of a plan: every attempt at its worst, or the cap where that is less."""
    most_tokens = attempts * max((c.tokens for c in cases), default=0)
    dollars = [c.usd for c in cases]
    most_usd = (
        None if any(d is None for d in dollars) else attempts * max((d or 0.0 for d in dollars), default=0.0)
    )
    if usd is not None:
        most_usd = usd if most_usd is None else min(usd, most_usd)
    return min(most_tokens, tokens) if tokens is not None else most_tokens, most_usd
