"""The model agent: Claude through the Messages API, with our own short loop and our own tools.

The SDK takes seconds to import, so that happens with the first attempt and not before. The key is handed over explicitly
and ambient variables that would redirect requests are dropped: a repository that sets them would receive the key.
"""

from __future__ import annotations

import hashlib
import importlib
import importlib.metadata
import json
import os
import time
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

from pytest_agentflow.adapters import prices
from pytest_agentflow.agents import prompt, tools
from pytest_agentflow.agents.base import AgentOutcome, AgentReport, Bench, Brief
from pytest_agentflow.agents.model_call import Caller
from pytest_agentflow.agents.model_loop import Settings, converse
from pytest_agentflow.agents.pacing import Pacer
from pytest_agentflow.core.ratelimit import Gate
from pytest_agentflow.core.redact import Redactor
from pytest_agentflow.errors import AgentflowError

MODEL = "claude-sonnet-5-5"
KEY, BASE_URL = "ANTHROPIC_API_KEY", "https://api.anthropic.com"
AMBIENT = ("ANTHROPIC_BASE_URL", "ANTHROPIC_CUSTOM_HEADERS", "ANTHROPIC_AUTH_TOKEN", "ANTHROPIC_PROFILE")
HOSTS = "AGENTFLOW_ALLOWED_HOSTS"
EFFORTS = ("low", "medium", "high", "xhigh", "max")
KNOWN = frozenset(
    [
        "model",
        "effort",
        "thinking",
        "max_tokens",
        "max_turns",
        "max_wait",
        "max_in_flight",
        "retries",
        "read_timeout",
        "cache_ttl",
        "base_url",
        "client_factory",
        "prices",
        "kind",
    ]
)


class AnthropicAgent:
    """One conversation per attempt, each in a fresh context."""

    paid = True

    def __init__(self, name: str, config: Mapping[str, Any]) -> None:
        self.name = name
        self.config = dict(config)
        self.settings = read_settings(name, config)
        self._gate = Gate(int(config.get("max_in_flight", 32)), float(config.get("max_wait", 60.0)))

    def fingerprint(self, config: Mapping[str, Any]) -> str:  # noqa: ARG002 - the protocol's
        """SDK, model, effort, prompt and tools: what an answer may depend on, besides the task."""
        surface = json.dumps([prompt.SYSTEM, tools.HINTS, tools.DEFINITIONS], sort_keys=True)
        digest = hashlib.sha256(surface.encode()).hexdigest()[:12]
        s = self.settings
        sdk = importlib.metadata.version("anthropic")
        return (
            f"anthropic {sdk} {s.model} effort={s.effort or 'default'} thinking={s.thinking} tools={digest}"
        )

    def attempt(self, brief: Brief, bench: Bench) -> AgentReport:
        """Converse within the brief's deadline; every failure is a report with a name."""
        return self.converse(brief, bench, tools.ToolBox)

    def converse(self, brief: Brief, bench: Bench, box: type[tools.ToolBox], **more: Any) -> AgentReport:
        """One conversation with the tools of `box`, which is handed `more`."""
        until = time.monotonic() + brief.deadline
        key = bench.secret(KEY) or ""
        try:
            client = make_client(self.config, key)
        except AgentflowError as error:
            return AgentReport(AgentOutcome.ERROR, str(error), notes={"ended": "configuration"})
        caller = Caller(
            client=client,
            bench=bench,
            pacer=Pacer(bench, until, self._gate),
            price=prices.find(self.settings.model, self.config.get("prices", {})),
            until=until,
            key=f"{brief.attempt.key or brief.attempt.id}/{brief.attempt.retry}",
            retries=int(self.config.get("retries", 8)),
            read_timeout=float(self.config.get("read_timeout", 120.0)),
        )
        with_tools = box(brief, bench, Redactor([key]), until, **more)
        try:
            return converse(self.settings, brief, bench, caller, with_tools)
        finally:
            with_tools.close()
            client.close()


def read_settings(name: str, config: Mapping[str, Any]) -> Settings:
    """The validated section `[tool.agentflow.agents.anthropic]`."""
    where = f"[tool.agentflow.agents.{name}]"
    unknown = sorted(set(config) - KNOWN)
    if unknown:
        raise AgentflowError(
            f"{where}: unknown key {unknown[0]!r}", f"known keys: {', '.join(sorted(KNOWN))}"
        )
    effort = config.get("effort")
    if effort is not None and effort not in EFFORTS:
        raise AgentflowError(f"{where}: effort = {effort!r} is not one of {', '.join(EFFORTS)}")
    thinking = config.get("thinking", "adaptive")
    return Settings(
        model=str(config.get("model") or MODEL),
        max_tokens=int(config.get("max_tokens", 32_000)),
        max_turns=int(config.get("max_turns", 60)),
        effort=effort,
        thinking=None if thinking in ("", "none", None) else str(thinking),
        cache_ttl=str(config.get("cache_ttl", "5m")),
        name=name,
    )


def make_client(config: Mapping[str, Any], key: str) -> Any:
    """The SDK's client, or what the configured factory makes (Bedrock, Vertex, Foundry, a gateway)."""
    for name in AMBIENT:
        os.environ.pop(name, None)
    factory = config.get("client_factory")
    if factory:
        return _from_factory(str(factory), key)
    if not key:
        raise AgentflowError(
            f"the model agent has no key: {KEY} is not set",
            "set it in the environment of pytest, or use --agent search, which needs none",
        )
    base_url = str(config.get("base_url") or BASE_URL)
    check_host(base_url, os.environ.get(HOSTS, ""))
    import anthropic

    return anthropic.Anthropic(api_key=key, base_url=base_url, max_retries=0, timeout=600.0)


def check_host(base_url: str, allowed: str) -> None:
    """The key goes to the vendor, to this machine, or to a host that the user's own environment names."""
    host = urlsplit(base_url).hostname or ""
    known = {"api.anthropic.com", "localhost", "127.0.0.1", "::1"}
    if host not in known | {name.strip() for name in allowed.split(",")}:
        raise AgentflowError(
            f"the configuration would send the key to {host or base_url!r}",
            f"a repository may not decide that: if you mean it, set {HOSTS}={host} in your environment",
        )


def _from_factory(factory: str, key: str) -> Any:
    """`module:callable` of an installed package, called with the key; its own retries are switched off."""
    from pytest_agentflow.agents.registry import load

    client = load("client_factory", factory)(key)
    return client.with_options(max_retries=0) if hasattr(client, "with_options") else client
