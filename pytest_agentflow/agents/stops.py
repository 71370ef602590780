"""Why did a conversation with a model end before the model ended it?"""

from __future__ import annotations

from pytest_agentflow.agents.base import AgentOutcome


class Stopped(Exception):
    """Ends the conversation with a named reason. `ended` is the short name that reaches journal and transcript."""

    def __init__(self, outcome: AgentOutcome, ended: str, message: str) -> None:
        super().__init__(message)
        self.outcome = outcome
        self.ended = ended


def failed(ended: str, message: str) -> Stopped:
    """An error of the provider, the network or the configuration."""
    return Stopped(AgentOutcome.ERROR, ended, message)


def cancelled() -> Stopped:
    return Stopped(AgentOutcome.CANCELLED, "cancelled", "stopped with the run")


def out_of_time(what: str = "the attempt's time is over") -> Stopped:
    return Stopped(AgentOutcome.TIMED_OUT, "deadline", what)


def over_budget(message: str) -> Stopped:
    return Stopped(AgentOutcome.OVER_BUDGET, "budget", message)
