"""Which limit ended a search, in words, and what gives it more time?"""

from __future__ import annotations

from collections.abc import Sequence

from pytest_agentflow.core.plan import SEARCH_SECONDS, SEARCH_SECONDS_BEFORE_MODEL

RAISES = "--agent-attempt-timeout raises it"


def search_limit(timeout: float, cascade: Sequence[str], attempt_timeout: float | None) -> str:
    """What set the `timeout` of an attempt of the search; `attempt_timeout` is the option's value, None where it is not set."""
    if len(cascade) > 1 and (attempt_timeout is None or attempt_timeout > SEARCH_SECONDS_BEFORE_MODEL):
        whole, name = SEARCH_SECONDS_BEFORE_MODEL, "the search's limit where another agent follows"
        more = "--agent search, alone, gives it more"
    elif attempt_timeout is None:
        whole, name, more = SEARCH_SECONDS, "the search's usual limit", RAISES
    else:
        whole, name, more = attempt_timeout, "--agent-attempt-timeout", ""
    if timeout < whole:  # failures that were first taken for one cause: each part gets a share
        return f"{timeout:g} s, its unit's share of {name}, {whole:g} s; {more or RAISES}"
    return f"{timeout:g} s, {name}{more and '; '}{more}"


def nothing_found(tried: int, stopped: str, took: float, limit: str) -> str:
    """Why a search has no patch to offer. `stopped` is its own word for the end, `took` its seconds so far."""
    if stopped == "deadline" and not tried:
        return f"its time was over before the first candidate: preparing took {took:.0f} s ({limit})"
    why = {
        "deadline": f"its time is over: {limit}",
        "cancelled": "the run ended before every candidate was tried",
    }.get(stopped, stopped)
    return f"none of {tried} candidates flips every target ({why})"
