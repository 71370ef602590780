"""What can a plan cost at the most, and which part of that is fixed?"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pytest_agentflow.adapters import prices
from pytest_agentflow.agents import prober, registry
from pytest_agentflow.agents.anthropic import AnthropicAgent
from pytest_agentflow.agents.command import CommandAgent
from pytest_agentflow.core.questions import Bill

CONTEXT = 200_000  # tokens that one request can hold


@dataclass(frozen=True, slots=True)
class WorstCase:
    """The most that one attempt, review or probe can use. `usd` is None when no price is known."""

    name: str
    tokens: int
    usd: float | None
    why: str

    @property
    def free(self) -> bool:
        return not self.tokens and self.usd == 0

    @property
    def words(self) -> str:
        """As the plan says it."""
        if self.free:
            return f"{self.name}, {self.why}"
        return f"{self.name}, at most {money(self.usd)}, {self.tokens:,} tokens ({self.why})"


@dataclass(frozen=True, slots=True)
class Plan:
    """How often each worst case can happen, over all rounds. `reviews` counts those of one attempt."""

    units: int
    rounds: int
    retries: int
    reviews: int
    most_attempts: int
    usd: float | None  # caps of the run
    tokens: int | None


def worst_case(name: str, config: Mapping[str, Any]) -> WorstCase:
    """What one attempt of this agent can use at the most, caps aside. A call that is cut off and sent again may be billed again."""
    agent = registry.resolve(name, config)
    if not agent.paid:
        return WorstCase(name, 0, 0.0, "free")
    if isinstance(agent, CommandAgent):
        section = agent.section
        return WorstCase(name, section.max_tokens, section.max_usd or None, "as its section states")
    if isinstance(agent, AnthropicAgent):
        s = agent.settings
        price = prices.find(s.model, config.get("prices", {}))
        usd = s.max_turns * price.worst(CONTEXT - s.max_tokens, s.max_tokens) if price else None
        words = f"{s.max_turns} turns of {s.model} with a full context of {CONTEXT:,} tokens"
        return WorstCase(name, s.max_turns * CONTEXT, usd, words)
    return WorstCase(name, 0, None, "it states no worst case")


def probe_case(config: Mapping[str, Any]) -> WorstCase:
    """What one call of the probe before a fan-out can use."""
    model = AnthropicAgent("probe", config).settings.model
    price = prices.find(model, config.get("prices", {}))
    usd = price.worst(prober.PROMPT_CAP, prober.MAX_TOKENS) if price else None
    return WorstCase("probe", prober.PROMPT_CAP + prober.MAX_TOKENS, usd, "one call per unit")


def bill(
    agents: Sequence[WorstCase], reviewer: WorstCase | None, probe: WorstCase | None, plan: Plan
) -> Bill:
    """Every attempt made, each at its worst and reviewed, or the caps where they are less."""
    most = plan.retries + len(agents) - 1  # tries of one unit, as the loop bounds them
    chances = plan.rounds * plan.units
    attempts = min(chances * min(most, sum(_tries(c, plan) for c in agents)), plan.most_attempts)
    paying = [case for case in agents if not case.free]
    paid = min(chances * min(most, sum(_tries(c, plan) for c in paying)), attempts)
    dearest = max(paying, key=lambda c: (c.usd is None, c.usd or 0.0), default=None)
    parts = [(paid, dearest)] if dearest else []
    if reviewer and plan.reviews:
        parts.append(((paid or attempts) * plan.reviews, reviewer))
    if probe:
        parts.append((plan.rounds * plan.units, probe))
    tokens = sum(count * case.tokens for count, case in parts)
    dollars = [None if case.usd is None else count * case.usd for count, case in parts]
    usd = None if None in dollars else sum(d for d in dollars if d is not None)
    each = [case.words for case in agents]
    if reviewer and plan.reviews:
        each.append(f"{plan.reviews} reviews of an accepted patch, each: {reviewer.words}")
    return Bill(
        attempts, _least(tokens, plan.tokens), _capped(usd, plan.usd), _fixed(probe, plan.units), tuple(each)
    )


def _tries(case: WorstCase, plan: Plan) -> int:
    """How often one agent tries one unit in one round: the search once per input, others afresh."""
    return 1 if case.name == "search" else plan.retries


def money(usd: float | None) -> str:
    """Dollars in words; a price that nobody states is never $0."""
    return "an unknown sum" if usd is None else f"${usd:,.2f}"


def _fixed(probe: WorstCase | None, units: int) -> str:
    if probe is None:
        return "no money"
    usd = None if probe.usd is None else units * probe.usd
    return f"a probe of the model's reading, {units} calls, at most {money(usd)}, {units * probe.tokens:,} tokens"


def _least(tokens: int, cap: int | None) -> int:
    return tokens if cap is None else min(tokens, cap)


def _capped(usd: float | None, cap: float | None) -> float | None:
    if usd is None or cap is None:
        return usd if cap is None else cap
    return min(usd, cap)
