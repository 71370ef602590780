"""Which caps does this run have, and what had an interrupted one already spent?"""

from __future__ import annotations

from pytest_agentflow.adapters.journal import Journal
from pytest_agentflow.core.budget import Cap, Ledger, read_caps
from pytest_agentflow.core.events import AGENT
from pytest_agentflow.settings import Settings


def open_ledger(journal: Journal, settings: Settings) -> Ledger:
    """The run's one ledger, rebuilt from the journal: a call in flight when the run died is charged at its reservation."""
    run = Cap(
        tokens=settings.agent_budget_tokens,
        usd=settings.agent_budget_usd,
        attempts=settings.agent_max_attempts,
    )
    caps = read_caps(run, settings.sections.get("budget", {}))
    entries = [e.data["entry"] for e in journal.events if e.event == AGENT and e.data.get("kind") == "ledger"]
    return Ledger.restore(caps, entries)
