"""What does a model cost? List prices from genai-prices, a table in the configuration first; unknown is None, never $0."""

from __future__ import annotations

import importlib.metadata
from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

from pytest_agentflow.core.model import Spend
from pytest_agentflow.errors import AgentflowError

MILLION = 1_000_000
KEYS = ("input", "output", "cache_read", "cache_write")


@dataclass(frozen=True, slots=True)
class Price:
    """Dollars for a spend; `row` is what the journal keeps beside each charge."""

    model: str
    source: str
    row: Mapping[str, Any] = field(default_factory=dict)
    _listed: Any = None  # genai-prices' own price object: it knows tiers

    def cost(self, spend: Spend) -> float:
        """What this use costs."""
        if self._listed is not None:
            return _listed_cost(self._listed, spend)
        dollars = (
            self.row["input"] * spend.input_tokens
            + self.row["output"] * spend.output_tokens
            + self.row["cache_read"] * spend.cache_read_tokens
            + self.row["cache_write"] * spend.cache_write_tokens
        )
        return float(dollars) / MILLION

    def worst(self, prompt_tokens: int, output_tokens: int) -> float:
        """The most that a call can cost: every prompt token at the dearest of its rates, every output token used."""
        ways = ("input_tokens", "cache_write_tokens", "cache_read_tokens")
        return max(self.cost(Spend(output_tokens=output_tokens, **{way: prompt_tokens})) for way in ways)


def find(model: str, overrides: Mapping[str, Mapping[str, Any]]) -> Price | None:
    """The price of a model, or None when nobody states one. A listed price of nothing counts as not stated."""
    if model in overrides:
        return _override(model, overrides[model])
    listed = _listed(model)
    if listed is None:
        return None
    price = Price(model, f"genai-prices {_version()}", {"text": str(listed)}, listed)
    return price if price.worst(MILLION, MILLION) > 0 else None


def require(model: str, overrides: Mapping[str, Mapping[str, Any]]) -> Price:
    """The price of a model under a dollar cap: without one the run does not start."""
    price = find(model, overrides)
    if price is None:
        raise AgentflowError(
            f"no price is known for model {model!r}, so a cap in dollars cannot hold",
            f'add [tool.agentflow.prices."{model}"] input = …, output = … (dollars per million tokens), '
            "or cap tokens with --agent-budget-tokens instead",
        )
    return price


def _override(model: str, row: Mapping[str, Any]) -> Price:
    try:
        rates = {key: float(row[key]) for key in KEYS if key in row}
        dear, cheap = rates["input"], rates["output"]
    except (KeyError, TypeError, ValueError) as error:
        raise AgentflowError(
            f'[tool.agentflow.prices."{model}"]: {error}',
            "input and output are needed, in dollars per million tokens",
        ) from error
    if min(rates.values()) < 0 or not (dear or cheap):
        raise AgentflowError(f'[tool.agentflow.prices."{model}"]: prices must be positive')
    # A cache rate that is not given is taken at the dearer side, so that a cap still holds.
    return Price(
        model, "configuration", {"cache_read": rates["input"], "cache_write": 1.25 * rates["input"], **rates}
    )


def _listed(model: str) -> Any:
    """genai-prices' entry, only when it names exactly this model or a dated version of it."""
    from genai_prices import Usage, calc_price

    try:
        found = calc_price(Usage(input_tokens=1, output_tokens=1), model)
    except (LookupError, ValueError):
        return None
    return found.model_price


def _listed_cost(listed: Any, spend: Spend) -> float:
    from genai_prices import Usage

    usage = Usage(
        # its input count is the sum of fresh and cached tokens
        input_tokens=spend.input_tokens + spend.cache_read_tokens + spend.cache_write_tokens,
        output_tokens=spend.output_tokens,
        cache_read_tokens=spend.cache_read_tokens,
        cache_write_tokens=spend.cache_write_tokens,
    )
    total: Decimal = listed.calc_price(usage)["total_price"]
    return float(total)


def _version() -> str:
    return importlib.metadata.version("genai-prices")
