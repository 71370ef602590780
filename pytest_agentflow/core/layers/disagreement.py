"""disagreement: do two patches that every layer accepts differ, so that the tests leave open what is wanted?"""

from __future__ import annotations

from pytest_agentflow.core.layers.base import Facts, Judged, failed, ok
from pytest_agentflow.core.model import VerdictKind

NAME = "disagreement"


def judge(facts: Facts) -> Judged:
    """`difference` is the input and both answers in words; empty where none was found. Measured between weak patches only."""
    if facts["difference"]:
        return failed(
            NAME,
            VerdictKind.AMBIGUOUS,
            f"the tests leave open what is wanted: of two patches that satisfy them, {facts['difference']}",
        )
    return ok(NAME, f"no difference to another accepted patch at {facts['inputs']} inputs")
