"""What does `[tool.agentflow.agents.NAME]` of a command-line agent say, and is it well-formed?"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pytest_agentflow.agents import usage_parsers
from pytest_agentflow.errors import AgentflowError


@dataclass(frozen=True, slots=True)
class Section:
    """`[tool.agentflow.agents.NAME]` of a command agent, validated."""

    argv: tuple[str, ...]
    prompt: str = "stdin"  # "stdin", "file" ({prompt_file} in argv) or "argv" ({prompt} in argv)
    env: tuple[str, ...] = ()  # names handed over; everything else is dropped
    set_env: Mapping[str, str] | None = None  # fixed, public values
    usage: str | Mapping[str, str] = "none"
    usage_file: str | None = None
    timeout: float | None = None
    network: bool = True
    readable: tuple[str, ...] = ()
    memory_mb: int | None = (
        None  # address space; programs built on Node or Bun reserve far more than they use
    )
    paid: bool = True
    max_usd: float = 0.0  # reserved before the start; charged in full when the bill cannot be read
    max_tokens: int = 0
    model: str = ""
    prices: Mapping[str, Any] | None = None  # [tool.agentflow.prices], for programs that report tokens only
    version: tuple[str, ...] = ()  # argv that prints the program's version; default: argv[0] --version


def read_section(name: str, config: Mapping[str, Any]) -> Section:
    """The validated section."""
    _check(name, config)
    return Section(
        argv=tuple(config["argv"]),
        prompt=str(config.get("prompt", "stdin")),
        env=tuple(config.get("env", ())),
        set_env=dict(config.get("set_env", {})),
        usage=config.get("usage", "none"),
        usage_file=config.get("usage_file"),
        timeout=config.get("timeout", config.get("timeout_s")),
        network=bool(config.get("network", True)),
        readable=tuple(config.get("readable", ())),
        memory_mb=config.get("memory_mb"),
        paid=bool(config.get("paid", True)),
        max_usd=float(config.get("max_usd", 0.0)),
        max_tokens=int(config.get("max_tokens", 0)),
        model=str(config.get("model", "")),
        prices=dict(config.get("prices", {})),
        version=tuple(config.get("version", ())),
    )


def _check(name: str, config: Mapping[str, Any]) -> None:
    """A mistake names the key and what is allowed."""
    where = f"[tool.agentflow.agents.{name}]"
    argv = config.get("argv")
    if not isinstance(argv, Sequence) or isinstance(argv, str) or not argv or not all(map(_is_text, argv)):
        raise AgentflowError(
            f"{where}: argv must be a list of strings", 'for example argv = ["claude", "-p", "--bare"]'
        )
    how = config.get("prompt", "stdin")
    if how not in ("stdin", "file", "argv"):
        raise AgentflowError(f"{where}: prompt = {how!r} is not one of stdin, file, argv")
    needed = {"file": "{prompt_file}", "argv": "{prompt}"}.get(how)
    if needed and not any(needed in word for word in argv):
        raise AgentflowError(f'{where}: prompt = "{how}" needs {needed} somewhere in argv')
    usage = config.get("usage", "none")
    if (
        isinstance(usage, str)
        and usage != "none"
        and usage.removeprefix("jsonl:") not in usage_parsers.PARSERS
    ):
        known = ", ".join(sorted(usage_parsers.PARSERS))
        raise AgentflowError(
            f"{where}: unknown usage parser {usage!r}",
            f"use one of {known}, none, or a map of fields to paths",
        )
    allowed = {*Section.__slots__, "timeout_s", "kind", "effort", "prices"}
    unknown = sorted(set(config) - allowed)
    if unknown:
        raise AgentflowError(
            f"{where}: unknown key {unknown[0]!r}", f"known keys: {', '.join(sorted(allowed))}"
        )


def _is_text(value: object) -> bool:
    return isinstance(value, str)
