"""Which agents may run and what may they cost, with the user's word where money is spent?"""

from __future__ import annotations

import os
import sys

from pytest_agentflow import hookspecs
from pytest_agentflow.agents import preflight
from pytest_agentflow.core.budget import Cap, read_caps
from pytest_agentflow.core.consent import Decision
from pytest_agentflow.errors import AgentflowError
from pytest_agentflow.settings import Settings
from pytest_agentflow.setup.handover import Request
from pytest_agentflow.stages.brief import agent_config
from pytest_agentflow.stages.review import reviewer_config


def consented(request: Request, settings: Settings) -> Settings:
    """The settings with the agents that may run and the caps that hold; money is asked for once, before anything is made.

    A plan spends nothing, so nobody is asked and no key is needed; limits and prices hold for it as for the run.
    Raises AgentflowError when a paid agent lacks a cap, a price or the user's word.
    """
    sections = settings.sections.get("agents", {})
    cascade = preflight.cascade_of(settings.agent, sections, settings.agent_model)
    plugins = hookspecs.manager(settings.agent_plugins)
    decision = preflight.preflight(
        settings.agent,
        {
            **{name: agent_config(settings, name, plugins) for name in cascade},
            preflight.REVIEWER: reviewer_config(settings, cascade, plugins),
        },
        cascade,
        environ={k: v for k, v in os.environ.items() if k != "CI" or not settings.agent_plan},
        terminal=request["terminal"] or settings.agent_plan,
        confirmed=settings.agent_confirm or settings.agent_plan,
        usd=settings.agent_budget_usd,
        tokens=settings.agent_budget_tokens,
        attempts=settings.agent_max_attempts,
        secrets=None if settings.agent_plan else request["secrets"],
        reviewers=settings.agent_reviewers,
        caps=read_caps(Cap(), settings.sections.get("budget", {})),
    )
    for note in decision.notes:
        sys.stderr.write(f"agentflow: {note}\n")
    if decision.ask and not _agreed(decision):
        raise AgentflowError("Nothing was started.", "Use --agent search for the free search alone.")
    caps = {
        "agent": ",".join(name for name in decision.agents if name != preflight.REVIEWER),
        "agent_reviewers": settings.agent_reviewers if decision.paid else 0,
        "agent_budget_usd": decision.usd,
        "agent_budget_tokens": decision.tokens,
        "agent_max_attempts": decision.attempts or settings.agent_max_attempts,
    }
    return Settings({**settings, **caps}, settings.sections)


def _agreed(decision: Decision) -> bool:
    caps = [f"${decision.usd:g}"] if decision.usd is not None else []
    caps += [f"{decision.tokens:,} tokens"] if decision.tokens is not None else []
    limit = f"up to {' and '.join(caps)}" if caps else "without a limit (--agent-budget-usd sets one)"
    sys.stderr.write(f"{', '.join(decision.paid)} may spend money, {limit}. Go on? [y/N] ")
    sys.stderr.flush()
    return sys.stdin.readline().strip().lower() in ("y", "yes")
