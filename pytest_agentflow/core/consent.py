"""May this run spend money? Who was named, who has to be asked, and which caps hold in the end.

A key in the environment is not consent. On a terminal a paid agent asks once; without one it needs a cap; an
organisation's file can forbid paid agents and lowers what a flag may ask for.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any

from pytest_agentflow.errors import AgentflowError


@dataclass(frozen=True, slots=True)
class Organisation:
    """What an organisation allows at most. None: no word about it."""

    paid: bool = True  # may paid agents run at all
    agents: tuple[str, ...] | None = None  # the only agents that may run
    max_usd: float | None = None  # per run
    max_tokens: int | None = None
    max_attempts: int | None = None
    source: str = ""


@dataclass(frozen=True, slots=True)
class Situation:
    """What was asked for, and where."""

    asked: str  # the value of --agent
    cascade: tuple[
        str, ...
    ]  # the agents it stands for; for `auto` with the configured model behind the search
    paid: frozenset[str]  # those of the cascade that cost money
    key_present: bool = False  # a model's key is in the environment
    terminal: bool = False
    ci: bool = False
    confirmed: bool = False  # --agent-confirm
    usd: float | None = None
    tokens: int | None = None
    attempts: int | None = None

    @property
    def capped(self) -> bool:
        return self.usd is not None or self.tokens is not None

    @property
    def watched(self) -> bool:
        """Somebody sits there who can be asked."""
        return self.terminal and not self.ci


@dataclass(frozen=True, slots=True)
class Decision:
    """Who works, under which caps, what has to be asked first, and what the user is told."""

    agents: tuple[str, ...]
    usd: float | None
    tokens: int | None
    attempts: int | None
    ask: bool = False
    paid: tuple[str, ...] = ()  # the agents that cost money; without one nobody reviews for money either
    notes: tuple[str, ...] = ()


def decide(situation: Situation, organisation: Organisation) -> Decision:
    """The decision, or an AgentflowError that says what would make it possible."""
    usd, tokens, attempts, notes = _caps(situation, organisation)
    capped = usd is not None or tokens is not None
    agents = _allowed(situation, organisation, notes)
    paid = [name for name in agents if name in situation.paid]
    automatic = situation.asked == "auto"
    if automatic and situation.key_present and not situation.paid:
        notes.append(
            "a model's key is in the environment, which is no consent to spend: only the search runs "
            "(name the agent with --agent search,anthropic to use it)"
        )
    if not paid or capped:
        ask = bool(paid) and situation.watched and not situation.confirmed
        return Decision(agents, usd, tokens, attempts, ask, tuple(paid), tuple(notes))
    if situation.watched:
        return Decision(agents, usd, tokens, attempts, not situation.confirmed, tuple(paid), tuple(notes))
    if automatic:
        free = tuple(name for name in agents if name not in situation.paid)
        notes.append(f"no cap was given and nobody can be asked here: {', '.join(paid)} is left out")
        return Decision(free, usd, tokens, attempts, notes=tuple(notes))
    raise AgentflowError(
        f"agent {paid[0]!r} costs money, there is no terminal to ask on, and no cap was given",
        "add --agent-budget-usd or --agent-budget-tokens",
    )


def _caps(s: Situation, org: Organisation) -> tuple[float | None, int | None, int | None, list[str]]:
    notes: list[str] = []
    where = f" ({org.source})" if org.source else ""
    for name, wanted, most in (
        ("--agent-budget-usd", s.usd, org.max_usd),
        ("--agent-budget-tokens", s.tokens, org.max_tokens),
    ):
        if wanted is not None and most is not None and wanted > most:
            notes.append(f"{name} {wanted:g} is lowered to {most:g}: the organisation's limit{where}")
    return (
        _least(s.usd, org.max_usd),
        _least(s.tokens, org.max_tokens),
        _least(s.attempts, org.max_attempts),
        notes,
    )


def _least(one: Any, other: Any) -> Any:
    given = [value for value in (one, other) if value is not None]
    return min(given) if given else None


def _allowed(s: Situation, org: Organisation, notes: list[str]) -> tuple[str, ...]:
    """The cascade without what the organisation forbids; naming a forbidden agent is an error."""
    refused = [
        name
        for name in s.cascade
        if (name in s.paid and not org.paid) or (org.agents is not None and name not in org.agents)
    ]
    if not refused:
        return s.cascade
    if s.asked != "auto":
        raise AgentflowError(
            f"the organisation's file {org.source} does not allow agent {refused[0]!r}",
            "use --agent search, which is free, or ask whoever keeps that file",
        )
    notes.append(f"{', '.join(refused)} is left out: not allowed by {org.source}")
    return tuple(name for name in s.cascade if name not in refused)


def read_organisation(table: Mapping[str, Any], source: str) -> Organisation:
    """The organisation's limits from a parsed file; an unknown key is an error, since a misspelt limit limits nothing."""
    known = {f.name for f in fields(Organisation)} - {"source"}
    unknown = sorted(set(table) - known)
    if unknown:
        raise AgentflowError(
            f"{source}: unknown key {unknown[0]!r}", f"known keys: {', '.join(sorted(known))}"
        )
    values = dict(table)
    for name in ("max_usd", "max_tokens", "max_attempts"):
        value = values.get(name)
        if value is not None and (isinstance(value, bool) or not isinstance(value, int | float) or value < 0):
            raise AgentflowError(f"{source}: {name} = {value!r} is not a number of at least 0")
    if not isinstance(values.get("paid", True), bool):
        raise AgentflowError(f"{source}: paid must be true or false")
    if "agents" in values:
        values["agents"] = tuple(map(str, values["agents"]))
    return Organisation(**values, source=source)


def strictest(files: Sequence[Organisation]) -> Organisation:
    """Several files together: the strictest word of each kind holds."""
    named = [set(f.agents) for f in files if f.agents is not None]
    return Organisation(
        paid=all(f.paid for f in files),
        agents=tuple(sorted(set.intersection(*named))) if named else None,
        max_usd=_least_of(f.max_usd for f in files),
        max_tokens=_least_of(f.max_tokens for f in files),
        max_attempts=_least_of(f.max_attempts for f in files),
        source=", ".join(f.source for f in files),
    )


def _least_of(values: Any) -> Any:
    given = [value for value in values if value is not None]
    return min(given) if given else None
